"""Report the kernel's changes of this network namespace as JSON lines until standard input ends."""

from __future__ import annotations

import json
import select
import socket
import sys
from typing import Any

from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

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


def main() -> None:
    """Watch, in the order in which things happen."""
    marshal = MarshalRtnl()
    names = dict(socket.if_nameindex())
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, GROUPS))
        print("listening", flush=True)
        while True:
            ready, _, _ = select.select([kernel, sys.stdin], [], [])
            if kernel in ready:  # first: at the end, what is queued is still to be read
                for message in marshal.parse(kernel.recv(1 << 20)):
                    print(json.dumps(event(message, names)), flush=True)
            elif sys.stdin in ready:
                return


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


if __name__ == "__main__":
    main()
