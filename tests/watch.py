"""What the kernel reports of the links, addresses, routes and rules of a network namespace."""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

SO_RCVBUFFORCE = 33
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

    def __init__(self, within: Callable[[], object] = lambda: None) -> None:
        """Listen where `within` leads this process; it is called in a child."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = os.fork()
        if not child:
            try:
                within()
                with _listening() as listening:
                    socket.send_fds(
                        theirs, [json.dumps(socket.if_nameindex()).encode()], [listening.fileno()]
                    )
            except BaseException:  # noqa: BLE001 - nothing may go on as if it were the parent
                traceback.print_exc()
            finally:
                os._exit(0)
        theirs.close()
        with ours:
            names, files, _, _ = socket.recv_fds(ours, 1 << 17, 1)
        os.waitpid(child, 0)
        if not files:
            raise RuntimeError("nobody could listen there")
        self._socket = socket.socket(fileno=files[0])
        self._names = dict(json.loads(names))
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


def _listening() -> socket.socket:
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    # So that everything fits; where that is refused to us, what does not fit is an error of recv.
    for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
        with suppress(PermissionError):
            listening.setsockopt(socket.SOL_SOCKET, option, 1 << 24)
    listening.bind((0, GROUPS))
    return listening


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
