"""The links, routes and rules of the kernel as values. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import attrgetter
from typing import Any, Generic, TypeVar

from multinic.kernel.messages import link_of, route_of
from multinic.kernel.reader import LASTING, UNICAST, Reader
from multinic.values.addresses import Mac, ip_address, ip_interface, ip_network
from multinic.values.desired import Rule
from multinic.values.observed import (
    ObservedAddress,
    ObservedLink,
    ObservedRoute,
    ObservedRule,
    Surroundings,
)
from multinic.values.rtnetlink import LOCAL_TABLE

T = TypeVar("T")
_TABLE, _KIND = 4, 7  # rtm_table and rtm_type, by their place in the message of a route


class Known(Generic[T]):
    """The values of the messages of the last dump: of the next one only new messages are parsed.

    During a change everything is looked at some ten times, and next to nothing of it differs.
    """

    def __init__(self, parse: Callable[[bytes], T]) -> None:
        self._parse = parse
        self._last: dict[bytes, T] = {}

    def values(self, messages: Iterable[bytes], *, whole: bool = True) -> list[T]:
        """Return the values of a dump. `whole`: it has everything, so what is not in it is forgotten."""
        last, parse = self._last, self._parse
        now = {message: last[message] if message in last else parse(message) for message in messages}
        self._last = now if whole else last | now
        return list(now.values())

    def forget(self) -> None:
        self._last = {}


def surroundings() -> Surroundings:
    """Return all links, routes and rules of the host: a change must not disturb them. Raises HostError."""
    with Reader() as kernel:
        return Surroundings(
            links=links_by(kernel),
            routes=routes_by(kernel, kinds=LASTING),
            rules=tuple(rule(item) for item in kernel.rules()),
        )


def links() -> tuple[ObservedLink, ...]:
    """Return the links of the kernel, without routes and rules. Raises HostError."""
    with Reader() as kernel:
        return links_by(kernel)


def links_by(kernel: Reader) -> tuple[ObservedLink, ...]:
    """Return the links of the kernel by index, through an open reader. Raises HostError."""
    addresses = {index: tuple(map(address_of, items)) for index, items in kernel.addresses().items()}
    found = sorted(_LINKS.values(kernel.link_messages()), key=attrgetter("index"))
    return tuple(
        replace(link, addresses=addresses[link.index]) if link.index in addresses else link for link in found
    )


def routes_by(
    kernel: Reader, table: int = 0, kinds: frozenset[int] = UNICAST, protocol: int = 0
) -> tuple[ObservedRoute, ...]:
    """Return the routes of one table (0: of all but the kernel's own), through an open reader.

    `protocol`: only those that this program made (0: all). Raises HostError.
    """
    messages = (found for found in kernel.route_messages(table, protocol) if found[_KIND] in kinds)
    whole = kinds is LASTING and not table and not protocol
    return tuple(
        found
        for hops in _ROUTES.values(messages, whole=whole)
        for found in hops
        if table in (0, found.table) and protocol in (0, found.protocol)
    )


def forget() -> None:
    """Forget what is known of the last dumps, after a pass; a long-lived process needs its memory."""
    for known in (_LINKS, _ROUTES):
        known.forget()


def link(item: dict[str, Any]) -> ObservedLink:
    return ObservedLink(
        **{
            **item,
            "mac": _mac(item["mac"]),
            "permanent_mac": _mac(item["permanent_mac"]),
            "altnames": tuple(item["altnames"]),
        }
    )


def _link(message: bytes) -> ObservedLink:
    return link(link_of(message))


def _routes(message: bytes) -> tuple[ObservedRoute, ...]:
    """Return the routes of a message, one for each next hop, without those of the kernel's own table."""
    if message[_TABLE] == LOCAL_TABLE:
        return ()
    return tuple(route(item) for item in route_of(message, LASTING))


_LINKS, _ROUTES = Known(_link), Known(_routes)


def _mac(text: str) -> Mac | None:
    try:
        return Mac(text) if text else None
    except ValueError:  # a tunnel may have an address that no network card can have
        return None


def address_of(item: dict[str, Any]) -> ObservedAddress:
    return ObservedAddress(
        address=ip_interface(item["address"], item["prefix"]),
        scope=item["scope"],
        tentative=item["tentative"],
        dadfailed=item["dadfailed"],
        kernel=item["kernel"],
        leased=item["leased"],
        expiring=item["expiring"],
        raw=item["raw"],
    )


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


def rule(item: dict[str, Any]) -> ObservedRule:
    source, destination = item["source"], item["destination"]
    return ObservedRule(
        rule=Rule(
            source=ip_network(*source) if source else None,
            destination=ip_network(*destination) if destination else None,
            table=item["table"],
            priority=item["priority"],
        ),
        family=item["family"],
        protocol=item["protocol"],
        raw=item["raw"],
    )
