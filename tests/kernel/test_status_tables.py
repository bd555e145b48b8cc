"""The status tables and the history, as real passes on real links write them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from multinic.database import schema
from multinic.values.settings import DatabaseSettings, Secret
from tests.kernel.node import mac_of

HISTORY, TOLD = "var/lib/multinic/history.jsonl", "run/multinic/told.json"


@pytest.fixture
def node(node):
    """A node whose database has our tables."""
    list(schema.migrate(DatabaseSettings(node.url, Secret(""), 3, 5, ignore_deleted_at=False)))
    return node


def the_node(node):
    (row,) = node.sql("SELECT * FROM multinic_node")
    return dict(row)


def interfaces(node):
    return {row["mac"]: dict(row) for row in node.sql("SELECT * FROM multinic_interface")}


def kinds(node, *interface):
    return [event["event"] for event in node.document("history", *interface)["events"]]


def look_again(node):
    """Let five minutes pass for the memory of what converged, and for what was told."""
    (node.root / "run/multinic/converged").unlink(missing_ok=True)
    told = json.loads((node.root / TOLD).read_text())
    told["time"] -= 300
    (node.root / TOLD).write_text(json.dumps(told))


def test_a_pass_tells_what_the_links_are_and_one_that_finds_nothing_new_writes_nothing(node):
    node.provide(2)
    node.attach(3, "10.0.0.13")
    node.reconcile()
    found = interfaces(node)
    assert (found[mac_of(1)]["addresses"], found[mac_of(1)]["mtu"]) == ("10.0.0.11/24", 1401)
    assert [found[mac_of(n)]["operational"] for n in (1, 2, 3)] == ["up", "up", "absent"]
    assert the_node(node)["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    node.reconcile()
    before, rows = node.files(), [the_node(node), interfaces(node)]
    node.sql("UPDATE multinic_node SET last_seen = '2026-01-01 00:00:00'")
    node.reconcile()
    assert node.files() == before
    assert the_node(node)["last_seen"] == "2026-01-01 00:00:00"
    look_again(node)
    node.reconcile()
    assert the_node(node)["last_seen"] > "2026-01-01 00:00:00"
    assert {**the_node(node), "last_seen": ""} == {**rows[0], "last_seen": ""}
    assert interfaces(node) == rows[1]
    node.unplug(2)
    node.reconcile()
    assert interfaces(node)[mac_of(2)]["reason"] == "not-plugged-in"


def test_a_pass_that_is_refused_is_told_once_and_so_is_its_end(node):
    node.provide(1)
    node.reconcile()
    other = node.root / "etc/systemd/network/10-multinic0.network"  # of another backend
    other.parent.mkdir(parents=True)
    other.write_text("[Match]\n")
    for _ in range(2):
        node.reconcile(expect=5)
    found = the_node(node)
    assert (found["last_result"], found["error_code"]) == ("error", "refused")
    assert "10-multinic0.network" in found["error"]
    assert interfaces(node)[mac_of(1)]["state"] == "converged"
    other.unlink()
    node.reconcile()
    assert (the_node(node)["last_result"], the_node(node)["error"]) == ("ok", "")
    assert kinds(node) == ["created", "unfinished", "over"]
    told = [row["kind"] for row in node.sql("SELECT kind FROM multinic_event ORDER BY number")]
    assert told == ["created", "unfinished", "over"]


def test_a_node_that_cannot_be_told_apart_is_told_under_its_own_name(node):
    node.provide(1)
    node.reconcile()
    node.sql("UPDATE multi_interface SET attached_node_name = 'node1.a'")
    node.attach(2, "10.0.0.12", node="node1.b")
    node.reconcile(expect=2)
    found = the_node(node)
    assert (found["node"], found["error_code"]) == ("node1", "settings")
    assert "ambiguous" in found["error"]


def test_a_database_that_lets_us_in_and_refuses_the_rows_is_told_why(node):
    node.provide(1)
    node.reconcile()
    node.sql("ALTER TABLE multi_interface RENAME COLUMN port_id TO other")
    for _ in range(2):
        node.reconcile(expect=2)
    found = the_node(node)
    assert (found["last_result"], found["error_code"]) == ("error", "database")
    assert "has no column port_id" in found["error"]
    node.sql("ALTER TABLE multi_interface RENAME COLUMN other TO port_id")
    node.reconcile()
    assert the_node(node)["last_result"] == "ok"
    told = [row["kind"] for row in node.sql("SELECT kind FROM multinic_event ORDER BY number")]
    assert told == ["created", "outage", "over"]


def test_an_outage_is_told_afterwards_and_no_row_is_lost(node):
    node.provide(1)
    node.reconcile()
    database = node.directory / "multinic.db"
    os.rename(database, f"{database}.away")
    node.ip("link", "set", "multinic0", "mtu", "1300")
    for _ in range(2):
        node.reconcile(expect=75)
    assert kinds(node) == ["created", "outage", "repaired"]
    os.rename(f"{database}.away", database)
    node.reconcile()
    assert kinds(node) == ["created", "outage", "repaired", "over"]
    told = node.sql("SELECT kind, reason FROM multinic_event ORDER BY number")
    assert [row["kind"] for row in told] == ["created", "outage", "repaired", "over"]


def test_what_cannot_be_written_there_stops_no_pass_and_is_told_once(node):
    node.provide(1)
    node.sql("DROP TABLE multinic_node")
    node.sql("CREATE TABLE multinic_node (node INT)")  # of somebody else
    said = node.reconcile()
    assert said.count("the status tables could not be written") == 1
    assert (node.link(1)[0], node.flags()) == ("multinic0", {mac_of(1): 1})
    node.sql("UPDATE multi_interface SET mtu = 1310")
    assert "status tables" not in node.reconcile()
    assert "the status tables could not be written" in node.multinic("status").stdout
    node.sql("DROP TABLE multinic_node")
    list(schema.migrate(DatabaseSettings(node.url, Secret(""), 3, 5, ignore_deleted_at=False)))
    look_again(node)
    assert "the status tables can be written again" in node.reconcile()
    assert interfaces(node)[mac_of(1)]["mtu"] == 1310


def test_after_a_purge_only_the_events_are_left(node):
    node.provide(2)
    node.reconcile()
    node.multinic("purge", "--yes")
    assert node.sql("SELECT * FROM multinic_node") == node.sql("SELECT * FROM multinic_interface") == []
    told = [row["kind"] for row in node.sql("SELECT kind FROM multinic_event ORDER BY number")]
    assert told == ["created", "created", "removed", "removed"]
    assert not (node.root / HISTORY).exists()


def test_a_failure_and_every_attempt_after_it_is_an_event(node):
    node.provide(1)
    node.reconcile()
    node.take_address(1)
    node.reconcile(expect=4)
    node.reconcile(expect=4)  # backs off
    node.multinic("apply", "--yes", expect=4)
    assert kinds(node, "multinic0") == ["created", "failed", "failed"]
    assert (interfaces(node)[mac_of(1)]["state"], the_node(node)["failed"]) == ("failed", 1)
    failed = node.document("history")["events"][1]
    assert (failed["attempt"], failed["reason"]) == ("update", "duplicate-address")
    assert {"field": "address", "from": None, "to": "fd00::5/64"} in failed["changes"]


def test_a_rollback_is_an_event_which_the_next_sign_of_life_brings(node):
    node.provide(1)
    node.reconcile()
    node.sql("UPDATE multi_interface SET mtu = 1300")
    node.reconcile()
    node.multinic("rollback")
    node.sql("UPDATE multi_interface SET mtu = 1401")
    assert kinds(node) == ["created", "changed", "rolled-back"]
    node.reconcile()
    look_again(node)
    node.reconcile()
    told = [(row["kind"], row["reason"]) for row in node.sql("SELECT * FROM multinic_event ORDER BY number")]
    assert told == [("created", "new"), ("changed", "changed"), ("rolled-back", "rollback")]


def test_the_history_needs_no_database_finds_an_interface_by_any_name_and_fits_a_terminal(node):
    node.provide(2)
    node.reconcile()
    node.attach(4, "nonsense")
    node.reconcile(expect=4)
    os.remove(node.directory / "multinic.db")
    for name in ("multinic1", mac_of(2), mac_of(2).upper().replace(":", "-"), f"port-{mac_of(2)}"):
        assert [event["name"] for event in node.document("history", name)["events"]] == ["multinic1"], name
    assert node.document("history", "")["events"] == node.document("history", "multinic9")["events"] == []
    shown = node.multinic("history").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "    mtu 1500 → 1401" in shown.splitlines()
    with open(node.root / HISTORY, "a") as file:
        file.write('{"number": 9e99}\n[]\n\x00\n')
    assert node.multinic("history").stdout == shown
    os.remove(node.root / HISTORY)
    assert node.multinic("history").stdout == "no events\n"
