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


def ask(node: Node, number: int, **options: object) -> None:
    """Give the row of the n-th port other options."""
    text = json.dumps(options)
    node.sql("UPDATE multi_interface SET options = %s WHERE macaddress = %s", text, mac_of(number))


def sent(packets, kind):
    """Return what the node sent of one kind: (port, source)."""
    return {(packet.port, packet.source) for packet in packets if packet.from_node and packet.kind == kind}


RED, BLUE = ("10.1.0.11", "fd00:1::11"), ("10.2.0.11", "fd00:2::11")


@pytest.fixture
def routed(node: Node, network: Network):
    """A node with a primary link and two ports in networks of their own, a router between all networks that
    filters strictly, and a client behind it: (node, network, client)."""
    attach(node, 1, "10.1.0.11/24, fd00:1::11/64")
    attach(node, 2, "10.2.0.11/24, fd00:2::11/64")
    node.namespace.plug("eth0", "52:54:00:00:00:01", up=True)
    for name, port in (("red", "port1"), ("blue", "port2"), ("home", "port3")):
        network.switch(name, port)
    network.switch("outside")
    network.router(
        red="10.1.0.1/24 fd00:1::1/64",
        blue="10.2.0.1/24 fd00:2::1/64",
        home="10.0.1.1/24 fd00::1/64",
        outside="10.9.0.1/24 fd00:9::1/64",
    )
    client = network.machine(outside="10.9.0.2/24 fd00:9::2/64")
    client.run("ip", "route", "add", "default", "via", "10.9.0.1")
    client.run("ip", "route", "add", "default", "via", "fd00:9::1")
    node.ip("address", "add", "10.0.1.2/24", "dev", "eth0")
    node.ip("address", "add", "fd00::2/64", "dev", "eth0", "nodad")
    node.ip("route", "add", "default", "via", "10.0.1.1")
    node.ip("route", "add", "default", "via", "fd00::1")
    assert answers(client, "10.0.1.2")
    assert answers(client, "fd00::2")
    return node, network, client


def test_a_reply_leaves_through_the_nic_it_came_in_by_so_that_a_strict_router_lets_it_pass(routed):
    node, network, client = routed
    node.reconcile()
    with network.capture("port1", "port2", "port3") as packets:
        assert silent(client, RED[0])
        assert silent(client, BLUE[0])
        assert answers(client, RED[1])  # nothing filters IPv6, but the reply takes the wrong way
        assert answers(client, BLUE[1])
    assert sent(packets, "echo-reply") == {("port3", address) for address in RED + BLUE}

    ask(node, 1, policy_routing="auto", gateway=["10.1.0.1", "fd00:1::1"])
    ask(node, 2, policy_routing="auto", gateway=["10.2.0.1", "fd00:2::1"])
    node.reconcile()
    with network.capture("port1", "port2", "port3") as packets:
        assert all(answers(client, address) for address in RED + BLUE)
    replies = {("port1", address) for address in RED} | {("port2", address) for address in BLUE}
    assert sent(packets, "echo-reply") == replies

    with network.capture("port1", "port2", "port3") as packets:
        assert answers(node.namespace, "10.9.0.2")
        assert answers(node.namespace, "fd00:9::2")
        assert answers(node.namespace, "10.9.0.2", "-I", BLUE[0])
    # What the node begins itself goes where it always went, unless it is told from which address.
    assert sent(packets, "echo-request") == {
        ("port3", "10.0.1.2"),
        ("port3", "fd00::2"),
        ("port2", BLUE[0]),
    }
    node.reconcile()
    assert answers(client, RED[0])


def test_a_node_that_filters_strictly_itself_answers_on_both_nics_with_policy_routing(routed):
    node, _, client = routed
    strict = {"rp_filter": 1}
    ask(node, 1, **strict)
    node.reconcile()
    assert silent(client, RED[0])
    ask(node, 1, policy_routing="auto", gateway="10.1.0.1", **strict)
    node.reconcile()
    assert answers(client, RED[0])
    assert node.namespace.run("sysctl", "-n", "net.ipv4.conf.multinic0.rp_filter").stdout == "1\n"


