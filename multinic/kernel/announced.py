"""What the kernel announces of its tables, for who has read them and wants to know whether they are the same.

An announcement is searched for what is of interest, and hardly decoded: on a host with pods most are not.
Some changes have none of their own. IPv4 routes go silently with a link that goes down, with the address that
they send from, and with a next hop object, and a route of any kind with the one that replaces it: so links
that routes lead to, IPv4 addresses of any link that go, all next hop objects and all routes that replace
another are of interest, too.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Collection

from multinic.kernel.messages import ADDRESS, LINK, route_of
from multinic.kernel.notifications import Notifications
from multinic.kernel.parts import messages
from multinic.kernel.reader import UNICAST, OneOf, Through
from multinic.values.rtnetlink import MAIN_TABLE

_LINKS, _ADDRESSES, _ROUTES = (16, 17), (20, 21), (24, 25)  # RTM_NEW…, RTM_DEL…
_ADDRESS_GONE = 21
_REPLACES = 0x100  # NLM_F_REPLACE
# RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE, NEXTHOP.
_GROUPS = (1, 5, 7, 8, 9, 11, 19, 32)

OfInterest = Callable[[int, int, bytes], bool]
"""Whether an announcement is of interest: its type, its flags, its payload."""


class Interest:
    """Is interested in links with one of these MAC addresses or a name of ours, and in what is on them.

    `ours`: the indexes of these links; `others`: those of links that routes in `tables` lead to.
    """

    def __init__(
        self, macs: Collection[str], ours: Collection[int], others: Collection[int], tables: Collection[int]
    ) -> None:
        self._tables = {*tables} - {MAIN_TABLE}
        self._is_link, self._may_be_route = OneOf(macs), Through(ours, self._tables)
        self._ours, self._indexes = frozenset(ours), frozenset({*ours, *others})

    def __call__(self, kind: int, flags: int, payload: bytes) -> bool:
        if kind in _LINKS:
            return LINK.unpack_from(payload)[2] in self._indexes or self._is_link(payload)
        if kind in _ADDRESSES:
            family, *_, link = ADDRESS.unpack_from(payload)
            return link in self._ours or (kind == _ADDRESS_GONE and family == socket.AF_INET)
        return kind not in _ROUTES or bool(flags & _REPLACES) or self._is_route(payload)

    def _is_route(self, payload: bytes) -> bool:
        return self._may_be_route(payload) and any(
            route["link"] in self._ours or route["table"] in self._tables
            for route in route_of(payload, UNICAST)
        )


class Announcements:
    """The announcements since this was made. Raises OSError where the kernel gives none."""

    def __init__(self) -> None:
        self._notifications = Notifications(_GROUPS)

    def close(self) -> None:
        self._notifications.close()

    def have(self, of_interest: OfInterest) -> bool:
        """Return whether there was one of interest since the last call, or more than the kernel keeps."""
        found = False
        for data in self._notifications.datagrams():
            found = found or not data or _any(data, of_interest)
        return found

    def wait(self, of_interest: OfInterest, seconds: float) -> None:
        """Wait until there is one of interest, and at most some seconds."""
        end = time.monotonic() + seconds
        while not self.have(of_interest):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._notifications], [], [], left)[0]:
                return


def _any(data: bytes, of_interest: OfInterest) -> bool:
    return any(of_interest(kind, flags, payload) for kind, flags, _, payload in messages(data))
