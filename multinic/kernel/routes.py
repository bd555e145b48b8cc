"""The routes of the kernel as it tells them: messages, of which those are parsed that somebody asks for.

A change looks at all routes about ten times, and most are of others and stay as they are. To find that out,
messages are compared, not routes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from multinic.kernel.messages import U32, attribute, route_of
from multinic.kernel.reader import LASTING, UNICAST, Reader
from multinic.values.addresses import IPAddress, IPNetwork, ip_address, ip_network
from multinic.values.observed import ObservedRoute
from multinic.values.routes import Routes
from multinic.values.rtnetlink import LOCAL_TABLE

_FAMILY, _PREFIX, _TABLE, _KIND = 0, 1, 4, 7  # of struct rtmsg, which a message begins with
_LARGE_TABLE = 252  # RT_TABLE_COMPAT: the number is in an attribute
_DESTINATION = 1  # RTA_DST
_LINK = attribute(4, bytes(4))[:4]  # how an RTA_OIF begins
_SEVERAL = 9  # RTA_MULTIPATH
_TYPES = slice(14, None, 4)  # where the types of attributes are in a message, and other bytes
_UNCERTAIN = b""

Keep = Callable[[ObservedRoute], bool]


class KernelRoutes(Routes):
    """Routes as messages of one dump."""

    def __init__(
        self,
        messages: Iterable[bytes],
        keep: tuple[Keep, ...] = (),
        known: dict[bytes, tuple[ObservedRoute, ...]] | None = None,
    ) -> None:
        """`keep`: what is true of all of them. `known`: messages that were parsed before."""
        super().__init__()
        self._messages, self._keep = tuple(messages), keep
        self._known = {} if known is None else known
        self._by_link: dict[bytes, list[bytes]] = {}
        self._asked_for: dict[Hashable, list[bytes]] = {}

    def __iter__(self) -> Iterator[ObservedRoute]:
        return self._parsed(self._messages)

    def and_more(self, more: KernelRoutes) -> KernelRoutes:
        """Return these routes, and others from another dump."""
        messages = dict.fromkeys((*self._messages, *more._messages))
        return KernelRoutes(messages, (lambda found: self._has(found) or more._has(found),))

    def _has(self, found: ObservedRoute) -> bool:
        return all(keep(found) for keep in self._keep)

    def only(self, keep: Keep) -> Routes:
        return KernelRoutes(self._messages, (*self._keep, keep), self._known)

    def gone_from(self, after: Routes) -> list[ObservedRoute]:
        if not isinstance(after, KernelRoutes):
            return super().gone_from(after)
        staying = set(after._messages)
        maybe = list(self._parsed(message for message in self._messages if message not in staying))
        if maybe:  # a message may differ in what a route is not known by
            before = set(self._messages)
            changed = set(after._parsed(message for message in after._messages if message not in before))
            maybe = [route for route in maybe if route not in changed]
        present = set(after) if maybe else ()
        return [route for route in maybe if route not in present]

    def _through(self, link: int) -> Iterable[ObservedRoute]:
        if not self._by_link:
            for message in self._messages:
                self._by_link.setdefault(_only_link(message), []).append(message)
        return self._parsed((*self._by_link.get(U32.pack(link), ()), *self._by_link.get(_UNCERTAIN, ())))

    def _defaults(self) -> Iterable[ObservedRoute]:
        return self._parsed(self._found_once("default", lambda found: not found[_PREFIX]))

    def _in_table(self, table: int) -> Iterable[ObservedRoute]:
        wanted = table if table < 256 else _LARGE_TABLE
        return self._parsed(self._found_once(table, lambda found: found[_TABLE] == wanted))

    def _to(self, address: IPAddress) -> Iterable[ObservedRoute]:
        networks = _networks_of(address.packed)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        return self._parsed(
            self._found_once(
                address, lambda found: found[_FAMILY] == family and networks[found[_PREFIX]] in found
            )
        )

    def _to_network(self, network: IPNetwork) -> Iterable[ObservedRoute]:
        prefix = network.prefixlen
        wanted = attribute(_DESTINATION, network.network_address.packed) if prefix else b""
        return self._parsed(
            self._found_once(network, lambda found: found[_PREFIX] == prefix and wanted in found)
        )

    def _found_once(self, key: Hashable, wanted: Callable[[bytes], bool]) -> list[bytes]:
        """Return the messages that are wanted. A plan asks for the same for every interface."""
        if key not in self._asked_for:
            self._asked_for[key] = [message for message in self._messages if wanted(message)]
        return self._asked_for[key]

    def _parsed(self, messages: Iterable[bytes]) -> Iterator[ObservedRoute]:
        for message in messages:
            found = self._known.get(message)
            if found is None:
                found = self._known[message] = tuple(map(route, route_of(message, LASTING)))
            for one in found:
                if self._has(one):
                    yield one


def _only_link(message: bytes) -> bytes:
    """Return the index of the link of a route, as it is in the message, if a glance makes that certain."""
    if _SEVERAL in message[_TYPES] or message.count(_LINK) != 1:
        return _UNCERTAIN
    at = message.index(_LINK) + len(_LINK)
    return message[at : at + 4]


@lru_cache(maxsize=16)
def _networks_of(address: bytes) -> tuple[bytes, ...]:
    """Return the destinations, as attributes, that an address belongs to: by their prefix lengths."""
    bits, value = 8 * len(address), int.from_bytes(address, "big")
    masked = (value >> bits - prefix << bits - prefix for prefix in range(1, bits + 1))
    return (b"", *(attribute(_DESTINATION, found.to_bytes(len(address), "big")) for found in masked))


def routes_by(
    kernel: Reader, table: int = 0, kinds: frozenset[int] = UNICAST, protocol: int = 0
) -> KernelRoutes:
    """Return the routes of one table (0: of all but the kernel's own), through an open reader.

    `protocol`: only those that this program made (0: all). Raises HostError.
    """
    messages = (
        found
        for found in kernel.route_messages(table, protocol)
        if found[_KIND] in kinds and found[_TABLE] != LOCAL_TABLE
    )
    # Before Linux 4.20 those of other tables come, too.
    keep: list[Keep] = [lambda found: found.table == table] if table else []
    keep += [lambda found: found.protocol == protocol] if protocol else []
    return KernelRoutes(messages, tuple(keep))


def route(item: dict[str, Any]) -> ObservedRoute:
    return ObservedRoute(
        to=ip_network(item["to"], item["prefix"]),
        via=ip_address(item["via"]) if item["via"] else None,
        link=item["link"],
        table=item["table"],
        metric=item["metric"],
        protocol=item["protocol"],
        raw=item["raw"],
    )
