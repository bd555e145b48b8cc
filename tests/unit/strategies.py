"""Values of every kind that the program remembers or shows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_interface, ip_network

from hypothesis import strategies as st

from multinic.values.desired import DesiredLink, Options, Route, Rule
from multinic.values.record import Entry
from multinic.values.rtnetlink import MAIN_TABLE
from tests.unit.making import mac

macs = st.integers(0, 500).map(mac)
addresses = st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(1, 32)).map(ip_interface) | st.builds(
    "{}/{}".format, st.ip_addresses(v=6), st.integers(1, 128)
).map(ip_interface)
networks = addresses.map(lambda address: ip_network(address.network))
numbers = st.integers(0, 2**32 - 1)

routes = st.builds(
    Route, networks, st.none() | st.ip_addresses(), st.none() | numbers, numbers, st.booleans()
)
rules = st.builds(Rule, st.none() | networks, st.none() | networks, numbers, numbers)
identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
desired_links = st.builds(
    DesiredLink,
    mac=macs,
    port_id=identifiers,
    row_id=numbers,
    addresses=st.lists(addresses, max_size=3).map(tuple),
    mtu=st.none() | st.integers(68, 65535),
    routes=st.lists(routes, max_size=2).map(tuple),
    rules=st.lists(rules, max_size=2).map(tuple),
)
entries = st.builds(
    Entry,
    slot=st.integers(0, 999),
    port_id=identifiers,
    name_before=st.text(max_size=15),
    mtu_before=st.none() | st.integers(0, 65535),
    applied=st.none() | desired_links,
)

_hops = [
    st.integers(10 << 24 | 1, 11 << 24).map(IPv4Address),
    st.integers(0xFD << 120 | 1, 0xFE << 120).map(IPv6Address),
]
_positive = st.integers(1, 2**32 - 1)


@st.composite
def _option_routes(draw: st.DrawFn) -> Route:
    """Return a route that `options` can ask for: never a default route."""
    version = draw(st.sampled_from([0, 1]))
    inside = draw(_hops[version])
    to = ip_network(f"{inside}/{draw(st.integers(9, inside.max_prefixlen))}", strict=False)
    via = draw(st.none() | _hops[version])
    table = draw(st.just(MAIN_TABLE) | _positive.filter(lambda table: table not in (253, 254, 255)))
    return Route(to, via, draw(st.none() | _positive), table, via is not None and draw(st.booleans()))


options = st.builds(
    Options,
    dhcp4=st.booleans(),
    dhcp6=st.booleans(),
    accept_ra=st.booleans(),
    gateways=st.lists(st.one_of(_hops), max_size=2, unique_by=lambda address: address.version).map(tuple),
    default_route=st.booleans(),
    metric=st.none() | _positive,
    routes=st.lists(
        _option_routes(), max_size=3, unique_by=lambda route: (route.to, route.table, route.metric)
    ).map(tuple),
    policy_routing=st.booleans(),
    dns=st.lists(st.one_of(_hops), max_size=8, unique=True).map(tuple),
    search=st.lists(
        st.from_regex(r"[a-z0-9]{1,9}(\.[a-z0-9]{1,9})?", fullmatch=True), max_size=16, unique=True
    ).map(tuple),
    rp_filter=st.none() | st.integers(0, 2),
    arp_ignore=st.none() | st.sampled_from([0, 1, 2, 3, 8]),
    arp_announce=st.none() | st.integers(0, 2),
    link_local=st.none() | st.sampled_from([(), (4,), (6,), (4, 6)]),
    ethtool=st.dictionaries(st.sampled_from(["gro", "gso", "lro", "rx", "tso", "tx"]), st.booleans()).map(
        lambda found: tuple(sorted(found.items()))
    ),
    txqueuelen=st.none() | st.integers(0, 1_000_000),
    lldp=st.booleans(),
    description=st.text(max_size=60).map(lambda text: "".join(filter(str.isprintable, text)).strip()),
)
"""Everything that `options` can ask for, also what contradicts itself."""
