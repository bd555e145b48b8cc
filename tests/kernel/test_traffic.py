"""Packets flow as the options say, and would not without them: real pings through switches and routers."""

from __future__ import annotations

import json
from ipaddress import ip_interface

import pytest

from tests.kernel.network import JUMBO, Network, answers, silent
from tests.kernel.node import Node, mac_of, until

DAD = "dad_transmits=1"  # the kernel's default, which `network` sets to 0


@pytest.fixture
def network(node: Node) -> Network:
    return Network(node.namespace)


def attach(node: Node, number: int, address: str | None, **options: object) -> None:
    """Attach the n-th port with these options, and plug its link in: the far end is `port{number}`."""
    values = {"options": json.dumps(options)} if options else {}
    cidr = str(ip_interface((address or "10.0.0.1/24").split(",")[0]).network)
    node.attach(number, address, subnet_id=f"subnet-{number}", cidr=cidr, **values)
    node.namespace.plug(f"eth{number}", mac_of(number))


def sent(packets, kind):
    """Return what the node sent of one kind: (port, source)."""
    return {(packet.port, packet.source) for packet in packets if packet.from_node and packet.kind == kind}


def test_packets_of_9000_bytes_pass_unfragmented_from_end_to_end(node, network):
    attach(node, 1, "10.1.0.11/24, fd00:1::11/64")
    network.switch("lan", "port1")
    peer = network.machine(lan="10.1.0.1/24 fd00:1::1/64")
    headers = {"10.1.0.1": 28, "fd00:1::1": 48}
    whole = {target: ("-M", "do", "-s", str(JUMBO - size)) for target, size in headers.items()}
    more = {target: ("-M", "do", "-s", str(JUMBO - size + 1)) for target, size in headers.items()}

    node.reconcile()
    for target in headers:
        assert answers(node.namespace, target)
        assert silent(node.namespace, target, *whole[target])

    node.sql("UPDATE multi_interface SET mtu = %s", JUMBO)
    node.reconcile()
    for target, own in (("10.1.0.1", "10.1.0.11"), ("fd00:1::1", "fd00:1::11")):
        assert answers(node.namespace, target, *whole[target])
        assert answers(peer, own, *whole[target])
        assert silent(node.namespace, target, *more[target])


def test_neighbours_find_each_other_over_ipv6_once_the_address_is_the_nodes_own(node, network):
    attach(node, 1, "10.1.0.11/24, fd00:1::11/64")
    node.namespace.run("sysctl", "-qw", f"net.ipv6.conf.eth1.{DAD}")
    network.switch("lan", "port1")
    peer = network.machine(lan="10.1.0.1/24 fd00:1::1/64")
    assert silent(peer, "fd00:1::11")
    with network.capture("port1") as packets:
        node.reconcile()
        peer.run("ip", "neigh", "flush", "all")
        # At once: the pass does not end before the address may be used.
        assert answers(peer, "fd00:1::11")
        assert answers(peer, "10.1.0.11")
        assert answers(node.namespace, "fd00:1::1")
    assert ("port1", "::") in sent(packets, "neighbour-solicitation")  # is the address free?
    assert ("port1", "fd00:1::11") in sent(packets, "neighbour-advertisement")
    neighbours = json.loads(peer.run("ip", "-json", "-6", "neigh", "show", "to", "fd00:1::11").stdout)
    assert [neighbour["lladdr"] for neighbour in neighbours] == [mac_of(1)]


def test_a_link_has_not_converged_while_the_network_is_asked_about_its_address(node, network):
    attach(node, 1, "fd00::5/64")
    network.switch("lan", "port1")
    peer = network.machine(lan="fd00::1/64")
    node.slow_down(1)
    process = node.start("reconcile", env={"MULTINIC_VERIFY_TIMEOUT": "60s"})
    until(lambda: node.namespace.run("ip", "address", "show", "tentative", "to", "fd00::5").stdout)
    assert silent(peer, "fd00::5")
    assert process.poll() is None
    assert node.flags() == {mac_of(1): 0}
    node.ip("address", "delete", "fd00::5/64", "dev", "multinic0")
    node.ip("address", "add", "fd00::5/64", "dev", "multinic0", "nodad")  # as if the minute were over
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert node.flags() == {mac_of(1): 1}
    assert answers(peer, "fd00::5")


def test_an_address_that_a_machine_on_the_network_has_fails_as_a_duplicate(node, network):
    attach(node, 1, "10.1.0.11/24, fd00::5/64")
    node.namespace.run("sysctl", "-qw", f"net.ipv6.conf.eth1.{DAD}")
    network.switch("lan", "port1")
    network.machine(lan="fd00::5/64")
    node.reconcile(expect=4)
    (item,) = node.document("status")["interfaces"]
    assert (item["state"], item["reason"]) == ("failed", "duplicate-address")
    assert node.link(1)[0] == "eth1"
