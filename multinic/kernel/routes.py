"""The routes of the kernel as it tells them: of a dump those messages are parsed that somebody asks for.

A change looks at all routes half a dozen times, and most are of others and stay as they are. To find that
out, dumps are searched and compared, not routes.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import lru_cache
from itertools import zip_longest
from typing import Any, NamedTuple

from multinic.kernel.messages import U32, attribute, route_of
from multinic.kernel.parts import beginning, differing, payloads
from multinic.kernel.reader import LASTING, UNICAST, Reader
from multinic.values.addresses import IPAddress, IPNetwork, ip_address, ip_network
from multinic.values.observed import ObservedRoute
from multinic.values.routes import Routes
from multinic.values.rtnetlink import LOCAL_TABLE

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_FAMILY, _PREFIX, _TABLE, _KIND = 0, 1, 4, 7  # of struct rtmsg, which a message begins with
_LARGE_TABLE = 252  # RT_TABLE_COMPAT: the number is in an attribute
_DESTINATION, _NUMBER = 1, 15  # RTA_DST, RTA_TABLE
_LINK = re.escape(attribute(4, bytes(4))[:4])  # how an RTA_OIF begins
_LINKS = re.compile(_LINK + b"(?=(.{4}))", re.DOTALL)  # an address may look like a beginning
_SEVERAL = attribute(9, b"")[2:]  # the type of an RTA_MULTIPATH
_TYPES = slice(2, None, 4)  # where the types of attributes are in a part of a dump, and other bytes
_UNCERTAIN = b""
_SMALL = 1 << 14  # bytes of a part: to look at each message is as cheap as to prepare a search

Keep = Callable[[ObservedRoute], bool]


class Dump(NamedTuple):
    """What the kernel told at once (parts.py), and what of it counts: types of routes, and more."""

    parts: tuple[bytes, ...]
    kinds: frozenset[int]
    keep: tuple[Keep, ...] = ()

    def has(self, found: ObservedRoute) -> bool:
        return all(keep(found) for keep in self.keep)


class KernelRoutes(Routes):
    """Routes as dumps."""

    def __init__(
        self, dumps: Iterable[Dump], known: dict[bytes, tuple[ObservedRoute, ...]] | None = None
    ) -> None:
        """`known`: messages that were parsed before."""
        super().__init__()
        self._dumps = tuple(dumps)
        self._known = {} if known is None else known
        self._by_link: dict[bytes, list[tuple[Dump, bytes]]] = {}
        self._asked_for: dict[Hashable, list[ObservedRoute]] = {}

    def __iter__(self) -> Iterator[ObservedRoute]:
        return (found for dump, part in self._parts() for found in self._parsed(dump, payloads(part)))

    def and_more(self, more: KernelRoutes) -> KernelRoutes:
        """Return these routes, and others from another dump."""
        new = more.only(lambda found: not any(dump.has(found) for dump in self._dumps))
        return KernelRoutes((*self._dumps, *new._dumps))

    def only(self, keep: Keep) -> KernelRoutes:
        dumps = (dump._replace(keep=(*dump.keep, keep)) for dump in self._dumps)
        return KernelRoutes(dumps, self._known)

    def gone_from(self, after: Routes) -> list[ObservedRoute]:
        if not isinstance(after, KernelRoutes):
            return super().gone_from(after)
        maybe: list[ObservedRoute] = []
        changed: set[ObservedRoute] = set()
        nothing = Dump((), frozenset())
        for dump, later in zip_longest(self._dumps, after._dumps, fillvalue=nothing):
            gone, new = differing(dump.parts, later.parts)
            staying = set(gone).intersection(new)
            maybe += self._parsed(dump, (message for message in gone if message not in staying))
            # A message may differ in what a route is not known by.
            changed.update(after._parsed(later, (message for message in new if message not in staying)))
        maybe = [route for route in maybe if route not in changed]
        if not maybe:
            return []
        # What was compared is without what headers have, and with that an address may have lost bytes, too.
        before, present = set(self), set(after)
        return [route for route in maybe if route in before and route not in present]

    def _through(self, link: int) -> Iterable[ObservedRoute]:
        if not self._by_link:
            for dump, part in self._parts():
                for found in _links_of(part):
                    self._by_link.setdefault(found, []).append((dump, part))
        index = U32.pack(link)
        certain, uncertain = self._by_link.get(index, []), self._by_link.get(_UNCERTAIN, [])
        more = [found for found in uncertain if found not in certain]
        return self._found_once(("through", link), [*certain, *more], lambda found: index in found)

    def _defaults(self) -> Iterable[ObservedRoute]:
        return self._found_once("default", self._parts(_may_have_default), lambda found: not found[_PREFIX])

    def _in_table(self, table: int) -> Iterable[ObservedRoute]:
        short = table if table < 256 else _LARGE_TABLE
        number = attribute(_NUMBER, U32.pack(table))
        parts = self._parts(lambda part: number in part)
        return self._found_once(table, parts, lambda found: found[_TABLE] == short)

    def _to(self, address: IPAddress) -> Iterable[ObservedRoute]:
        networks = _networks_of(address.packed)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        return self._found_once(
            address,
            self._parts(lambda part: _any_of(networks[1:]).search(part) or _may_have_default(part)),
            lambda found: found[_FAMILY] == family and networks[found[_PREFIX]] in found,
        )

    def _to_network(self, network: IPNetwork) -> Iterable[ObservedRoute]:
        prefix = network.prefixlen
        if not prefix:
            return self._defaults()
        wanted = attribute(_DESTINATION, network.network_address.packed)
        parts = self._parts(lambda part: wanted in part)
        return self._found_once(network, parts, lambda found: found[_PREFIX] == prefix and wanted in found)

    def _parts(self, may_have: Callable[[bytes], object] | None = None) -> Iterator[tuple[Dump, bytes]]:
        """Yield the parts of dumps, without those that a glance denies."""
        return (
            (dump, part) for dump in self._dumps for part in dump.parts if may_have is None or may_have(part)
        )

    def _found_once(
        self, key: Hashable, parts: Iterable[tuple[Dump, bytes]], wanted: Callable[[bytes], bool]
    ) -> list[ObservedRoute]:
        """Return the routes whose message is wanted. A plan asks for the same for every interface."""
        if key not in self._asked_for:
            self._asked_for[key] = [
                found for dump, part in parts for found in self._parsed(dump, filter(wanted, _messages(part)))
            ]
        return self._asked_for[key]

    def _parsed(self, dump: Dump, messages: Iterable[bytes]) -> Iterator[ObservedRoute]:
        for message in messages:
            if message[_KIND] not in dump.kinds or message[_TABLE] == LOCAL_TABLE:
                continue
            found = self._known.get(message)
            if found is None:
                found = self._known[message] = tuple(map(route, route_of(message, LASTING)))
            for one in found:
                if dump.has(one):
                    yield one


@lru_cache(maxsize=16)
def _messages(part: bytes) -> tuple[bytes, ...]:
    """Return the messages of a part. A plan looks into the few with routes of our links again and again."""
    return tuple(payloads(part))


def forget() -> None:
    """Forget what was looked at; a process that goes on after its pass needs the memory."""
    _messages.cache_clear()


def _may_have_default(part: bytes) -> bool:
    return any(beginning(part, bytes([family, 0])) in part for family in _FAMILIES)


def _links_of(part: bytes) -> set[bytes]:
    """Return the indexes of the links of routes in a part, as they are in it; and more."""
    found = {_UNCERTAIN} if _SEVERAL[0] in part[_TYPES] and _SEVERAL in part else set()
    first = _LINKS.search(part)
    if first is None or len(part) < _SMALL:
        return found.union(_LINKS.findall(part))
    # Mostly thousands of routes lead through the same link.
    return found | ({first[1]} if _other_than(first[1]).search(part) is None else {*_LINKS.findall(part)})


@lru_cache(maxsize=16)
def _other_than(link: bytes) -> re.Pattern[bytes]:
    return re.compile(_LINK + b"(?!" + re.escape(link) + b")", re.DOTALL)


@lru_cache(maxsize=16)
def _networks_of(address: bytes) -> tuple[bytes, ...]:
    """Return the destinations, as attributes, that an address belongs to: by their prefix lengths."""
    bits, value = 8 * len(address), int.from_bytes(address, "big")
    masked = (value >> bits - prefix << bits - prefix for prefix in range(1, bits + 1))
    return (b"", *(attribute(_DESTINATION, found.to_bytes(len(address), "big")) for found in masked))


@lru_cache(maxsize=16)
def _any_of(attributes: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Return a pattern that finds any of some attributes of one length, and seldom something else."""
    places = (
        b"|".join(re.escape(bytes([one])) for one in {*place}) for place in zip(*attributes, strict=True)
    )
    return re.compile(b"".join(b"(?:" + place + b")" for place in places))


def routes_by(
    kernel: Reader, table: int = 0, kinds: frozenset[int] = UNICAST, protocol: int = 0
) -> KernelRoutes:
    """Return the routes of one table (0: of all but the kernel's own), through an open reader.

    `protocol`: only those that this program made (0: all). Raises HostError.
    """
    # Before Linux 4.20 those of other tables come, too.
    keep: list[Keep] = [lambda found: found.table == table] if table else []
    keep += [lambda found: found.protocol == protocol] if protocol else []
    parts = (kernel.route_parts(family, table, protocol) for family in _FAMILIES)
    return KernelRoutes(Dump(tuple(found), kinds, tuple(keep)) for found in parts)


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
