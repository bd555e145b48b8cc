"""The safety rules on a booted host with netplan: what is not ours, what is held back, what is undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from multinic.values.paths import RECORD
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.node import mac_of


@pytest.fixture
def node(clean: Box, server: PrivateMariaDB) -> Node:
    return Node(clean, server)


def configured(node: Node, count: int) -> Node:
    """Attach so many ports and configure them."""
    for slot in range(count):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    eventually(lambda: all(node.box.settled(f"multinic{slot}") for slot in range(count)))
    return node


# What a CNI and a daemon for virtual addresses put on a host's own link.
OTHERS = [
    "address add 10.99.0.77/32 dev eth0",
    "route add local 0.0.0.0/0 dev lo table 2004",
    "route add default via 10.99.0.1 table 2005 proto 200",
    "route add 10.244.1.0/24 via 10.99.0.1 src 10.99.0.2 mtu 1450",
    "rule add fwmark 0x200/0xf00 table 2004 priority 9",
    "rule add fwmark 0xa00/0xf00 table 2005 priority 10",
    "rule add from 10.244.1.7 to 10.99.0.0/24 table 2005 priority 111",
]


@contextmanager
def others(box: Box) -> Iterator[None]:
    """During the block a CNI and a virtual address are on the host; at its end they must still be."""
    for line in OTHERS:
        box.run("ip", *line.split())
    try:
        before = all_of_others(box)
        yield
        assert all_of_others(box) == before
    finally:
        for line in reversed(OTHERS):
            words = line.replace(" add ", " delete ").split(" mtu ")[0].split()
            box.run("ip", *words, check=False)


def all_of_others(box: Box) -> list[str]:
    """Return the host's own addresses, routes and rules, as lines."""
    lines = []
    for what in ("address show eth0", "route show table all", "rule"):
        lines += box.run("ip", "-oneline", "-4", *what.split()).stdout.splitlines()
    return sorted(line for line in lines if "multinic" not in line and "lft" not in line)


def test_a_cni_and_a_virtual_address_lose_nothing_while_ports_come_change_and_go(node: Node):
    """Rules of others networkd removes when it configures any link; they are given back."""
    with others(node.box), node.box.monitor("eth0", "lo") as events:
        configured(node, 3)
        node.sql("UPDATE multi_interface SET mtu = 1400, address = '10.5.0.77' WHERE port_id = 'port-1'")
        node.run("reconcile")
        node.detach(0)
        node.run("reconcile")
        eventually(lambda: node.box.settled("multinic1"))
    assert [str(event) for event in events] == []
    assert node.flags() == {"port-1": 1, "port-2": 1}


def test_what_networkd_takes_from_a_cni_when_it_configures_a_link_is_given_back_and_told(node: Node):
    """It removes routes that lead nowhere and that it does not know; such keep a pod network's blocks."""
    routes = [
        "unreachable 10.244.9.0/24",
        "blackhole 10.244.8.0/26 proto 80",
        "prohibit 10.244.7.0/24 table 77",
    ]
    for route in routes:
        node.box.run("ip", "route", "add", *route.split())
    try:
        before = all_of_others(node.box)
        node.attach(0, link="ens3")
        done = node.run("reconcile")
        assert all_of_others(node.box) == before
    finally:
        for route in routes:
            node.box.run("ip", "route", "delete", *route.split(), check=False)
    assert "the host lost the route to 10.244.9.0/24" in done.stderr
    assert node.flags() == {"port-0": 1}


def test_no_backend_command_is_run_for_what_failed_before_its_time_has_come(node: Node):
    node.attach(0, link="ens3")
    node.attach(1, link="ens4")
    dropin = "/etc/systemd/network/10-netplan-multinic1.network.d/veth.conf"
    kept = node.box.read(dropin)
    node.box.remove(dropin)  # without it a veth does not match netplan's file: a real failure
    try:
        node.run("reconcile", expect=4)
        for _ in range(2):
            with node.box.monitor() as events, node.commands() as commands:
                assert node.run("reconcile", expect=4).stderr == ""
            assert ([str(event) for event in events], commands) == ([], [])
        node.sql("UPDATE multi_interface SET mtu = 1400 WHERE port_id = 'port-0'")
        node.run("reconcile", expect=4)  # its neighbour does not wait
        assert node.box.links()["multinic0"]["mtu"] == 1400
    finally:
        node.box.write(dropin, kept)
    assert node.flags() == {"port-0": 1, "port-1": 0}


def test_an_emptied_table_leaves_every_file_and_link_alone_until_the_third_read(node: Node):
    configured(node, 3)
    files = {path: stat for path, stat in node.stats().items() if path.startswith(("/etc", "/run/systemd"))}
    node.sql("DELETE FROM multi_interface")
    for _ in range(2):
        with node.box.monitor() as events, node.commands() as commands:
            node.run("reconcile", expect=5)
        assert ([str(event) for event in events], commands) == ([], [])
        record = json.loads(node.box.read(RECORD))
        record["mass_deletion_since"] -= 61  # the reads must lie a minute apart
        node.box.write(RECORD, json.dumps(record), 0o600)
    now = {path: stat for path, stat in node.stats().items() if path.startswith(("/etc", "/run/systemd"))}
    assert now == files
    node.run("reconcile")
    assert node.box.glob("/etc/netplan/*multinic*", "/run/systemd/network/*multinic?.*") == []
    assert [node.box.link_of(mac_of(slot))["ifname"] for slot in range(3)] == ["ens3", "ens4", "ens5"]


def test_without_a_database_files_and_links_are_kept_right_from_memory(node: Node):
    configured(node, 2)
    path = "/etc/netplan/90-multinic0.yaml"
    text = node.box.read(path)
    node.box.remove(path)
    node.box.run("ip", "link", "set", "multinic1", "mtu", "1300")
    node.detach(1)
    reachable = node.box.read("/etc/multinic/multinic.toml")
    node.configure(reachable.replace(f":{node.server.port}/", ":1/"))
    with node.box.monitor("eth0") as events:
        node.run("reconcile", expect=75)
    assert events == []
    assert node.box.read(path) == text
    assert node.box.links()["multinic1"]["mtu"] == 1450
    node.configure(reachable)
    node.run("reconcile")
    assert node.box.link_of(mac_of(1))["ifname"] == "ens4"


def test_a_port_that_would_take_the_way_to_the_database_is_refused(node: Node):
    """Its row has an address in the network that the database and the gateway are in."""
    configured(node, 1)
    node.attach(1, link="ens4", address="10.99.0.50", cidr="10.99.0.0/25", subnet_id="subnet-99")
    done = node.run("reconcile", expect=5)
    assert "its network 10.99.0.0/25 would take over the way to the database" in done.stderr
    assert node.box.glob("/etc/netplan/*multinic1*", "/run/systemd/network/*multinic1.*") == []
    link = node.box.link_of(mac_of(1))
    assert (link["ifname"], node.box.addresses("ens4")) == ("ens4", [])
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    with node.box.monitor() as events, node.commands() as commands:
        node.run("reconcile", expect=5)
    assert ([str(event) for event in events], commands) == ([], [])
    assert node.flags() == {"port-0": 1, "port-1": 0}