@pytest.fixture
def shared(node: Node, network: Network):
    """A node with two ports in one subnet, and a peer there: (node, network, peer)."""
    attach(node, 1, "10.5.0.11/24, fd00:5::11/64")
    attach(node, 2, "10.5.0.12/24, fd00:5::12/64")
    network.switch("lan", "port1", "port2")
    return node, network, network.machine(lan="10.5.0.1/24 fd00:5::1/64")


def test_two_nics_in_one_subnet_each_speak_for_their_own_address(shared):
    node, network, peer = shared
    node.reconcile()
    with network.capture("port1", "port2") as packets:
        assert answers(peer, "10.5.0.11")
        assert answers(peer, "10.5.0.12")
    # Linux by itself: every NIC answers for every address, and all replies leave by the first one.
    told = {(packet.source, packet.mac) for packet in packets if packet.kind == "arp-reply"}
    assert ("10.5.0.12", mac_of(1)) in told
    assert ("10.5.0.12", mac_of(2)) in told
    assert sent(packets, "echo-reply") == {("port1", "10.5.0.11"), ("port1", "10.5.0.12")}

    for number in (1, 2):
        ask(node, number, policy_routing="auto", arp_ignore=1, arp_announce=2)
    node.reconcile()
    peer.run("ip", "neigh", "flush", "all")
    addresses = {1: ("10.5.0.11", "fd00:5::11"), 2: ("10.5.0.12", "fd00:5::12")}
    with network.capture("port1", "port2") as packets:
        for own in addresses.values():
            assert all(answers(peer, address) for address in own)
            assert all(answers(node.namespace, "10.5.0.1", "-I", own[0]) for _ in "12")
    from_node = [packet for packet in packets if packet.from_node]
    assert {packet.kind for packet in from_node} >= {"arp-reply", "echo-reply", "neighbour-advertisement"}
    for packet in from_node:
        number = int(packet.port.removeprefix("port"))
        assert packet.mac == mac_of(number)
        assert packet.source.startswith("fe80:") or packet.source in addresses[number], packet


def test_arp_announce_keeps_a_nic_from_asking_in_the_name_of_another(shared):
    node, network, peer = shared

    def asked_by_the_first():
        """Let the node answer for its second address by its first NIC: in whose name does that ask?"""
        node.reconcile()
        for machine in (peer, node.namespace):
            machine.run("ip", "neigh", "flush", "all")
        with network.capture("port1") as packets:
            assert answers(peer, "10.5.0.12")
        return {p.source for p in packets if p.from_node and p.kind == "arp-request"}

    for number in (1, 2):
        ask(node, number, arp_ignore=1)
    assert asked_by_the_first() == {"10.5.0.12"}
    for number in (1, 2):
        ask(node, number, arp_ignore=1, arp_announce=2)
    assert asked_by_the_first() == {"10.5.0.11"}


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


def test_an_ipv4_address_that_a_machine_on_the_network_has_is_put_on_no_link(node, network):
    node.probes = True
    attach(node, 1, "10.1.0.11/24")
    attach(node, 2, "10.1.0.12/24")
    network.switch("lan", "port1", "port2")
    other = network.machine(lan="10.1.0.11/24")
    watching = network.machine(lan="10.1.0.99/24")
    assert answers(watching, "10.1.0.11")
    known = watching.run("ip", "neigh", "show", "to", "10.1.0.11").stdout.split()[:4]
    before = node.link(1)
    said = node.reconcile(expect=4)
    assert "10.1.0.11 is in use by another machine on that network (" in said
    assert "nothing was changed" in said
    assert (node.link(1), node.link(2)[0]) == (before, "multinic1")
    assert node.flags() == {mac_of(1): 0, mac_of(2): 1}
    first, _ = node.document("status")["interfaces"]
    assert (first["state"], first["reason"]) == ("failed", "duplicate-address")
    assert watching.run("ip", "neigh", "show", "to", "10.1.0.11").stdout.split()[:4] == known
    other.run("ip", "link", "set", "lan", "down")
    node.multinic("apply", "--yes")
    assert node.link(1) == ("multinic0", True, 1500, ("10.1.0.11/24",))


