"""What is taken away from links while a change is carried out, and by whom: the kernel tells both.

A notification of an address (IPv4), route or rule that goes has the port of the netlink socket that asked
for it: 0 if the kernel itself removed it. It tells nothing of IPv6 addresses, and of IPv4 routes that go
with an address or with the state of a link.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Hashable, Iterator

from multinic.kernel import messages, observe, ports, routes
from multinic.kernel.reader import LASTING

_HEADER = struct.Struct("=IHHII")  # of linux/netlink.h
_DELETE_ADDRESS, _DELETE_ROUTE, _DELETE_RULE = 21, 25, 33
# RTMGRP_IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, and RTNLGRP_IPV6_RULE as a bit.
_GROUPS = 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18
_BUFFER = 1 << 22  # bytes: some thousand notifications
_BUFFER_FORCE = 33  # SO_RCVBUFFORCE: beyond net.core.rmem_max


class Deletions:
    """The notifications since this was made."""

    def __init__(self) -> None:
        self._ports: dict[Hashable, int] = {}
        self._of_service: dict[int, bool] = {}
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, _BUFFER)
        except OSError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((0, _GROUPS))
        self._socket.setblocking(False)

    def __enter__(self) -> Deletions:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def by_others(self, may_be_of_service: Callable[[int], bool]) -> frozenset[Hashable]:
        """Return what was last taken away by others: (index of the link, address), routes and rules.

        By others than this process, the kernel and the network service. `may_be_of_service`: whether a
        port may be that of a socket of the service.
        """
        self._read()
        ours = ports.ours()
        if ours is None:
            return frozenset()
        asked = set(self._ports.values()) - ours - {0}
        for port in asked - self._of_service.keys():
            self._of_service[port] = may_be_of_service(port)
        others = {port for port in asked if not self._of_service[port]}
        return frozenset(thing for thing, port in self._ports.items() if port in others)

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: more than the buffer holds; what is not known counts as our doing
                continue
            offset = 0
            while offset < len(data):
                size, kind, _, _, port = _HEADER.unpack_from(data, offset)
                payload = data[offset + _HEADER.size : offset + size]
                offset += (size + 3) & ~3
                self._ports |= dict.fromkeys(_things(kind, payload), port)


def _things(kind: int, payload: bytes) -> Iterator[Hashable]:
    if kind == _DELETE_ADDRESS:
        item = messages.address_of(payload)
        yield item["link"], observe.address_of(item).address
    elif kind == _DELETE_ROUTE:
        yield from (routes.route(item) for item in messages.route_of(payload, LASTING))
    elif kind == _DELETE_RULE and (rule := messages.rule_of(payload)):
        yield observe.rule(rule)
