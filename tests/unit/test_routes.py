"""Routes that are parsed when somebody asks for them answer as if all of them had been."""

from __future__ import annotations

import itertools
import socket
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multinic.kernel import routes as kernel_routes
from multinic.kernel.messages import ROUTE, U32, attribute, route_of
from multinic.kernel.reader import LASTING
from multinic.kernel.routes import Dump, KernelRoutes, route
from multinic.values.routes import Routes
from tests.unit import test_parts
from tests.unit.test_parts import parts

TABLES = (254, 100, 1001)
LINKS = (2, 9, 30, 4 << 16 | 8)  # the numbers of attributes, and what their beginnings look like
ADDRESSES = (*map(IPv4Address, ("10.0.0.1", "8.0.4.9", "192.168.1.1")), IPv6Address("fd00::1"))
NETWORKS = (
    *map(IPv4Network, ("0.0.0.0/0", "8.0.4.0/24", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.1/32", "9.0.30.0/24")),
    *map(IPv6Network, ("::/0", "fd00::/64", "fd00::1/128", "800:400::/32")),
)


def hop(link: int, gateway: bytes | None) -> bytes:
    more = attribute(5, gateway) if gateway else b""
    return struct.pack("=HBBi", 8 + len(more), 0, 0, link) + more


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Return the kernel's message of a route, with its attributes in any order."""
    network, table = draw(st.sampled_from(NETWORKS)), draw(st.sampled_from(TABLES))
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    gateway = draw(st.none() | st.just(network.network_address.packed))
    kind = draw(st.sampled_from((1, 1, 1, 7)))  # unreachable: through no link
    head = ROUTE.pack(family, network.prefixlen, 0, 0, table if table < 256 else 252, 4, 0, kind, 0)
    attributes = [attribute(15, U32.pack(table)), attribute(6, U32.pack(draw(st.sampled_from((0, 9, 1024)))))]
    if network.prefixlen:
        attributes.append(attribute(1, network.network_address.packed))
    links = draw(st.lists(st.sampled_from(LINKS), min_size=1, max_size=2))
    if draw(st.booleans()):
        attributes.append(attribute(30, U32.pack(7)))
    elif kind != 1:
        pass
    elif len(links) > 1:
        attributes.append(attribute(9, b"".join(hop(link, gateway) for link in links)))
    else:
        attributes.append(attribute(4, U32.pack(links[0])))
        attributes += [attribute(5, gateway)] if gateway else []
    return head + b"".join(draw(st.permutations(attributes)))


@pytest.mark.parametrize("small", [0, 1 << 14], ids=["searched", "looked through"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(messages(), max_size=6, unique=True), st.lists(messages(), max_size=3), st.data())
def test_what_is_asked_of_routes_does_not_depend_on_when_they_are_parsed(
    monkeypatch, small, found, more, data
):
    monkeypatch.setattr(kernel_routes, "_SMALL", small)
    cut = data.draw(st.integers(0, len(found)))
    lazy, whole = kinds(found, cut)
    for name, arguments in (
        ("through", LINKS),
        ("in_table", TABLES),
        ("to", ADDRESSES),
        ("to_network", NETWORKS),
    ):
        for argument in arguments:
            answer = getattr(lazy, name)(argument)
            assert sorted(answer, key=repr) == sorted(getattr(whole, name)(argument), key=repr), name
    assert lazy.defaults() == whole.defaults()
    staying = data.draw(st.lists(st.sampled_from(found), unique=True)) if found else []
    later, whole_later = kinds([*staying, *more], data.draw(st.integers(0, len(staying))))
    kept, whole_kept = (routes.only(lambda one: one.table == TABLES[0]) for routes in (lazy, whole))
    assert lazy.gone_from(later) == whole.gone_from(whole_later)
    assert kept.gone_from(later) == whole_kept.gone_from(whole_later)
    assert list(kept) == list(whole_kept)


def of_network(network: IPv6Network, link: int) -> bytes:
    """Return the kernel's message of a route whose link stands right behind its destination."""
    head = ROUTE.pack(socket.AF_INET6, network.prefixlen, 0, 0, 254, 4, 0, 1, 0)
    return head + attribute(1, network.network_address.packed) + attribute(4, U32.pack(link))


def test_an_address_that_ends_like_the_beginning_of_a_link_hides_no_link():
    (lazy, whole), link = kinds([of_network(IPv6Network("fd00::800:400/128"), 9)]), 9
    assert lazy.through(link) == whole.through(link) != []


def test_an_address_with_the_bytes_of_a_header_in_it_is_not_gone(monkeypatch):
    """They are left out where two dumps are compared."""
    dump = 77
    monkeypatch.setattr(test_parts, "dumps", itertools.count(dump))
    address = b"\xfd\0\0\0" + struct.pack("=II", dump, test_parts.SOCKET) + bytes(4)
    message = of_network(IPv6Network((address, 128)), 9)
    before, _ = kinds([message, of_network(IPv6Network("fd01::/64"), 9)])
    after, _ = kinds([message])
    assert [str(one.to) for one in before.gone_from(after)] == ["fd01::/64"]


def kinds(found: list[bytes], cut: int = 0) -> tuple[KernelRoutes, Routes]:
    """Return the same routes as a dump of two parts, and parsed."""
    whole = Routes(route(item) for one in found for item in route_of(one, LASTING))
    return KernelRoutes([Dump(tuple(parts(found, [cut])), LASTING)]), whole