def test_a_working_link_keeps_its_address_while_another_machine_has_the_new_one(node, network):
    node.probes = True
    attach(node, 1, "10.1.0.11/24")
    network.switch("lan", "port1")
    peer = network.machine(lan="10.1.0.12/24")
    node.reconcile()
    node.sql("UPDATE multi_interface SET address = '10.1.0.12'")
    with node.events() as events:
        node.reconcile(expect=4)
    assert events == []
    assert answers(peer, "10.1.0.11")
    node.multinic("apply", "--yes", env={"MULTINIC_SAFETY_PROBE_ADDRESSES": "false"})
    assert node.link(1)[3] == ("10.1.0.12/24",)


def test_links_of_one_network_that_exchange_their_addresses_are_no_other_machines(node, network):
    node.probes = True
    attach(node, 1, "10.1.0.11/24")
    attach(node, 2, "10.1.0.12/24")
    network.switch("lan", "port1", "port2")
    node.reconcile()
    for number, address in ((1, "10.1.0.12"), (2, "10.1.0.11")):
        node.sql(f"UPDATE multi_interface SET address = '{address}' WHERE macaddress = %s", mac_of(number))
    node.reconcile()
    assert [node.link(n)[3] for n in (1, 2)] == [("10.1.0.12/24",), ("10.1.0.11/24",)]


@pytest.fixture
def beyond(node: Node, network: Network):
    """A node with one port, and a router with a network behind it: (node, network)."""
    attach(node, 1, "10.1.0.11/24, fd00:1::11/64")
    network.switch("lan", "port1")
    router = network.router(lan="10.1.0.1/24 fd00:1::1/64")
    router.run("ip", "address", "add", "10.50.0.1/16", "dev", "lo")
    router.run("ip", "address", "add", "fd00:50::1/48", "dev", "lo")
    return node, network


def test_what_is_behind_a_next_hop_is_reached_by_a_static_route(beyond):
    node, _ = beyond
    node.reconcile()
    assert silent(node.namespace, "10.50.0.1")
    assert silent(node.namespace, "fd00:50::1")
    routes = [
        {"to": "10.50.0.0/16", "via": "10.1.0.1", "metric": 50},
        {"to": "fd00:50::/48", "via": "fd00:1::1"},
    ]
    ask(node, 1, routes=routes)
    node.reconcile()
    assert answers(node.namespace, "10.50.0.1")
    assert answers(node.namespace, "fd00:50::1")
    assert node.namespace.routes("10.50.0.0/16")[0]["metric"] == 50
    ask(node, 1)
    node.reconcile()
    assert silent(node.namespace, "10.50.0.1")
    assert silent(node.namespace, "fd00:50::1")


def test_a_route_moves_from_one_nic_to_another_in_one_pass(node, network):
    for number in (1, 2):
        attach(node, number, f"10.{number}.0.11/24, fd00:{number}::11/64")
        network.switch(f"lan{number}", f"port{number}")
        router = network.router(**{f"lan{number}": f"10.{number}.0.1/24 fd00:{number}::1/64"})
        router.run("ip", "address", "add", "10.50.0.1/16", "dev", "lo")
        router.run("ip", "address", "add", "fd00:50::1/48", "dev", "lo")
    for number in (1, 2, 1):
        routes = [
            {"to": "10.50.0.0/16", "via": f"10.{number}.0.1"},
            {"to": "fd00:50::/48", "via": f"fd00:{number}::1"},
        ]
        ask(node, number, routes=routes)
        ask(node, 3 - number)
        node.reconcile()
        with network.capture("port1", "port2") as packets:
            assert answers(node.namespace, "10.50.0.1")
            assert answers(node.namespace, "fd00:50::1")
        assert {port for port, _ in sent(packets, "echo-request")} == {f"port{number}"}


