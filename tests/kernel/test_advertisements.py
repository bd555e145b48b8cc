"""What a router on a secondary network announces is ignored, unless the row asks for it."""

from __future__ import annotations

import json

import pytest

from tests.kernel.network import Network, advertising, answers
from tests.kernel.node import Node, mac_of, until

PREFIX = "fd00:ad:"


@pytest.fixture
def announced(node: Node):
    """A node with one port, on a network whose router announces itself all the time."""
    network = Network(node.namespace)
    node.namespace.plug("eth1", mac_of(1))
    node.namespace.plug("eth2", mac_of(2))
    network.switch("lan", "port1", "port2")
    router = network.router(lan="10.5.0.1/24 fd00:ad::1/64")
    router.run("ip", "address", "add", "2001:db8::1/128", "dev", "lo")
    with advertising(router, "lan"):
        yield node


def hear(node: Node) -> None:
    """Wait until the node's kernel is done with two more advertisements."""

    def heard() -> int:
        counters = node.namespace.run("cat", "/proc/net/dev_snmp6/multinic0").stdout.split()
        return int(counters[counters.index("Icmp6InRouterAdvertisements") + 1])

    before = heard()
    until(lambda: heard() > before + 2)


def learned(node: Node, link: str = "multinic0") -> tuple[list[str], list[str]]:
    """Return the addresses of a link and the targets of its routes that came by advertisements."""
    addresses = [address for address in node.namespace.addresses(link) if address.startswith(PREFIX)]
    show = ["route", "show", "table", "all", "dev", link]
    routes = json.loads(node.namespace.run("ip", "-6", "-json", *show).stdout)
    return addresses, sorted(route["dst"] for route in routes if route.get("protocol") == "ra")


@pytest.mark.parametrize("address", ["10.5.0.11", "10.5.0.11/24, fd00:5::11/64", None])
def test_an_advertisement_brings_neither_address_nor_route(announced, address):
    node = announced
    node.attach(1, address, 1500, cidr="10.5.0.0/24")
    node.reconcile()
    hear(node)
    assert learned(node) == ([], [])
    node.ip("link", "set", "eth2", "up")  # any other link listens to this very router
    until(lambda: all(learned(node, "eth2")))


def test_accept_ra_brings_an_address_but_no_default_route_unless_that_is_asked_for(announced):
    node = announced
    node.attach(1, None, 1500, cidr="10.5.0.0/24", options=json.dumps({"accept_ra": True}))
    node.reconcile()
    until(lambda: learned(node)[0])
    hear(node)
    assert "default" not in learned(node)[1]
    assert node.reconcile() == ""

    options = {"accept_ra": True, "default_route": True, "metric": 3000}
    node.sql("UPDATE multi_interface SET options = %s", json.dumps(options))
    node.reconcile()
    until(lambda: "default" in learned(node)[1])
    (route,) = json.loads(node.namespace.run("ip", "-6", "-json", "route", "show", "default").stdout)
    assert (route["dev"], route["metric"]) == ("multinic0", 3000)
    assert answers(node.namespace, "2001:db8::1")
    assert node.reconcile() == ""

    node.sql("UPDATE multi_interface SET options = NULL, address = '10.5.0.11'")
    node.reconcile()
    hear(node)
    assert learned(node) == ([], [])
