"""The fleet brake on a real link: the other nodes are rows of the status tables."""

from __future__ import annotations

import pytest

from multinic.database import schema
from multinic.values.settings import DatabaseSettings, Secret
from tests.kernel.node import mac_of


@pytest.fixture
def node(converged):
    """A node with two interfaces that work, and our tables."""
    made = converged(2)
    list(schema.migrate(DatabaseSettings(made.url, Secret(""), 3, 5, ignore_deleted_at=False)))
    return made


def others_fail(node, count=6, kind="failed", attempt="update", first=0):
    """Let other nodes have tried the same just now."""
    for number in range(first, count):
        node.sql(
            "INSERT INTO multinic_event (node, number, at, kind, attempt, fields, mac) "
            "VALUES (%s, 1, CURRENT_TIMESTAMP, %s, %s, 'mtu', 'm')",
            f"peer{number}",
            kind,
            attempt,
        )


def test_a_change_that_fails_elsewhere_waits_and_is_told_everywhere(node):
    others_fail(node)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    node.attach(3, "10.0.0.13")
    node.namespace.plug("eth3", mac_of(3))
    before = node.link(1)
    said = node.reconcile(expect=5)
    assert node.link(1) == before
    assert node.link(3)[0] == "multinic2"  # a new interface goes on
    assert said.count("fleet-brake") + said.count("on 6 of 6 other nodes") == 1
    assert node.flags() == {mac_of(1): 0, mac_of(2): 1, mac_of(3): 1}
    others_fail(node, 8, first=6)
    rows = [tuple(row) for row in node.sql("SELECT * FROM multinic_interface")]
    assert node.reconcile(expect=5) == ""  # once, although the figures have changed
    assert [tuple(row) for row in node.sql("SELECT * FROM multinic_interface")] == rows
    assert "on 8 of 8 other nodes" in node.plan(expect=5)[mac_of(1)]["message"]

    node.ip("link", "set", "multinic1", "mtu", "1399")  # drift is repaired all the same
    node.reconcile(expect=5)
    assert node.link(2)[2] == 1402

    (row,) = node.sql("SELECT * FROM multinic_interface WHERE reason = 'fleet-brake'")
    assert (row["mac"], row["state"], row["mtu"]) == (mac_of(1), "blocked", 1401)
    assert "'peer0'" in row["message"]
    assert "fleet-brake" in node.multinic("history", "multinic0").stdout
    stated = {item["mac"]: item for item in node.document("status")["interfaces"]}
    assert stated[mac_of(1)]["reason"] == "fleet-brake"
    assert node.plan(expect=5)[mac_of(1)]["reason"] == "fleet-brake"


def test_a_person_goes_on_with_one_host(node):
    others_fail(node)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    node.multinic("apply", "--yes", expect=5)
    assert node.multinic("plan", "--allow-braked").stdout.count("1401 → 1300") == 1
    node.multinic("apply", "--yes", "--allow-braked")
    assert node.link(1)[2] == 1300


def test_a_removal_waits_for_removals_that_fail(node):
    others_fail(node, attempt="delete", kind="rolled-back")
    node.detach(1)
    before = node.link(1)
    node.reconcile(expect=5)
    assert node.link(1) == before
    node.sql("DELETE FROM multinic_event WHERE node LIKE 'peer%'")
    node.reconcile()
    assert node.link(1)[0] == "eth1"


def test_without_the_tables_or_with_the_brake_off_nothing_waits(node):
    others_fail(node)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    node.reconcile(env={"MULTINIC_SAFETY_FLEET_BRAKE": "off"})
    assert node.link(1)[2] == 1300
    for table in ("multinic_node", "multinic_interface", "multinic_event", "multinic_release"):
        node.sql(f"DROP TABLE {table}")
    node.sql("UPDATE multi_interface SET mtu = 1310 WHERE macaddress = %s", mac_of(1))
    node.reconcile()
    assert (node.link(1)[2], node.flags()) == (1310, {mac_of(1): 1, mac_of(2): 1})
