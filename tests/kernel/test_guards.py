"""A change that harms what is not ours: given back and told, or all of it undone."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys

import pytest

from tests.kernel.node import ROOT, mac_of
from tests.mariadb import missing as mariadb_missing
from tests.proxy import proxy

OWN = "52:54:00:00:00:01"
SHADOW = "route replace 10.8.0.0/24 dev"
"""What a program does that reacts to our change: gateway and database are in this network."""

# Waits until a link gets a name of ours, then runs a command of `ip`: once, or again and again.
HOOK = """\
import socket, subprocess, sys, time
kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
kernel.bind((0, 1))  # RTMGRP_LINK
print("listening", flush=True)
while sys.argv[3].encode() not in kernel.recv(1 << 16):
    pass
once = sys.argv[1] == "once"
while True:
    subprocess.run(["ip", *sys.argv[2].split()], check=once, stderr=subprocess.DEVNULL)
    if once:
        break
    time.sleep(0.001)
print("done", flush=True)
"""


@contextlib.contextmanager
def hook(node, how, command, name="multinic"):
    """During the block something reacts to our change: it runs `ip COMMAND`."""
    process = node.namespace.popen(
        sys.executable,
        "-I",
        "-c",
        HOOK,
        how,
        command,
        name,
        stdout=subprocess.PIPE,
        env={"COVERAGE_PROCESS_START": ""},
    )
    try:
        assert process.stdout.readline() == "listening\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def two_and_a_foreign_one(node):
    """A link of somebody else's with all that it can lose, and two ports; the second takes its time."""
    node.namespace.plug("own", OWN, up=True)
    node.ip("address", "add", "192.168.7.2/24", "dev", "own")
    node.ip("address", "add", "fd07::2/64", "dev", "own", "nodad")
    node.ip("route", "add", "10.99.0.0/16", "via", "192.168.7.1")
    node.ip("route", "add", "default", "via", "192.168.7.9", "table", "77")
    node.ip("rule", "add", "from", "192.168.7.2", "fwmark", "7", "table", "77", "priority", "900")
    node.attach(1, "10.0.0.11", 1401)
    node.attach(2, "fd00::12/64", 1402)  # the kernel asks the network about it for a second
    node.namespace.plug("eth1", mac_of(1))
    node.namespace.plug("eth2", mac_of(2))


def surroundings(node):
    """Return everything of the foreign link, and all routes and rules that are not a port's."""
    lines = []
    for what in ("address show own", "route show table all", "rule"):
        lines += node.namespace.run("ip", "-oneline", "-4", *what.split()).stdout.splitlines()
    link = node.namespace.links().get("own", {})
    addresses = node.links()[OWN][3]
    lines = sorted(line for line in lines if "multinic" not in line)
    return lines, link.get("mtu"), link.get("flags"), addresses


# Of these the kernel does not say who did them.
HARM = [
    pytest.param("address delete fd07::2/64 dev own", "the address fd07::2/64", id="an address"),
    pytest.param("link set own mtu 1300", "its MTU 1500 (to 1300)", id="its MTU"),
    pytest.param("link set own down", "its state up", id="its state, and all routes with it"),
    pytest.param("link set own name byhand0", "its name (to byhand0)", id="its name"),
]


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        pytest.param(
            "address delete 192.168.7.2/24 dev own", "192.168.7.2/24", id="an address, and its routes"
        ),
        pytest.param("route delete 10.99.0.0/16", "10.99.0.0/16", id="a route"),
        pytest.param("route flush table 77", "192.168.7.9", id="a route of another table"),
        pytest.param("rule delete priority 900", "900:", id="a rule"),
    ],
)
def test_what_its_owner_takes_away_during_a_change_stays_away(node, command, lost):
    """A virtual address that moves to another machine would be on both."""
    two_and_a_foreign_one(node)
    assert any(lost in line for line in surroundings(node)[0])
    with hook(node, "once", command) as process:
        said = node.reconcile()
        assert process.stdout.readline() == "done\n"
    assert "given back" not in said
    assert not any(lost in line for line in surroundings(node)[0])
    assert [node.link(n)[0] for n in (1, 2)] == ["multinic0", "multinic1"]


