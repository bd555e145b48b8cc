"""What the database asks for, as parsed values: code that gets one need not check it again."""

from __future__ import annotations

from dataclasses import dataclass

from multinic.values.addresses import IPAddress, IPInterface, IPNetwork, Mac
from multinic.values.rtnetlink import MAIN_TABLE

MTU_MIN = 68  # RFC 791: every IPv4 module must forward 68 octets
MTU_MAX = 65535  # the Total Length field of IPv4 has 16 bits


def route_words(to: IPNetwork, via: IPAddress | None, metric: int | None, table: int) -> str:
    """Return a route as ip(8) prints it."""
    words = "default" if not to.prefixlen else str(to)
    words += f" via {via}" if via else ""
    words += f" metric {metric}" if metric else ""
    return words + (f" table {table}" if table != MAIN_TABLE else "")


@dataclass(frozen=True, slots=True)
class Route:
    """A route that an interface shall have. `via` None: the network is on the link itself.

    `metric` None: the kernel's default; `on_link`: the gateway is on the link, although no subnet of the
    link contains it.
    """

    to: IPNetwork
    via: IPAddress | None = None
    metric: int | None = None
    table: int = MAIN_TABLE
    on_link: bool = False

    def __str__(self) -> str:
        return route_words(self.to, self.via, self.metric, self.table)


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy-routing rule: for packets from (or to) these addresses the kernel uses `table`."""

    source: IPNetwork | None
    destination: IPNetwork | None
    table: int
    priority: int

    def __str__(self) -> str:
        source = f"from {self.source}" if self.source else "from all"
        destination = f" to {self.destination}" if self.destination else ""
        return f"{source}{destination} table {self.table} priority {self.priority}"


@dataclass(frozen=True, slots=True)
class Options:
    """What a row asks for besides addresses and MTU, as its JSON says it (options.py).

    A gateway, a metric or policy routing become routes and rules once the slot is known (routing.py).
    """

    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool = False
    gateways: tuple[IPAddress, ...] = ()
    """At most one of each family."""
    default_route: bool = False
    metric: int | None = None
    """Of the default route, also of one from DHCP or a router; None: by slot, behind the host's own."""
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
    lldp: bool = False
    """Whether the network service receives the frames by which switches tell who they are."""


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
    """A row that cannot be carried out, and the one sentence that an operator needs.

    `mac` is set if it is still known which link the row means. While that is unknown for any row, nothing
    on the host is an orphan. `mac_text` is the text in the row, escaped for display.
    """

    row_id: int | None
    mac: Mac | None
    mac_text: str
    port_id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RowFlag:
    """The value of `netplan_success` in a row: what we reported last."""

    row_id: int
    success: bool | None


@dataclass(frozen=True, slots=True)
class RowElsewhere:
    """A row under a name that may be another spelling of this node: n1 and n1.example.org."""

    row_id: int | None
    node: str
    mac: Mac | None
    port_id: str


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that the database says of one node."""

    node: str
    links: tuple[DesiredLink, ...] = ()
    invalid: tuple[InvalidRow, ...] = ()
    flags: tuple[RowFlag, ...] = ()
    database_address: IPAddress | None = None
    """The address at which the database answered; the link that leads there is never touched."""
    elsewhere: tuple[RowElsewhere, ...] = ()
    """Rows that are desired, and whose node name is another spelling of this node's."""
    rows_read: int = 0
    """How many rows of this node the database has, also those that are not desired."""
