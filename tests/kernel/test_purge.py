"""`multinic purge` on real links: they are as they were before multinic, or as they were with it."""

from __future__ import annotations

import json

from tests.kernel.node import mac_of

OURS = ("run/multinic", "var/lib/multinic")


def left(node):
    """Return the files of ours that are left below the root; the lock does not count, it was held."""
    return [path for path in node.files() if path != "run/multinic/lock"]


def document(node, expect=0):
    """Purge, and return state and message by MAC."""
    found = node.document("purge", "--yes", expect=expect)
    return {item["mac"]: (item["state"], item["reason"], item["message"]) for item in found["interfaces"]}


def test_nothing_is_left(node):
    node.provide(3)
    before = node.links()
    node.reconcile()
    assert node.links() != before
    states = document(node)
    assert {mac: found[:2] for mac, found in states.items()} == {
        mac_of(n): ("delete", "purge") for n in (1, 2, 3)
    }
    assert node.links() == before
    assert left(node) == []
    assert not (node.root / "var/lib/multinic").exists()


def test_routes_and_rules_of_ours_go_also_a_default_route(node):
    options = {
        "gateway": "10.0.0.1",
        "default_route": True,
        "policy_routing": "auto",
        "routes": [{"to": "10.8.0.0/16", "via": "10.0.0.1"}],
    }
    rules = node.namespace.run("ip", "rule").stdout
    node.namespace.plug("eth1", mac_of(1))
    node.attach(1, "10.0.0.11/24", options=json.dumps(options))
    node.reconcile()
    assert "10.8.0.0/16 via 10.0.0.1" in node.namespace.run("ip", "route").stdout
    document(node)
    assert node.namespace.run("ip", "route", "show", "table", "all", "type", "unicast").stdout == ""
    assert node.namespace.run("ip", "rule").stdout == rules
    assert node.link(1) == ("eth1", False, 1500, ())


def test_the_database_is_told_that_nothing_is_configured_any_more(converged):
    node = converged(2)
    assert set(node.flags().values()) == {1}
    node.multinic("purge", "--yes")
    assert set(node.flags().values()) == {0}


def test_what_is_on_the_host_no_more_is_forgotten_and_not_said_to_be_removed(converged):
    node = converged(2)
    node.unplug(1)
    said = node.multinic("purge", "--yes").stderr
    assert [line.split(": ")[:2] for line in said.splitlines()] == [
        ["multinic0", "forgotten"],
        ["multinic1", "removed"],
    ]


def test_it_needs_no_database(converged):
    node = converged(2)
    node.url = f"sqlite:///{node.directory / 'away.db'}"
    said = node.multinic("purge", "--yes")
    assert "without a database" in said.stderr
    assert node.link(1) == ("eth1", False, 1500, ())
    assert left(node) == []


def test_purging_twice_is_fine_and_a_pass_configures_all_of_it_again(converged):
    node = converged(2)
    before = node.links()
    node.multinic("purge", "--yes")
    with node.events() as events:
        assert document(node) == {}
    assert events == []
    node.reconcile()
    assert node.links() == before


def test_an_interface_without_its_link_is_forgotten(converged):
    node = converged(2)
    node.unplug(1)
    document(node)
    assert left(node) == []


def test_links_of_others_see_nothing(converged):
    node = converged(2)
    node.namespace.plug("other", mac_of(9))
    node.ip("link", "set", "other", "up")
    node.ip("address", "add", "10.7.7.7/24", "dev", "other")
    with node.events() as events:
        node.multinic("purge", "--yes")
    assert [event for event in events if event.link == "other"] == []


def test_a_link_that_carries_the_default_route_stays_and_so_does_what_is_remembered(converged):
    node = converged(2)
    node.ip("route", "add", "default", "via", "10.0.0.1", "dev", "multinic0")
    states = document(node, expect=5)
    assert states[mac_of(1)][:2] == ("blocked", "in-use")
    assert states[mac_of(2)][0] == "delete"
    name, up, mtu, addresses = node.link(1)
    assert (name, up, mtu, addresses) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert node.link(2)[0] == "eth2"
    assert list(node.record()) == [mac_of(1)]
    node.ip("route", "delete", "default")
    document(node)
    assert left(node) == []


def test_a_link_that_cannot_be_freed_is_put_back_and_reported(converged):
    node = converged(2)
    before = node.link(1)
    node.sql("DELETE FROM multi_interface")
    record = node.root / "var/lib/multinic/record.json"
    kept = json.loads(record.read_bytes())
    kept["links"][mac_of(1)]["mtu_before"] = 70000  # the kernel refuses it
    record.write_text(json.dumps(kept))
    states = document(node, expect=4)
    assert states[mac_of(1)][0] == "failed"
    assert node.link(1) == before
    assert node.link(2)[0] == "eth2"
    assert list(node.record()) == [mac_of(1)]


def test_files_of_another_backend_stop_every_pass_until_they_are_purged(converged):
    node = converged(1)
    file = node.root / "etc/netplan/90-multinic0.yaml"
    file.parent.mkdir(mode=0o755, parents=True)
    file.write_text(f"network: {{ethernets: {{multinic0: {{match: {{macaddress: '{mac_of(1)}'}}}}}}}}\n")
    for command in (["plan"], ["reconcile"], ["apply", "--yes"]):
        said = node.multinic(*command, expect=5).stderr
        assert "/etc/netplan/90-multinic0.yaml is a file of backend netplan" in said
    made = node.root / "run/systemd/network/10-netplan-multinic0.network"
    made.parent.mkdir(mode=0o755, parents=True)
    made.write_text("")
    before = node.link(1)
    assert node.multinic("doctor", expect=4)
    node.multinic("purge", "--yes")
    assert left(node) == []
    assert node.link(1) == ("eth1", False, 1500, ())
    node.reconcile()
    assert node.link(1) == before


def test_what_a_person_sees_before_it_happens(converged):
    node = converged(1)
    said = node.multinic("purge", "--yes").stdout
    assert "everything managed will be removed" in said
    assert "name multinic0 → eth1" in said