def test_what_its_owner_takes_off_a_managed_link_during_its_change_stays_away(converged):
    node = converged(1)
    node.ip("address", "add", "10.0.0.200/32", "dev", "multinic0")
    node.ip("address", "add", "10.0.0.201/32", "dev", "multinic0")
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.multinic0.dad_transmits=1")
    node.sql("UPDATE multi_interface SET address = 'fd00::12/64', mtu = 1500")
    with hook(node, "once", "address delete 10.0.0.200/32 dev multinic0") as process:
        said = node.reconcile()
        assert process.stdout.readline() == "done\n"
    assert "given back" not in said
    assert node.link(1) == ("multinic0", True, 1500, ("10.0.0.201/32", "fd00::12/64"))


@pytest.mark.parametrize(("command", "words"), HARM)
def test_what_a_foreign_link_loses_by_a_change_is_given_back_and_told(node, command, words):
    two_and_a_foreign_one(node)
    before = surroundings(node)
    with hook(node, "once", command) as process:
        said = node.reconcile()
        assert process.stdout.readline() == "done\n"
    assert surroundings(node) == before
    assert words in said
    assert "it is given back" in said
    assert [node.link(n)[0] for n in (1, 2)] == ["multinic0", "multinic1"]
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []


@pytest.mark.parametrize(("command", "words"), HARM[:2])
def test_what_cannot_be_given_back_undoes_the_whole_change_and_it_is_not_tried_on_every_pass(
    node, command, words
):
    two_and_a_foreign_one(node)
    before = node.links()
    with hook(node, "always", command):
        said = node.reconcile(expect=4)
        assert {n: node.link(n) for n in (1, 2)} == {n: before[mac_of(n)] for n in (1, 2)}
        assert words in said
        states = node.document("status")["interfaces"]
        assert {(i["state"], i["reason"]) for i in states} == {("failed", "witness")}
        assert node.flags() == {mac_of(1): 0, mac_of(2): 0}
    with node.events() as events:
        assert node.reconcile(expect=4) == ""
    assert events == []
    assert {i["reason"] for i in node.document("status")["interfaces"]} == {"backing-off"}


def test_why_something_cannot_be_given_back_is_told(node):
    two_and_a_foreign_one(node)
    renaming = "link set own name byhand0"
    with hook(node, "always", "link add own type veth"), hook(node, "once", renaming):
        node.reconcile(expect=4)
    for item in node.document("status")["interfaces"]:
        assert item["reason"] == "witness"
        why = "could not get it back (cannot rename byhand0 to own: File exists)"
        assert f"own lost its name (to byhand0) and {why}" in item["message"]


def test_what_a_foreign_link_lost_is_given_back_also_when_the_pass_is_ended(node):
    two_and_a_foreign_one(node)
    before = surroundings(node), node.links()
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth2.dad_transmits=60")
    with hook(node, "once", "link set own mtu 1300") as process:
        running = node.start("reconcile")
        assert process.stdout.readline() == "done\n"
        running.terminate()
        running.communicate(timeout=60)
    assert (surroundings(node), node.links()) == before


PODS = """\
import subprocess, sys
def ip(line):
    subprocess.run(["ip", *line.split()], stderr=subprocess.DEVNULL)
number = 0
while True:
    number += 1
    lines = [
        "link add pod{0} type veth peer name far{0}",
        "link set pod{0} up",
        "address add 10.244.0.{0}/32 dev pod{0}",
        "route add 10.244.1.{0}/32 dev pod{0}",
        "-6 route add fd44::{0}/128 dev pod{0}",
        "route add 10.245.0.{0}/32 dev pod{0} table 100",
        "route delete 10.244.1.{0}/32 dev pod{0}",
        "link delete pod{0}",
    ]
    for line in lines:
        ip(line.format(number % 200 + 1))
    print(number, flush=True)
"""


def test_pods_that_come_and_go_raise_no_alarm(node):
    two_and_a_foreign_one(node)
    before = surroundings(node)
    pods = node.namespace.popen(sys.executable, "-I", "-c", PODS, stdout=subprocess.PIPE)
    try:
        for mtu in (1300, 1310, 1320, 1330):
            pods.stdout.readline()
            node.sql("UPDATE multi_interface SET mtu = %s, address = %s WHERE id = 2", mtu, f"fd00::{mtu}/64")
            said = node.reconcile()
            assert "lost" not in said
            assert node.link(2)[2] == mtu
    finally:
        pods.kill()
        pods.communicate()
    kept = surroundings(node)
    assert [line for line in kept[0] if "pod" not in line] == before[0]


# Connectivity


