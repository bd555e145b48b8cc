"""What this host has now: links, addresses, routes, rules and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from multinic.values.addresses import IPAddress, IPInterface, IPNetwork, Mac
from multinic.values.desired import Rule, route_words
from multinic.values.rtnetlink import MAIN_TABLE


@dataclass(frozen=True, slots=True)
class ObservedAddress:
    """An address on a link. `kernel`: made by the kernel itself (link-local, router advertisement)."""

    address: IPInterface
    scope: int = 0
    tentative: bool = False
    dadfailed: bool = False
    kernel: bool = False
    leased: bool = False
    """Given for a time, by a server or a router."""
    expiring: bool = field(default=False, compare=False)
    """The kernel removes it soon, unless its lifetime is renewed."""
    raw: bytes = field(default=b"", compare=False, repr=False)
    """The kernel's message, with which the address is restored with label, scope, flags and lifetime."""


STACKED = frozenset(
    {"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "bridge", "bond", "team", "vrf", "hsr", "macsec"}
)
"""Kinds of links (IFLA_INFO_KIND) that copy the MAC address of a real link below them.

Some (ipvlan, macvtap in passthru mode) copy its permanent one, too. multinic makes none of them.
"""
PAIRS = frozenset({"", "netkit", "veth", "vxcan"})
"""Kinds of links that lie on no other link, but may have another end on this host."""


@dataclass(frozen=True, slots=True)
class ObservedLink:
    """A network device of the kernel, as it is now."""

    index: int
    name: str
    mac: Mac | None
    permanent_mac: Mac | None = None
    kind: str = ""
    up: bool = False
    carrier: bool = False
    mtu: int = 1500
    min_mtu: int = 0
    max_mtu: int = 0
    """0: the driver sets no limit."""
    master: int = 0
    parent: int = 0
    altnames: tuple[str, ...] = ()
    txqueuelen: int = 0
    alias: str = ""
    addresses: tuple[ObservedAddress, ...] = ()

    @property
    def stacked(self) -> bool:
        """Whether the link is of a kind that lies on other links: it is never ours, whatever its name."""
        return self.kind in STACKED


@dataclass(frozen=True, slots=True)
class ObservedRoute:
    """A unicast route of the kernel; several next hops appear as several routes."""

    to: IPNetwork
    via: IPAddress | None
    link: int
    table: int = MAIN_TABLE
    metric: int = 0
    protocol: int = 0
    raw: bytes = field(default=b"", compare=False, repr=False)
    """The kernel's message, with which the route is restored with everything that it has."""

    def __str__(self) -> str:
        return route_words(self.to, self.via, self.metric, self.table)


@dataclass(frozen=True, slots=True)
class ObservedRule:
    """A policy-routing rule of the kernel."""

    rule: Rule
    family: int
    protocol: int = 0
    raw: bytes = field(default=b"", repr=False)
    """The kernel's message: two rules that differ only in a mark are not the same rule."""

    def __str__(self) -> str:
        return str(self.rule)


@dataclass(frozen=True, slots=True)
class Observed:
    """What this host has now: links, routes, rules, and files."""

    links: tuple[ObservedLink, ...] = ()
    routes: Iterable[ObservedRoute] = ()
    """Of the main table, or of all tables: see values/routes.py."""
    rules: tuple[ObservedRule, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Managed files: path on the host → text."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """Permission bits of the managed files."""
    foreign: Mapping[str, str] = field(default_factory=dict)
    """Network configuration that is not ours: path → text without comments."""
    properties: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """The properties that a row or a backend asks for: index of a link → field → text."""
    properties_of_all: Mapping[str, str] = field(default_factory=dict)
    """The kernel variables of `all`, which count for every link: field → text."""
    link_towards_database: int | None = None
    """The index of the link by which the kernel sends packets to the database; None if it was not asked."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All links and rules of a host, and the routes of all tables except the kernel's own."""

    links: tuple[ObservedLink, ...]
    routes: Iterable[ObservedRoute]
    rules: tuple[ObservedRule, ...]
