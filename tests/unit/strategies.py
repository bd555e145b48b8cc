"""Values of every kind that the program remembers or shows."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from hypothesis import strategies as st

from multinic.model import DesiredLink, Held, Route, Rule
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
held = st.builds(
    Held,
    slot=st.integers(0, 999),
    port_id=identifiers,
    name_before=st.text(max_size=15),
    mtu_before=st.none() | st.integers(0, 65535),
    applied=st.none() | desired_links,
)