TAKING_OVER = [
    pytest.param("10.8.0.50", None, "network 10.8.0.0/24", id="a network that holds it"),
    pytest.param("10.9.0.50", "10.8.0.1/32", "route 10.8.0.1/32", id="a route"),
    pytest.param("10.9.0.50", "10.8.0.0/16", "route 10.8.0.0/16", id="a route as good as the present one"),
]


@pytest.mark.parametrize(("address", "to", "what"), TAKING_OVER)
@pytest.mark.parametrize("plugged", [True, False])
def test_no_row_takes_over_the_way_to_the_database(uplinked, address, to, what, plugged):
    """Who may only write rows leads no host to another database, also not by a NIC that comes later."""
    node = uplinked
    options = {"routes": [{"to": to, "via": "10.9.0.1"}]} if to else {}
    cidr = f"{address.rpartition('.')[0]}.0/24"
    node.attach(2, f"{address}/24", cidr=cidr, subnet_id="subnet-9", options=json.dumps(options))
    if plugged:
        node.namespace.plug("eth2", mac_of(2))
    before = node.links()
    said = node.reconcile(expect=5)
    assert f"its {what} would take over the way to the database (10.8.0.1) from link own" in said
    assert {mac: link for mac, link in node.links().items() if mac != mac_of(1)} == {
        mac: link for mac, link in before.items() if mac != mac_of(1)
    }
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0}


@pytest.fixture
def uplinked(node, mariadb, database, monkeypatch):
    """A node whose gateway and database are both 10.8.0.1, behind a /16 on `own`."""
    if reason := mariadb_missing():
        pytest.skip(reason)
    monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "secret")
    for key in ("CONNECT", "READ"):
        monkeypatch.setenv(f"MULTINIC_DATABASE_{key}_TIMEOUT", "1s")
    node.namespace.plug("own", OWN, up=True)
    node.ip("address", "add", "10.8.0.2/16", "dev", "own")
    node.ip("route", "add", "default", "via", "10.8.0.1")
    cloud = node.namespace.cloud
    cloud.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")  # its ports are networks of their own
    cloud.run("ip", "address", "add", "10.8.0.1/16", "dev", "port1")
    mariadb.create_user("node", "secret", [f"SELECT, UPDATE ON `{database}`.*"])
    with proxy(mariadb.socket, prefix=cloud.prefix, address="10.8.0.1") as way:
        node.use(mariadb, f"mysql://node@10.8.0.1:{way.port}/{database}", database)
        node.provide(1)
        yield node


def cut_off(node):
    """Attach port 2, which is harmless by itself, and takes its time: the kernel asks about its address."""
    node.attach(2, "10.9.0.50/24, fd09::50/64", cidr="10.9.0.0/24", subnet_id="subnet-9")
    node.namespace.plug("eth2", mac_of(2))


def test_a_change_that_cuts_the_host_off_is_undone_and_not_tried_on_every_pass(uplinked):
    node = uplinked
    node.reconcile()
    cut_off(node)
    before = node.links()
    with hook(node, "always", "route replace blackhole 10.8.0.1/32", "multinic1"):
        said = node.reconcile(expect=4)
    node.ip("route", "delete", "blackhole", "10.8.0.1/32")
    assert "the default gateway 10.8.0.1 and the database could not be reached any more" in said
    assert node.links() == before
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0}
    (item,) = [i for i in node.document("status")["interfaces"] if i["mac"] == mac_of(2)]
    assert (item["state"], item["reason"]) == ("failed", "connectivity")
    with node.events() as events:
        assert node.reconcile(expect=4) == ""
    assert (events, node.links()) == ([], before)
    node.sql("UPDATE multi_interface SET address = '10.9.0.51/24' WHERE id = 2")
    node.reconcile()
    assert node.link(2)[0] == "multinic1"


def test_whoever_answers_on_a_way_that_the_change_has_made_is_sent_nothing(uplinked):
    """Here a route to another 10.8.0.1 appears with our change."""
    node = uplinked
    node.reconcile()
    cut_off(node)
    node.namespace.cloud.run("ip", "address", "add", "10.8.0.1/32", "dev", "port2")
    before = node.links()
    with hook(node, "always", f"{SHADOW} multinic1"):
        said = node.reconcile(expect=4)
    assert "packets to the database (10.8.0.1) left by own before, and by multinic1 after it" in said
    assert node.links() == before
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0}


