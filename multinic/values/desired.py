"""The values everything else speaks in: what the database says, and what this host has.

All of it is frozen and parsed: whoever holds one of these values need not check it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


def ip_address(raw: bytes) -> IPAddress:
    """Return the address of 4 or 16 bytes as they come from the kernel."""
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def ip_interface(raw: bytes, prefix: int) -> IPInterface:
    """Return an address with its prefix length from the kernel's bytes."""
    return IPv4Interface((raw, prefix)) if len(raw) == 4 else IPv6Interface((raw, prefix))


def ip_network(raw: bytes, prefix: int) -> IPNetwork:
    """Return a network from the kernel's bytes."""
    return IPv4Network((raw, prefix)) if len(raw) == 4 else IPv6Network((raw, prefix))


MTU_MIN = 68  # RFC 791: every IPv4 module must forward 68 octets
MTU_MAX = 65535  # the Total Length field of IPv4 has 16 bits
MAIN_TABLE = 254  # RT_TABLE_MAIN of linux/rtnetlink.h

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


@dataclass(frozen=True, order=True, slots=True)
class Mac:
    """A unicast link-layer address, always lower case with colons, so `==` just works.

    Raises ValueError for anything that is not one, also for the zero, multicast and broadcast addresses:
    no network card answers to those.
    """

    text: str

    def __post_init__(self) -> None:
        text = self.text.lower().replace("-", ":")
        if not _MAC.fullmatch(text):
            raise ValueError("not a MAC address (six bytes in hex, like fa:16:3e:00:00:01)")
        if text == "00:00:00:00:00:00":
            raise ValueError("the zero MAC address, which belongs to no network card")
        if int(text[1], 16) & 1:
            raise ValueError("a multicast or broadcast MAC address, which belongs to no network card")
        object.__setattr__(self, "text", text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Route:
    """A route that an interface shall have. `via` None: what it leads to is on the link itself.

    `metric` None: the kernel's default; `on_link`: the gateway is reached although no address says so.
    """

    to: IPNetwork
    via: IPAddress | None = None
    metric: int | None = None
    table: int = MAIN_TABLE
    on_link: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy-routing rule: packets from (or to) these addresses look into `table`."""

    source: IPNetwork | None
    destination: IPNetwork | None
    table: int
    priority: int


@dataclass(frozen=True, slots=True)
class Options:
    """What a row asks of its link beyond addresses and MTU, as its JSON says it (options.py).

    A gateway, a metric or policy routing become routes and rules once the slot is known (routing.py).
    """

    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool = False
    gateways: tuple[IPAddress, ...] = ()
    """At most one of each family."""
    default_route: bool = False
    metric: int | None = None
    """Of the default route, whoever brings it; None: chosen by slot, behind the host's own."""
    routes: tuple[Route, ...] = ()
    policy_routing: bool = False
    dns: tuple[IPAddress, ...] = ()
    search: tuple[str, ...] = ()
    rp_filter: int | None = None
    arp_ignore: int | None = None
    arp_announce: int | None = None
    link_local: tuple[int, ...] | None = None
    """The IP versions that get link-local addresses; None: IPv6 where it is used, else none."""
    ethtool: tuple[tuple[str, bool], ...] = ()
    """Offloads by the short names of ethtool(8), sorted: whether each shall be on."""
    txqueuelen: int | None = None
    """Packets."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class DesiredLink:
    """What the database wants of one link."""

    mac: Mac
    port_id: str
    row_id: int
    addresses: tuple[IPInterface, ...] = ()
    mtu: int | None = None
    options: Options = Options()
    routes: tuple[Route, ...] = ()
    """All routes that follow from `options` for the link's slot, every metric filled in."""
    rules: tuple[Rule, ...] = ()
    """The policy-routing rules that follow from `options` for the link's slot."""

    @property
    def link_local(self) -> tuple[int, ...]:
        """The IP versions of which the link has link-local addresses."""
        if self.options.link_local is not None:
            return self.options.link_local
        uses_ipv6 = any(address.version == 6 for address in self.addresses)
        return (6,) if uses_ipv6 or self.options.dhcp6 or self.options.accept_ra else ()


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that cannot be carried out, and the one sentence an operator needs.

    `mac` is set where the row can still be attributed to a link; while any row cannot,
    nothing on the host is an orphan. `mac_text` is what the row says, escaped for display.
    """

    row_id: int | None
    mac: Mac | None
    mac_text: str
    port_id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RowFlag:
    """What the row says of our last report: the value of `netplan_success`."""

    row_id: int
    success: bool | None


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that the database says of one node."""

    node: str
    links: tuple[DesiredLink, ...] = ()
    invalid: tuple[InvalidRow, ...] = ()
    flags: tuple[RowFlag, ...] = ()
    database_address: IPAddress | None = None
    """Where the database was reached; the link on the way there is never touched."""
    rows_read: int = 0
    """How many rows of this node the database has, those not desired included."""


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
    raw: bytes = field(default=b"", compare=False, repr=False)
    """All of it in the kernel's own words, to be put back with label, scope, flags and lifetime."""


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
    """The whole route in the kernel's own words, to be put back with everything that it has."""


@dataclass(frozen=True, slots=True)
class ObservedRule:
    """A policy-routing rule of the kernel."""

    rule: Rule
    family: int
    protocol: int = 0
    raw: bytes = field(default=b"", repr=False)
    """The whole rule in the kernel's own words: rules that differ in a mark only are not the same."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What this host has now: links, routes, rules, and files."""

    links: tuple[ObservedLink, ...] = ()
    routes: tuple[ObservedRoute, ...] = ()
    rules: tuple[ObservedRule, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Managed files: path on the host → text."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """Permission bits of the managed files."""
    foreign: Mapping[str, str] = field(default_factory=dict)
    """Network configuration of others: path → text, comments removed."""
    tuning: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """Fields of tuning.py that somebody asks for: index of a link → field → text."""
    tuning_of_all: Mapping[str, str] = field(default_factory=dict)
    """The same kernel variables of all links together."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Attempts that failed, so that the same is not attempted on every pass."""

    count: int
    retry_at: float
    """Unix time before which the same is not attempted again."""
    wish: DesiredLink | None
    """What was attempted; something else is attempted at once."""
    link: int
    """The index of the link it failed on; on another one it is attempted at once. 0: none."""
    message: str
    suspect: bool = False
    """It was undone with others, for harm that one of them did: it is attempted alone."""


@dataclass(frozen=True, slots=True)
class Held:
    """What this host remembers of one managed link: its slot, and how it was before us."""

    slot: int
    port_id: str = ""
    name_before: str = ""
    """The name the link had when it was first configured; it gets it back on removal."""
    mtu_before: int | None = None
    applied: DesiredLink | None = None
    """The last configuration that converged: what on the link is ours to take away."""
    failure: Failure | None = None
    """How the last attempts to configure it failed; None after one that did not."""
    tuning_before: Mapping[str, str] = field(default_factory=dict)
    """What fields of tuning.py were before we set them."""


Record = Mapping[Mac, Held]
"""The memory of the host, kept in /var/lib/multinic: one entry a managed MAC."""
