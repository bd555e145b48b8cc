"""Leases and router advertisements on a booted host: what a real server and a router give, and what they may
not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.host.columns import Column, Host, columns
from tests.host.lan import advertising, dhcp_server
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.node import mac_of

LEASED = "10.5.0.150/24"


@pytest.fixture
def node(clean: Box, server: PrivateMariaDB) -> Node:
    return Node(clean, server)


OPTIONS = (
    f"--dhcp-host={mac_of(0)},impostor,10.5.0.150",
    "--dhcp-option=option:dns-server,10.5.0.53",
    "--dhcp-option=option:domain-name,impostor.example",
    "--dhcp-option=option:domain-search,impostor.example",
    "--dhcp-option=option:ntp-server,10.5.0.123",
    "--dhcp-option=option:mtu,1300",
)
"""What a DHCP server tells its clients, which is more than they should believe."""


def routes(box: Box, name: str = "multinic0") -> dict[str, tuple[str, int]]:
    """Return gateway and metric of the routes through a link that lead further than to its subnets."""
    found = {}
    for family in ("-4", "-6"):
        shown = box.run("ip", family, "-json", "route", "show", "table", "all", "dev", name).stdout
        for route in json.loads(shown or "[]"):
            if "gateway" in route:
                found[f"{route['dst']} {family}"] = (route["gateway"], route.get("metric", 0))
    return found


def names(box: Box) -> tuple[str, str, list[str]]:
    """Return what a server could change: the host's name, and how names and the time are found."""
    told = box.run("sh", "-c", "cat /run/systemd/netif/links/* /run/systemd/netif/state").stdout.splitlines()
    known = [line for line in told if re.match("(DNS|DOMAINS|NTP)=.", line)]
    resolver = box.run("cat", "/etc/resolv.conf", check=False).stdout
    return box.run("hostname").stdout, resolver, known


def state(node: Node) -> tuple[str, str]:
    """Return state and reason of the one interface, by the last pass."""
    (item,) = json.loads(node.run("--output", "json", "status").stdout)["interfaces"]
    return item["state"], item["reason"]


def test_a_lease_brings_an_address_and_nothing_else_unless_a_default_route_is_asked_for(node: Node):
    box = node.box
    node.attach(0, address=None, link="ens3", options=json.dumps({"dhcp4": True}))
    before = names(box)
    with dhcp_server(box, *OPTIONS):
        node.run("reconcile")
        assert box.addresses("multinic0") == [LEASED]
        assert box.links()["multinic0"]["mtu"] == 1450
        assert routes(box) == {}
        assert names(box) == before
        assert node.flags() == {"port-0": 1}
        with box.monitor() as events:
            assert node.run("reconcile").stderr == ""
        assert events == []

        options = {"dhcp4": True, "default_route": True, "metric": 700}
        node.sql("UPDATE multi_interface SET options = %s", json.dumps(options))
        node.run("reconcile")
        eventually(lambda: routes(box), what="a default route")
        assert routes(box)["default -4"] == ("10.5.0.1", 700)
        assert box.addresses("multinic0") == [LEASED]
        assert names(box) == before
        assert node.run("reconcile").stderr == ""

        node.sql("UPDATE multi_interface SET options = NULL, address = '10.5.0.20'")
        node.run("reconcile")
        assert box.addresses("multinic0") == ["10.5.0.20/24"]
        assert routes(box) == {}
        assert json.loads(box.run("ip", "-json", "route", "show", "default").stdout)[0]["dev"] == "eth0"


def test_a_link_waits_for_a_server_that_does_not_answer_and_converges_when_it_does(node: Node):
    box = node.box
    node.attach(0, address=None, link="ens3", options=json.dumps({"dhcp4": True}))
    node.run("reconcile")
    assert state(node) == ("waiting", "no-lease")
    assert node.flags() == {"port-0": 0}
    assert box.links()["multinic0"]["address"] == mac_of(0)  # it is configured, and stays so
    assert box.exists("/etc/netplan/90-multinic0.yaml")
    with dhcp_server(box, *OPTIONS):
        eventually(lambda: box.addresses("multinic0") == [LEASED], timeout=60, what="a lease")
        node.run("reconcile")
        assert state(node)[0] in ("converged", "unchanged")
        assert node.flags() == {"port-0": 1}


@columns(only=lambda column: column.lasts)
def test_a_lease_of_the_very_address_of_the_row_is_a_lease(column: Column, boxes: Callable[[str], Box]):
    """A cloud's own server hands out what the port has."""
    host = Host.clean(boxes(column.kind), column)
    host.attach(0, address="10.5.0.150", link="ens3", options=json.dumps({"dhcp4": True}))
    host.run("reconcile")
    assert state(host) == ("waiting", "no-lease")
    assert host.run("reconcile").stderr == ""
    with dhcp_server(host.box, *OPTIONS):

        def is_leased() -> bool:
            host.run("reconcile")
            return state(host) == ("converged", "converged")

        eventually(is_leased, timeout=60, pause=1, what="a lease")
        assert host.box.addresses("multinic0") == [LEASED]
        assert host.flags() == {"port-0": 1}
        assert host.run("reconcile").stderr == ""


def test_a_router_is_believed_no_more_than_was_asked_for(node: Node):
    box = node.box
    node.attach(0, link="ens3")
    before = names(box)

    def heard() -> int:
        counters = box.run("cat", "/proc/net/dev_snmp6/multinic0").stdout.split()
        return int(counters[counters.index("Icmp6InRouterAdvertisements") + 1])

    with advertising(box):
        node.run("reconcile")
        already = heard()
        eventually(lambda: heard() > already + 2)
        assert box.addresses("multinic0") == ["10.5.0.10/24"]
        assert routes(box) == {}

        node.sql("UPDATE multi_interface SET options = %s", json.dumps({"accept_ra": True}))
        node.run("reconcile")
        eventually(lambda: any(found.startswith("fd00:ad:") for found in box.addresses("multinic0")))
        eventually(lambda: box.settled("multinic0"), what="networkd to be done with the advertisement")
        already = heard()
        eventually(lambda: heard() > already + 2)
        assert "default -6" not in routes(box)
        assert names(box) == before
        assert node.run("reconcile").stderr == ""

        options = {"accept_ra": True, "default_route": True, "metric": 700}
        node.sql("UPDATE multi_interface SET options = %s", json.dumps(options))
        node.run("reconcile")
        eventually(lambda: "default -6" in routes(box), what="a default route")
        assert routes(box)["default -6"][1] == 700
        assert names(box) == before

        node.sql("UPDATE multi_interface SET options = NULL")
        node.run("reconcile")
        already = heard()
        eventually(lambda: heard() > already + 2)
        assert box.addresses("multinic0") == ["10.5.0.10/24"]
        assert routes(box) == {}