def test_a_neighbour_of_what_cuts_the_host_off_is_configured_before_long(uplinked):
    node = uplinked
    cut_off(node)
    with hook(node, "always", f"{SHADOW} multinic1"):
        node.reconcile(expect=4)
        assert node.link(1)[0] == "eth1"
        for _ in range(3):
            due(node)
            node.reconcile(expect=4)
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert node.link(2)[0] == "eth2"
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0}


def due(node):
    """Let time pass: whatever failed may be tried again."""
    path = node.root / "var/lib/multinic/record.json"
    document = json.loads(path.read_bytes())
    for held in document["links"].values():
        if held["failure"]:
            held["failure"]["retry_at"] = 1.0
    path.write_text(json.dumps(document))


def test_the_gateway_alone_is_reason_enough(node):
    """Here the database is a file, and only the gateway is behind the network."""
    node.namespace.plug("own", OWN, up=True)
    node.ip("address", "add", "10.8.0.2/16", "dev", "own")
    node.ip("route", "add", "default", "via", "10.8.0.1")
    node.namespace.cloud.run("ip", "address", "add", "10.8.0.1/16", "dev", "port1")
    node.namespace.cloud.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    node.namespace.settle()
    cut_off(node)
    before = node.links()
    with hook(node, "always", f"{SHADOW} multinic0"):
        said = node.reconcile(expect=4)
    assert "the default gateway 10.8.0.1 could not be reached any more" in said
    assert "database" not in said
    assert node.links() == before


@pytest.mark.parametrize("quiet", ["ignores echo requests", "is not there at all"])
def test_a_gateway_that_never_answers_is_no_objection(node, quiet):
    node.namespace.plug("own", OWN, up=True)
    node.ip("address", "add", "10.8.0.2/16", "dev", "own")
    node.ip("route", "add", "default", "via", "10.8.0.1")
    if quiet == "ignores echo requests":
        node.namespace.cloud.run("ip", "address", "add", "10.8.0.1/16", "dev", "port1")
        node.namespace.cloud.run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
    cut_off(node)
    with hook(node, "always", f"{SHADOW} multinic0"):
        node.reconcile()
    assert node.link(2)[0] == "multinic0"


GATEWAYS = """\
from multinic.kernel import reach
from multinic.kernel.observe import surroundings
print(*(str(found.address) for found in reach.probe(surroundings(), (), None).gateways))
"""


def test_every_default_gateway_of_the_main_table_is_asked(node):
    node.namespace.plug("own", OWN, up=True)
    node.ip("address", "add", "10.8.0.2/16", "dev", "own")
    node.ip("address", "add", "fd08::2/64", "dev", "own", "nodad")
    cloud = node.namespace.cloud
    for address in ("10.8.0.1/16", "10.8.0.3/16", "fd08::1/64", "fe80::1/64"):
        cloud.run("ip", "address", "add", address, "dev", "port1", *(["nodad"] if ":" in address else []))
    node.ip("route", "add", "default", "via", "10.8.0.1")
    node.ip("route", "add", "default", "via", "10.8.0.4", "metric", "50")
    node.ip("route", "add", "default", "via", "10.8.0.3", "table", "77")
    node.ip("-6", "route", "add", "default", "via", "fd08::1")
    node.ip("-6", "route", "add", "default", "via", "fe80::1", "dev", "own", "metric", "50")
    node.namespace.settle()
    answered = node.namespace.run(sys.executable, "-c", GATEWAYS, env={"PYTHONPATH": str(ROOT)}).stdout
    assert sorted(answered.split()) == ["10.8.0.1", "fd08::1", "fe80::1"]


APART = """\
import sys
from multinic.kernel import reach
print(*(reach.apart({int(sys.argv[1])}, address) for address in ("10.8.0.9", "10.9.0.9", "192.0.2.9")))
"""


def test_an_address_is_apart_from_links_through_which_no_packets_to_it_leave(node):
    node.namespace.plug("own", OWN, up=True)
    node.ip("address", "add", "10.8.0.2/16", "dev", "own")
    node.namespace.plug("eth1", mac_of(1), up=True)
    node.ip("address", "add", "10.9.0.2/16", "dev", "eth1")
    index = str(node.namespace.links()["own"]["ifindex"])
    said = node.namespace.run(sys.executable, "-c", APART, index, env={"PYTHONPATH": str(ROOT)}).stdout
    assert said == "False True True\n"
