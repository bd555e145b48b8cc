"""What is not ours is never touched, whatever the database asks for."""

from __future__ import annotations

import json

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


def carrying(node, mtu="1400"):
    """Let port 2's link carry a macvlan of a pod, which has an address and a route."""
    node.namespace.macvlan("pod0", "multinic1", OWN)
    for line in (
        f"link set pod0 mtu {mtu} up",
        "address add 10.6.0.2/24 dev pod0",
        "route add 10.7.0.0/16 via 10.6.0.1 dev pod0",
    ):
        node.ip(*line.split())


def of_pod(node):
    """Return all that the pod's link has."""
    pod = node.namespace.links()["pod0"]
    routes = [route["dst"] for route in node.namespace.routes("10.7.0.0/16")]
    return pod["mtu"], sorted(pod["flags"]), [item["local"] for item in pod["addr_info"]], routes


def test_a_managed_link_that_carries_another_one_is_not_freed_and_the_others_go_on(converged):
    node = converged(4)
    carrying(node)
    before = of_pod(node), node.link(2)
    node.detach(2)
    node.detach(3)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    said = node.multinic("apply", "--yes", "--allow-mass-delete", expect=5).stderr
    assert "multinic1: blocked: not removed: link multinic1 carries pod0" in said
    assert (of_pod(node), node.link(2)) == before
    assert (node.link(1)[2], node.link(3)[0]) == (1300, "eth3")
    node.multinic("purge", "--yes", expect=5)
    assert (of_pod(node), node.link(2)) == before
    assert node.link(1)[0] == "eth1"
    node.ip("link", "delete", "pod0")
    node.multinic("purge", "--yes")
    assert node.link(2)[0] == "eth2"


def test_an_mtu_below_that_of_a_link_that_is_carried_is_refused_and_the_others_go_on(converged):
    """The kernel lowers the MTU of a macvlan or VLAN with that of the link below it."""
    node = converged(2)
    carrying(node)
    before = of_pod(node)
    node.sql("UPDATE multi_interface SET mtu = 1300")
    said = node.reconcile(expect=5)
    assert "link multinic1 carries pod0 with MTU 1400, so its own cannot become 1300" in said
    assert of_pod(node) == before
    assert [node.link(number)[2] for number in (1, 2)] == [1300, 1402]
    node.sql("UPDATE multi_interface SET mtu = 1400 WHERE macaddress = %s", mac_of(2))
    node.reconcile()
    assert of_pod(node) == before
    assert node.link(2)[2] == 1400


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


def test_a_row_that_was_wrong_leaves_nothing_behind(node):
    """A row with the MAC address of the host's own link is blocked; once it is deleted, all is as before."""
    node.provide(1)
    node.namespace.plug("uplink", mac_of(2), up=True)
    node.ip("address", "add", "10.7.0.2/24", "dev", "uplink")
    node.ip("route", "add", "default", "via", "10.7.0.1", "dev", "uplink")
    node.attach(2, "10.0.0.12")
    assert blocked(node, 2, "in-use", "default route")
    assert mac_of(2) not in node.record()
    node.detach(2)
    assert node.reconcile() == ""
    node.multinic("purge", "--yes")
    assert node.link(2)[0] == "uplink"


def test_what_an_earlier_version_remembered_of_such_a_link_holds_nothing_up(node):
    node.provide(1)
    node.namespace.plug("uplink", mac_of(2), up=True)
    node.ip("route", "add", "default", "dev", "uplink")
    node.reconcile()
    file = node.root / "var/lib/multinic/record.json"
    document = json.loads(file.read_text())
    entry = document["links"][mac_of(1)]
    document["links"][mac_of(2)] = entry | {"slot": 1, "applied": None, "name_before": "uplink"}
    file.write_text(json.dumps(document))
    node.reconcile()
    assert node.link(2)[:2] == ("uplink", True)
    assert mac_of(2) not in node.record()