def test_a_route_that_another_link_has_already_is_told_with_the_link(beyond):
    node, _ = beyond
    node.namespace.plug("eth0", "52:54:00:00:00:01", up=True)
    node.ip("route", "add", "10.50.0.0/16", "dev", "eth0")
    ask(node, 1, routes=[{"to": "10.50.0.0/16", "via": "10.1.0.1"}])
    assert "10.50.0.0/16 via 10.1.0.1, which link eth0 already has" in node.reconcile(expect=4)
    ask(node, 1, routes=[{"to": "10.50.0.0/16", "via": "10.1.0.1", "metric": 50}])
    node.reconcile()
    assert len(node.namespace.routes("10.50.0.0/16")) == 2


def test_a_gateway_outside_every_subnet_is_reached_on_the_link(node, network):
    attach(node, 1, "10.9.0.5/32")
    network.switch("lan", "port1")
    router = network.machine(lan="10.66.0.1/32")
    router.run("ip", "address", "add", "10.50.0.1/32", "dev", "lo")
    router.run("ip", "route", "add", "10.9.0.5/32", "dev", "lan")
    node.reconcile()
    assert silent(node.namespace, "10.50.0.1")
    ask(node, 1, routes=[{"to": "10.50.0.0/16", "via": "10.66.0.1", "on_link": True}])
    node.reconcile()
    assert answers(node.namespace, "10.50.0.1")


def test_a_network_on_the_link_itself_needs_no_next_hop(node, network):
    attach(node, 1, "10.9.0.5/32")
    network.switch("lan", "port1")
    network.machine(lan="10.66.0.1/32").run("ip", "route", "add", "10.9.0.5/32", "dev", "lan")
    node.reconcile()
    assert silent(node.namespace, "10.66.0.1")
    ask(node, 1, routes=[{"to": "10.66.0.0/24"}])
    node.reconcile()
    assert answers(node.namespace, "10.66.0.1")


def test_a_route_in_a_table_of_its_own_serves_only_those_who_look_there(beyond):
    node, _ = beyond
    routes = [
        {"to": "10.50.0.0/16", "via": "10.1.0.1", "table": 700},
        {"to": "fd00:50::/48", "via": "fd00:1::1", "table": 700},
    ]
    ask(node, 1, routes=routes)
    node.reconcile()
    assert silent(node.namespace, "10.50.0.1")
    for family in ("-4", "-6"):
        node.ip(family, "rule", "add", "from", "all", "lookup", "700", "priority", "700")
    assert answers(node.namespace, "10.50.0.1")
    assert answers(node.namespace, "fd00:50::1")
    node.reconcile()  # the operator's rule is the operator's
    assert answers(node.namespace, "10.50.0.1")


def test_a_default_route_is_taken_only_when_asked_for(beyond):
    node, _ = beyond
    ask(node, 1, gateway="10.1.0.1")
    node.reconcile()
    assert silent(node.namespace, "10.50.0.1")
    assert node.namespace.routes("default") == []
    ask(node, 1, gateway="10.1.0.1", default_route=True, metric=300)
    node.reconcile()
    assert answers(node.namespace, "10.50.0.1")
    assert [route["metric"] for route in node.namespace.routes("default")] == [300]


def test_netlink_alone_refuses_by_name_what_needs_a_client_that_runs(node):
    attach(node, 1, None, dhcp4=True)
    said = node.reconcile(expect=4)
    assert "dhcp4" in said
    assert "netlink" in said
    assert node.link(1)[0] == "eth1"
