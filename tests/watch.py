"""What the kernel reports of the links, addresses, routes and rules of a network namespace."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from tests import listening
from tests.listening import opened

# Neighbours and statistics are left out: they change by themselves when packets flow.
GROUPS = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | 1 << 18  # RTNLGRP_IPV6_RULE
)


class Listener:
    """A socket that the kernel reports to from the moment on that it is made."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        """Listen where this command prefix leads, or else where this process is."""
        if prefix:
            self._socket, names = _listening(prefix)
        else:
            self._socket, names = opened(GROUPS), socket.if_nameindex()
        self._names = dict(names)
        self._marshal = MarshalRtnl()

    def events(self) -> list[dict[str, str]]:
        """Return what was reported since the last call."""
        found = []
        while True:
            try:
                data = self._socket.recv(1 << 20)
            except BlockingIOError:
                return found
            found += [event(message, self._names) for message in self._marshal.parse(data)]

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


def _listening(prefix: Sequence[str]) -> tuple[socket.socket, list[tuple[int, str]]]:
    """Return a socket of that namespace, and the links that are in it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        descriptor = theirs.fileno()
        command = [*prefix, sys.executable, "-I", "-S", listening.__file__, str(GROUPS), str(descriptor)]
        subprocess.run(command, pass_fds=[descriptor], check=True)
        names, files, _, _ = socket.recv_fds(ours, 1 << 17, 1)
    return socket.socket(fileno=files[0]), json.loads(names)


def event(message: Any, names: dict[int, str]) -> dict[str, str]:
    """Turn one message into what tests compare."""
    kind = message["event"]
    if kind in ("RTM_NEWLINK", "RTM_DELLINK"):
        index = message["index"]
        names[index] = message.get_attr("IFLA_IFNAME")
        up = "up" if message["flags"] & 1 else "down"
        detail = f"{up} {message.get_attr('IFLA_ADDRESS')} mtu {message.get_attr('IFLA_MTU')}"
    elif kind in ("RTM_NEWADDR", "RTM_DELADDR"):
        index = message["index"]
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        detail = f"{address}/{message['prefixlen']}"
    elif kind in ("RTM_NEWRULE", "RTM_DELRULE"):
        index = 0
        source = message.get_attr("FRA_SRC") or "all"
        detail = f"from {source} table {message.get_attr('FRA_TABLE')}"
    else:
        index = message.get_attr("RTA_OIF") or 0
        target = message.get_attr("RTA_DST") or "default"
        detail = f"{target}/{message['dst_len']} table {message.get_attr('RTA_TABLE')}"
    return {"kind": kind, "link": names.get(index, f"#{index}") if index else "", "detail": detail}
