"""What is not ours is never touched, whatever the database asks for."""

from __future__ import annotations

import pytest

from tests.kernel.node import mac_of
from tests.mariadb import PrivateMariaDB
from tests.mariadb import missing as mariadb_missing

OWN = "52:54:00:00:00:01"


def blocked(node, number, rule, words):
    """Whether one pass and the plan both block the n-th port, without an event, beside a good port 1."""
    before = node.links()
    with node.events() as events:
        said = node.reconcile(expect=5)
    assert {event.link for event in events} <= {"eth1", "multinic0"}
    after = node.links()
    assert {mac: after[mac] for mac in after if mac != mac_of(1)} == {
        mac: before[mac] for mac in before if mac != mac_of(1)
    }
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    item = node.plan(expect=5)[mac_of(number)]
    assert (item["state"], item["reason"]) == ("blocked", rule)
    assert words in item["message"]
    assert item["message"] in said
    assert node.flags()[mac_of(number)] == 0
    assert node.reconcile(expect=5) == ""
    return True


def test_the_link_with_the_default_route_is_blocked(node):
    node.provide(1)
    node.namespace.plug("uplink", mac_of(2), up=True)
    node.ip("route", "add", "default", "dev", "uplink")
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "in-use", "default route")


def test_the_link_with_the_ipv6_default_route_is_blocked(node):
    node.provide(1)
    node.namespace.plug("uplink", mac_of(2), up=True)
    node.ip("-6", "route", "add", "default", "dev", "uplink", "metric", "1024")
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "in-use", "default route")


def test_a_link_of_a_multipath_default_route_is_blocked(node):
    node.provide(1)
    node.namespace.plug("one", OWN, up=True)
    node.namespace.plug("uplink", mac_of(2), up=True)
    node.ip("route", "add", "default", "nexthop", "dev", "one", "nexthop", "dev", "uplink")
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "in-use", "default route")


def test_a_link_that_someone_gave_an_address_is_blocked(node):
    node.provide(1)
    node.namespace.plug("own", mac_of(2), up=True)
    node.ip("address", "add", "192.168.7.2/24", "dev", "own")
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "in-use", "192.168.7.2/24")


def test_a_bridge_port_is_blocked(node):
    node.provide(1)
    node.namespace.plug("port", mac_of(2))
    node.namespace.bridge("br0", "port")
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "in-use", "part of br0")


def test_a_link_that_carries_another_one_is_blocked(node):
    node.provide(1)
    node.namespace.plug("below", mac_of(2))
    node.namespace.macvlan("above", "below", OWN)
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "in-use", "carries above")


def test_two_real_links_with_one_mac_are_ambiguous(node):
    node.provide(1)
    node.namespace.plug("one", mac_of(2))
    node.namespace.plug("two", mac_of(2))
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "ambiguous", "one, two")


def test_a_macvlan_that_copies_a_mac_is_not_taken_for_the_link(node):
    node.provide(1)
    node.namespace.plug("below", OWN)
    node.namespace.plug("real", mac_of(2))
    node.namespace.macvlan("copy", "below", mac_of(2))
    node.attach(2, "10.0.0.12")
    with node.events() as events:
        node.reconcile()
    assert node.namespace.links()["multinic1"]["address"] == mac_of(2)
    assert "linkinfo" in node.namespace.links()["copy"]
    assert "real" not in node.namespace.links()
    assert not {"copy", "below"} & {event.link for event in events}


def test_loopback_and_every_other_link_see_no_event_while_links_come_and_go(node):
    node.namespace.plug("own", OWN, up=True)
    node.ip("address", "add", "192.168.7.2/24", "dev", "own")
    node.namespace.plug("port", "52:54:00:00:00:02")
    node.namespace.bridge("br0", "port")
    node.ip("route", "add", "10.99.0.0/16", "via", "192.168.7.1")
    node.ip("rule", "add", "from", "192.168.7.2", "table", "77", "priority", "900")
    node.provide(3)
    foreign = {"own", "port", "br0", "lo", ""}
    with node.events() as events:
        node.reconcile()
        node.detach(2)
        node.reconcile()
        node.sql("UPDATE multi_interface SET address = '10.0.0.99', mtu = 1300 WHERE id = 1")
        node.reconcile()
    assert [str(event) for event in events if event.link in foreign] == []
    assert node.namespace.routes("10.99.0.0/16")


def test_an_address_of_somebody_else_stays_when_the_first_of_its_subnet_goes(converged):
    """The kernel removes the others of a subnet with it, where net.ipv4.conf.*.promote_secondaries is off."""
    node = converged(2)
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=0")
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.multinic0.promote_secondaries=0")
    node.ip(
        "address", "add", "10.0.0.200/24", "dev", "multinic0", "valid_lft", "9000", "preferred_lft", "9000"
    )
    node.sql("UPDATE multi_interface SET address = '10.0.0.99' WHERE id = 1")
    node.reconcile()
    assert node.link(1)[3] == ("10.0.0.200/24", "10.0.0.99/24")
    said = node.namespace.run("ip", "address", "show", "to", "10.0.0.200").stdout
    assert "forever" not in said  # it is the same one: its time runs out as it did
    assert node.reconcile() == ""


def test_a_managed_link_that_carries_the_default_route_is_not_freed(converged):
    node = converged(3)
    node.ip("route", "add", "default", "dev", "multinic1")
    node.detach(2)
    before = node.links()
    with node.events() as events:
        node.reconcile(expect=5)
    assert (events, node.links()) == ([], before)


def test_a_converged_link_that_got_the_default_route_is_fine_until_something_must_change(converged):
    node = converged(2)
    node.ip("route", "add", "default", "dev", "multinic1")
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE id = 2")
    with node.events() as events:
        node.reconcile(expect=5)
    assert events == []


def test_only_a_vanished_name_is_not_enough_to_take_a_link(node):
    """A link that merely sits under an old name of ours is not ours."""
    node.provide(2)
    node.reconcile()
    node.unplug(2)
    node.namespace.plug("eth2", OWN)
    with node.events() as events:
        node.reconcile()
    assert events == []


@pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))
def test_the_link_on_the_way_to_the_database_is_blocked(node, monkeypatch):
    monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "secret")
    node.namespace.plug("eth1", mac_of(1))
    node.namespace.plug("uplink", mac_of(2), up=True)
    cloud = node.namespace.cloud
    cloud.run("ip", "address", "add", "10.8.0.1/32", "dev", "port2")
    cloud.run("ip", "route", "add", "10.8.0.2/32", "dev", "port2")
    node.ip("route", "add", "10.8.0.1/32", "dev", "uplink")
    node.ip("address", "add", "10.8.0.2/32", "dev", "lo")  # so that the route alone speaks against it
    with PrivateMariaDB() as server:
        server.start(cloud.prefix, address="10.8.0.1", port=3306)
        server.create_user("node", "secret", ["SELECT, UPDATE ON `multinic`.*"])
        server.execute("CREATE DATABASE multinic")
        node.use(server, "mysql://node@10.8.0.1/multinic", "multinic")
        node.attach(1, "10.0.0.11", 1401)
        node.attach(2, "10.0.0.12")
        assert blocked(node, 2, "in-use", "the route to the database (10.8.0.1)")