@pytest.mark.parametrize("known", [True, False], ids=["its NIC was ours", "nothing is remembered"])
def test_a_bridge_that_has_one_of_our_names_is_not_ours(node, known):
    """A CNI gives the bridge the name of the NIC, and the NIC another one: the bridge has the addresses."""
    node.provide(1)
    if known:
        node.reconcile()
        node.ip("link", "set", "multinic0", "down")
        node.ip("link", "set", "multinic0", "name", "br-pn0")
    node.ip("link", "add", "multinic0", "address", mac_of(1), "type", "bridge")
    node.ip("address", "add", "10.8.0.1/24", "dev", "multinic0")
    node.ip("link", "set", "multinic0", "up")
    if known:
        node.ip("link", "set", "br-pn0", "master", "multinic0")
    node.detach(1)
    before = node.namespace.links()["multinic0"]
    for _ in range(2):
        node.reconcile(expect=None)
    node.multinic("purge", "--yes", expect=None)
    after = node.namespace.links()["multinic0"]
    assert [item["local"] for item in after["addr_info"] if item["scope"] == "global"] == ["10.8.0.1"]
    assert (after["ifindex"], "UP" in after["flags"]) == (before["ifindex"], True)


def test_a_default_route_behind_the_best_one_does_not_freeze_a_managed_link(converged):
    """As a router advertisement makes it on a link that listens."""
    node = converged(2)
    node.namespace.plug("uplink", OWN, up=True)
    node.ip("-6", "route", "add", "default", "dev", "uplink", "metric", "100")
    node.ip("-6", "route", "add", "default", "dev", "multinic0", "proto", "ra", "metric", "1024")
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    node.reconcile()
    assert node.link(1)[2] == 1300
    node.detach(1)
    node.reconcile()
    assert node.link(1)[0] == "eth1"


def test_a_default_route_that_is_advertised_on_another_link_alike_does_not_freeze_a_managed_link(converged):
    """As on a host without IPv4 where an earlier agent let routers give its links a default route, too."""
    node = converged(1)
    node.namespace.plug("uplink", OWN, up=True)
    for link in ("uplink", "multinic0"):
        node.ip("-6", "route", "append", "default", "dev", link, "proto", "ra", "metric", "1024")
    node.sql("UPDATE multi_interface SET mtu = 1300")
    node.reconcile()
    assert node.link(1)[2] == 1300


def test_a_row_that_is_refused_keeps_what_its_port_had(converged):
    """Port 3 gets the MAC address of port 1 by mistake: two rows are refused, and nothing is removed."""
    node = converged(3)
    before = node.links()
    node.sql("UPDATE multi_interface SET macaddress = %s WHERE macaddress = %s", mac_of(1), mac_of(3))
    node.reconcile(expect=4)
    assert node.links() == before


@pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))
def test_of_two_links_in_the_subnet_of_the_database_the_one_that_is_not_used_can_change(node, monkeypatch):
    monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "secret")
    node.namespace.plug("eth0", OWN, up=True)
    node.ip("address", "add", "10.0.0.2/24", "dev", "eth0")
    cloud = node.namespace.cloud
    cloud.run("ip", "address", "add", "10.0.0.1/24", "dev", "port1")
    with PrivateMariaDB() as server:
        server.start(cloud.prefix, address="10.0.0.1", port=3306)
        server.create_user("node", "secret", ["SELECT, UPDATE ON `multinic`.*"])
        server.execute("CREATE DATABASE multinic")
        node.use(server, "mysql://node@10.0.0.1/multinic", "multinic")
        node.provide(1)
        node.reconcile()
        assert node.link(1)[0] == "multinic0"
        node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
        node.reconcile()
        assert node.link(1)[2] == 1300
        node.detach(1)
        node.multinic("apply", "--yes", "--allow-mass-delete")
        assert node.link(1)[0] == "eth1"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.7.0.1", "10.7.0.1 is the address of a default gateway of this host"),
        ("10.7.0.2", "link uplink has the address 10.7.0.2"),
    ],
)
def test_an_address_that_the_host_has_or_needs_is_refused(node, address, words):
    """The host would answer for its own gateway, and no packet would leave it any more."""
    node.provide(1)
    node.namespace.plug("uplink", OWN, up=True)
    node.ip("address", "add", "10.7.0.2/24", "dev", "uplink")
    node.ip("route", "add", "default", "via", "10.7.0.1", "dev", "uplink")
    node.namespace.plug("eth2", mac_of(2))
    node.attach(2, f"{address}/24", subnet_id="subnet-7", cidr="10.7.0.0/24")
    assert blocked(node, 2, "address-in-use", words)


def test_a_name_that_is_an_alternative_name_of_another_link_is_not_taken_away(node):
    node.provide(2)
    node.namespace.plug("own", OWN, up=True)
    node.ip("link", "property", "add", "dev", "own", "altname", "multinic1")
    assert blocked(node, 2, "name-taken", f"the name multinic1 is taken by link own ({OWN}), which keeps it")
