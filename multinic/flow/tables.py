"""What a plan looks at in the kernel's tables, as plain data to compare: read, or known to be the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from multinic.kernel.announced import Announcements, Interest, OfInterest
from multinic.kernel.reader import OneOf, Reader, Through
from multinic.values.fields import LARGER_OF_ALL
from multinic.values.rtnetlink import LINK_SCOPE, LOCAL_TABLE, MAIN_TABLE, RECEIVED


class Tables(NamedTuple):
    """What was seen in the kernel's tables."""

    text: str
    """All of it, without what changes by itself."""
    names: tuple[tuple[str, str, str], ...]
    """Name, MAC address and permanent MAC address of each link that matters."""
    of_interest: OfInterest
    """Which announcements of the kernel may change it."""


ReadTables = Callable[[frozenset[str], str], Tables]
"""Reads the tables for the links with some MAC addresses, and what else Fingerprint.more says."""


def read(macs: frozenset[str], more: str, reader: Callable[[], Reader] = Reader) -> Tables:
    """Read them. Raises HostError."""
    routing, tables, protocols, _ = parsed(more)
    with reader() as kernel:
        ours = _ours(kernel, macs)
        seen = [_relevant(ours.values())]
        seen.append([_key(route) for route in kernel.advertised_routes() if route["link"] in ours])
        others: set[int] = set()
        if routing:
            routes = _routes(kernel, ours, {*tables} - {MAIN_TABLE}, protocols)
            others = {route["link"] for route in routes}
            seen.append([_key(route) for route in routes])
            seen.append([rule["raw"] for rule in kernel.rules() if rule["table"] in tables])
    names = tuple((link["name"], link["mac"], link["permanent_mac"]) for link in ours.values())
    return Tables(repr(seen), names, Interest(macs, ours, others, tables))


def protocols(macs: frozenset[str], reader: Callable[[], Reader]) -> list[int]:
    """Return the protocols of the routes through our links, but for what follows from addresses."""
    with reader() as kernel:
        ours = _ours(kernel, macs)
        found = _routes(kernel, ours, (), (0,))
    return sorted({route["protocol"] for route in found})


class Kept:
    """Reads the tables, and then again only if the kernel announced something that may change them."""

    def __init__(self) -> None:
        self._announcements: Announcements | None = None
        self._tables: Tables | None = None
        self._of: tuple[frozenset[str], str] | None = None

    def __call__(self, macs: frozenset[str], more: str) -> Tables:
        """Return the tables as they are now: a `ReadTables`. Raises HostError."""
        if self._announcements is None or self._tables is None or self._of != (macs, more):
            return self._anew(macs, more)
        # What is announced while they are read is of interest to the next call.
        if self._announcements.have(self._tables.of_interest):
            return self._anew(macs, more)
        return self._tables

    def _anew(self, macs: frozenset[str], more: str) -> Tables:
        self._tables = None
        try:
            self._announcements = self._announcements or Announcements()
        except OSError:  # then they are read every time
            return read(macs, more)
        self._tables, self._of = read(macs, more), (macs, more)
        return self._tables

    def close(self) -> None:
        """Listen no longer."""
        if self._announcements is not None:
            self._announcements.close()
        self._announcements = None


def properties(tables: Tables, more: str) -> list[Any]:
    """Return the properties of links that Fingerprint.more names: the kernel announces no change of them."""
    *_, fields = parsed(more)
    if not fields:
        return []
    from multinic.kernel import properties

    seen: list[Any] = []
    for name, *macs in tables.names:
        wanted = {field for mac in macs for field in fields.get(mac, ())}
        seen.append([name, sorted(properties.read(name, wanted).items())])
    of_all = {field for found in fields.values() for field in found if field in LARGER_OF_ALL}
    seen.append([properties.read_sysctl("all", field) for field in sorted(of_all)])
    return seen


def more_of(
    tables: Iterable[int] | None, protocols: Iterable[int], fields: Mapping[str, Iterable[str]]
) -> str:
    """Return a `Fingerprint.more`, not as JSON, whose import costs. `tables` None: routes do not matter."""
    routing = "-" if tables is None else " ".join(map(str, sorted(tables)))
    of_links = " ".join(f"{mac}={','.join(sorted(names))}" for mac, names in sorted(fields.items()))
    return "|".join((routing, " ".join(map(str, sorted(protocols))), of_links))


def parsed(more: str) -> tuple[bool, list[int], list[int], dict[str, list[str]]]:
    """Return whether routes are looked at, in which tables, of which protocols; fields by MAC address.

    Raises ValueError for a text that `more_of` did not make.
    """
    routing, protocols, of_links = (part.split() for part in (more or "-||").split("|"))
    fields = {mac: names.split(",") for mac, _, names in (found.partition("=") for found in of_links)}
    looked_at = routing != ["-"]
    return looked_at, [int(table) for table in routing if looked_at], [*map(int, protocols)], fields


def _ours(kernel: Reader, macs: frozenset[str]) -> dict[int, Mapping[str, Any]]:
    """Return the links that matter, by index."""
    return {link["index"]: link for link in kernel.links(OneOf(macs)) if _matters(link, macs)}


def _routes(
    kernel: Reader, ours: Collection[int], tables: Collection[int], protocols: Iterable[int]
) -> list[Mapping[str, Any]]:
    """Return the routes of our links, and of the tables that we use, but for what follows from addresses.

    The kernel finds those of a table at once. For those of a link it looks at all routes that there are, so
    all links are looked for in one dump. It is asked for some protocols alone (0: for all): 100,000 routes of
    a routing daemon take ten times as long to tell as to skip.
    """
    found = [route for table in sorted(tables) for route in kernel.routes(table)]
    for protocol in protocols:
        through = kernel.routes(table=0, protocol=protocol, wanted=Through(ours, ()))
        found += [route for route in through if route["link"] in ours and route["table"] not in tables]
    return [route for route in found if route["table"] != LOCAL_TABLE and route["protocol"] not in RECEIVED]


def _key(route: Mapping[str, Any]) -> list[Any]:
    return [route[key] for key in ("to", "prefix", "via", "link", "table", "metric", "protocol")]


def _matters(link: Mapping[str, Any], macs: frozenset[str]) -> bool:
    return link["name"].startswith("multinic") or link["mac"] in macs or link["permanent_mac"] in macs


def _relevant(links: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return of links what a plan looks at, without what changes by itself."""
    return [
        [
            *(value for key, value in link.items() if key != "addresses"),
            [
                (found["address"], found["prefix"], found["dadfailed"], found["leased"])
                for found in link["addresses"]
                if found["scope"] < LINK_SCOPE
            ],
        ]
        for link in links
    ]
