"""A record that is lost, as a whole or in part: what is ours still goes, and links get back what they had."""

from __future__ import annotations

import json

import pytest

from tests.kernel.node import mac_of

RECORD = "var/lib/multinic/record.json"
POLICY = '{"policy_routing": "auto", "routes": [{"to": "10.77.0.0/16", "table": 500}]}'


def lose(node):
    """Lose the record."""
    (node.root / RECORD).unlink()


def ours(node):
    """Return the rules of our priorities and the routes with our protocol number, of both families."""
    found = [rule for rule in node.namespace.rules() if 1000 <= rule["priority"] < 1010]
    for family in ("-4", "-6"):
        show = ("ip", family, "-json", "route", "show", "table", "all", "proto", "114")
        found += json.loads(node.namespace.run(*show).stdout or "[]")
    return found


@pytest.fixture
def routed(node):
    """Two ports, the first with policy routing; whoever else adds rules has one, too."""
    node.provide(2)
    node.sql("UPDATE multi_interface SET options = %s WHERE id = 1", POLICY)
    node.ip("rule", "add", "from", "10.9.9.9", "table", "1007", "priority", "1007", "protocol", "static")
    node.reconcile()
    return node


def foreign(node):
    return [rule["priority"] for rule in node.namespace.rules() if rule["src"] == "10.9.9.9"]


def test_without_the_record_rules_and_routes_that_no_row_asks_for_any_more_still_go(routed):
    node = routed
    assert len(ours(node)) == 4  # two rules, one of which is not ours, and two routes
    lose(node)
    node.sql("UPDATE multi_interface SET options = NULL WHERE id = 1")
    node.reconcile()
    assert [item["priority"] for item in ours(node)] == [1007]
    assert foreign(node) == [1007]


def test_without_the_record_the_rules_of_a_link_that_is_gone_too_still_go(routed):
    node = routed
    lose(node)
    node.unplug(1)
    node.detach(1)
    node.reconcile()
    assert [item["priority"] for item in ours(node)] == [1007]
    assert foreign(node) == [1007]
    assert node.reconcile() == ""


def test_a_purge_without_the_record_leaves_no_rule_of_ours(routed):
    node = routed
    lose(node)
    node.unplug(1)
    node.multinic("purge", "--yes")
    assert [item["priority"] for item in ours(node)] == [1007]


@pytest.mark.parametrize("row_goes", [True, False])
def test_a_link_that_had_our_name_before_we_saw_it_gets_its_mtu_back(node, row_goes):
    """As when udev names a NIC by our file, and the network service sets its MTU, before any pass."""
    node.attach(1, "10.0.0.11", 1401)
    node.attach(2, "10.0.0.12", 1402)
    node.namespace.plug("multinic0", mac_of(1), mtu=1401)
    node.namespace.plug("eth2", mac_of(2), mtu=1480)
    node.reconcile()
    if row_goes:
        node.detach(1)
        node.detach(2)
        node.multinic("apply", "--yes", "--allow-mass-delete")
    else:
        node.sql("UPDATE multi_interface SET mtu = NULL")
        node.reconcile()
    assert [node.link(number)[2] for number in (1, 2)] == [1500, 1480]


def test_an_unreadable_entry_costs_that_entry_alone_and_is_said_once(converged):
    node = converged(2)
    document = json.loads((node.root / RECORD).read_bytes())
    document["links"][mac_of(1)]["slot"] = "zero"
    (node.root / RECORD).write_text(json.dumps(document))
    finding = next(f for f in node.document("doctor", expect=None)["findings"] if f["check"] == "files")
    assert f"{mac_of(1)}: slot: 'zero' is no int" in finding["message"]
    said = node.reconcile()
    assert f"this cannot be read of the record, and is made anew: {mac_of(1)}: slot: 'zero'" in said
    assert node.record()[mac_of(2)]["name_before"] == "eth2"
    assert node.record()[mac_of(1)]["slot"] == 0
    assert node.reconcile() == ""


def test_an_interrupted_change_is_undone_without_good_settings(converged):
    node = converged(1)
    node.sql("UPDATE multi_interface SET mtu = 1300")
    node.reconcile()
    kept = node.root / "var/lib/multinic"
    (kept / "checkpoint-last.json").rename(kept / "checkpoint.json")  # as if it had been interrupted
    node.settings.write_text("nonsense = [\n")
    node.settings.chmod(0o644)
    node.reconcile(expect=2)
    assert node.link(1)[2] == 1300
    said = node.multinic("rollback", "--interrupted").stderr
    assert "going on without the settings" in said
    assert node.link(1)[2] == 1401
    assert not (kept / "checkpoint.json").exists()
