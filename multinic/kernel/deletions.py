"""What is taken away from links while a change is carried out, and by whom: the kernel tells both.

A notification of an address (IPv4), route or rule that goes has the port of the netlink socket that asked
for it: 0 if the kernel itself removed it. It tells nothing of IPv6 addresses, and of IPv4 routes that go
with an address or with the state of a link.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from multinic.kernel import messages, observe, parts, ports, routes
from multinic.kernel.notifications import Notifications
from multinic.kernel.reader import LASTING

_DELETE_ADDRESS, _DELETE_ROUTE, _DELETE_RULE = 21, 25, 33
# RTNLGRP_IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE
_GROUPS = (5, 7, 8, 9, 11, 19)
_BUFFER = 1 << 22  # bytes: some thousand notifications


class Deletions:
    """The notifications since this was made."""

    def __init__(self) -> None:
        self._ports: dict[Hashable, int] = {}
        self._of_service: dict[int, bool] = {}
        self._notifications = Notifications(_GROUPS, _BUFFER)

    def __enter__(self) -> Deletions:
        return self

    def __exit__(self, *_: object) -> None:
        self._notifications.close()

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
        # Of more than the buffer holds it is not known who did it: that counts as our doing.
        for data in self._notifications.datagrams():
            for kind, _, port, payload in parts.messages(data):
                self._ports |= dict.fromkeys(_things(kind, payload), port)


def _things(kind: int, payload: bytes) -> Iterator[Hashable]:
    if kind == _DELETE_ADDRESS:
        item = messages.address_of(payload)
        yield item["link"], observe.address_of(item).address
    elif kind == _DELETE_ROUTE:
        yield from (routes.route(item) for item in messages.route_of(payload, LASTING))
    elif kind == _DELETE_RULE and (rule := messages.rule_of(payload)):
        yield observe.rule(rule)
