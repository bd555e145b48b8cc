"""The deletion fuse: a database that seems to have lost most of its rows is not believed at once."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.kernel.node import mac_of

RECORD = "var/lib/multinic/record.json"


def seen(node):
    """Return in how many consecutive reads the host has seen a mass deletion."""
    return json.loads((node.root / RECORD).read_bytes())["mass_deletion"]


def a_minute_passes(node):
    """Have the first of the reads in doubt be a minute older."""
    record = json.loads((node.root / RECORD).read_bytes())
    record["mass_deletion_since"] -= 61
    (node.root / RECORD).write_text(json.dumps(record))


def held_back(node, *numbers):
    """Whether one pass, a minute ago, held the removal of these ports back, and said what to do."""
    before = node.links()
    with node.events() as events:
        document = node.document("reconcile", expect=5)
    assert (events, node.links()) == ([], before)
    stated = {item["mac"]: item for item in document["interfaces"]}
    for number in numbers:
        item = stated[mac_of(number)]
        assert (item["state"], item["reason"]) == ("blocked", "deletion-fuse")
        assert "multinic apply --allow-mass-delete" in item["message"]
    a_minute_passes(node)
    return True


def gone(node, *numbers):
    """Whether these ports' links have been given back as they were before us."""
    return all(node.link(number) == (f"eth{number}", False, 1500, ()) for number in numbers)


def test_an_emptied_table_takes_effect_at_the_third_read(converged):
    node = converged(4)
    node.sql("DELETE FROM multi_interface")
    assert held_back(node, 1, 2, 3, 4)
    assert held_back(node, 1, 2, 3, 4)
    node.reconcile()
    assert gone(node, 1, 2, 3, 4)
    assert seen(node) == 3
    with node.events() as events:
        assert node.reconcile() == ""
    assert (events, seen(node)) == ([], 0)


def test_a_burst_of_passes_is_one_doubt(converged):
    """NICs that are plugged in, a person and the timer make passes within a second."""
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    before = node.links()
    for _ in range(5):
        node.reconcile(expect=5)
    assert node.links() == before
    a_minute_passes(node)
    node.reconcile()
    assert gone(node, 1, 2, 3)


def test_a_clock_that_was_set_back_lets_nothing_go_early(converged):
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    for _ in range(3):
        node.reconcile(expect=5)
    record = json.loads((node.root / RECORD).read_bytes())
    record["mass_deletion_since"] += 3600
    (node.root / RECORD).write_text(json.dumps(record))
    node.reconcile(expect=5)
    a_minute_passes(node)
    node.reconcile()
    assert gone(node, 1, 2, 3)


def test_what_was_removed_once_does_not_count_for_the_next_time(converged):
    node = converged(4)
    node.sql("DELETE FROM multi_interface WHERE id > 1")
    assert held_back(node, 2, 3, 4)
    assert held_back(node, 2, 3, 4)
    node.reconcile()
    node.reconcile()
    node.sql("DELETE FROM multi_interface")
    assert held_back(node, 1)


def test_the_first_refusal_is_told_and_the_second_is_not_news(converged):
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    said = node.reconcile(expect=5)
    assert said.count("3 would be removed at once") == 3
    assert said.count("multinic apply --allow-mass-delete") == 3
    assert node.reconcile(expect=5) == ""


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        pytest.param("DELETE FROM multi_interface WHERE id > 1", (1,), id="most rows are gone"),
        pytest.param(
            "UPDATE multi_interface SET deleted_at = CURRENT_TIMESTAMP WHERE id > 1",
            (1,),
            id="most rows were deleted softly",
        ),
        pytest.param("UPDATE multi_interface SET deleted_at = CURRENT_TIMESTAMP", (), id="all softly"),
        pytest.param(
            "UPDATE multi_interface SET attached_node_name = 'node2'", (), id="all are another node's"
        ),
    ],
)
def test_more_than_half_takes_effect_at_the_third_read(converged, statement, kept):
    node = converged(4)
    node.sql(statement)
    going = [number for number in (1, 2, 3, 4) if number not in kept]
    assert held_back(node, *going)
    assert held_back(node, *going)
    node.reconcile()
    assert gone(node, *going)
    assert all(node.link(number)[0] == f"multinic{number - 1}" for number in kept)


@pytest.mark.parametrize(("count", "going"), [(4, (1, 2)), (2, (2,)), (3, (2,))])
def test_half_of_all_or_a_single_one_is_removed_at_once(converged, count, going):
    node = converged(count)
    for number in going:
        node.detach(number)
    node.reconcile()
    assert gone(node, *going)


def test_the_only_one_is_removed_at_once_while_the_node_has_another_row(converged):
    node = converged(1)
    node.attach(7, "10.0.0.17")
    node.detach(1)
    node.reconcile()
    assert gone(node, 1)


def test_the_only_one_of_a_node_without_rows_is_not(converged):
    node = converged(1)
    node.detach(1)
    assert held_back(node, 1)
    assert held_back(node, 1)
    node.reconcile()
    assert gone(node, 1)


def test_a_node_without_rows_and_without_managed_links_is_fine(node):
    node.namespace.plug("eth1", mac_of(1))
    with node.events() as events:
        assert node.reconcile() == ""
    assert (events, node.link(1)[0]) == ([], "eth1")


def test_a_good_read_in_between_begins_the_count_anew(converged):
    node = converged(3)
    rows = node.sql("SELECT * FROM multi_interface")
    node.sql("UPDATE multi_interface SET attached_node_name = 'elsewhere'")
    assert held_back(node, 1, 2, 3)
    assert held_back(node, 1, 2, 3)
    node.sql("UPDATE multi_interface SET attached_node_name = 'node1'")
    with node.events() as events:
        node.reconcile()
    assert (events, seen(node)) == ([], 0)
    node.sql("UPDATE multi_interface SET attached_node_name = 'elsewhere'")
    assert held_back(node, 1, 2, 3)
    assert held_back(node, 1, 2, 3)
    node.reconcile()
    assert gone(node, *range(1, len(rows) + 1))


def test_a_pass_without_a_read_in_between_begins_the_count_anew(converged):
    """A database that is away and comes back empty is the very case."""
    node = converged(3)
    node.sql("UPDATE multi_interface SET attached_node_name = 'elsewhere'")
    assert held_back(node, 1, 2, 3)
    assert held_back(node, 1, 2, 3)
    url, node.url = node.url, "sqlite:////nowhere/at/all.db"
    with node.events() as events:
        node.reconcile(expect=75)
    node.url = url
    assert (events, seen(node)) == ([], 0)
    assert held_back(node, 1, 2, 3)
    assert held_back(node, 1, 2, 3)
    node.reconcile()
    assert gone(node, 1, 2, 3)


def test_the_count_outlives_a_reboot(converged):
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    assert held_back(node, 1, 2, 3)
    shutil.rmtree(node.root / "run")
    assert held_back(node, 1, 2, 3)
    shutil.rmtree(node.root / "run")
    node.reconcile()
    assert gone(node, 1, 2, 3)


def test_a_host_that_has_forgotten_everything_counts_from_the_start(converged):
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    assert held_back(node, 1, 2, 3)
    assert held_back(node, 1, 2, 3)
    (node.root / RECORD).unlink()
    assert held_back(node, 1, 2, 3)


def test_looking_counts_nothing(converged):
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    files = node.files()
    for _ in range(4):
        assert {item["reason"] for item in node.plan(expect=5).values()} == {"deletion-fuse"}
    assert node.files() == files
    assert held_back(node, 1, 2, 3)


def test_an_idle_host_counts_from_the_first_bad_read_on(converged):
    """What is remembered of a converged host must not answer in place of the count."""
    node = converged(3)
    node.reconcile()
    node.reconcile()
    assert (node.root / "run/multinic/converged").exists()
    node.sql("DELETE FROM multi_interface")
    for count in (1, 2):
        assert held_back(node, 1, 2, 3)
        assert seen(node) == count
        assert not (node.root / "run/multinic/converged").exists()
    node.reconcile()
    assert gone(node, 1, 2, 3)


def test_a_person_may_allow_it(converged):
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    allowed = node.document("plan", "--allow-mass-delete")
    assert allowed["summary"] == {"delete": 3}
    node.multinic("apply", "--yes", expect=5)
    assert node.link(1)[0] == "multinic0"
    node.multinic("apply", "--yes", "--allow-mass-delete")
    assert gone(node, 1, 2, 3)


def test_a_node_name_that_matches_nothing_removes_nothing_at_first(converged):
    node = converged(3)
    before = node.links()
    for _ in range(2):
        node.multinic("--node", "node77", "reconcile", expect=5)
    assert node.links() == before
    with node.events() as events:
        node.reconcile()
    assert (events, seen(node)) == ([], 0)


def test_another_database_removes_nothing_at_first(converged, tmp_path):
    node = converged(3)
    before = node.links()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    node.multinic("--database-url", other, "db", "init")
    node.multinic("--database-url", other, "reconcile", expect=5)
    assert node.links() == before
    with node.events() as events:
        node.reconcile()
    assert events == []


def test_rows_gone_for_a_moment_cost_nothing(converged):
    """A controller that deletes and inserts again, and not in one transaction."""
    node = converged(4)
    rows = [dict(row) for row in node.sql("SELECT * FROM multi_interface")]
    before = node.links()
    node.reconcile()
    node.sql("DELETE FROM multi_interface")
    assert held_back(node, 1, 2, 3, 4)
    for row in rows:
        del row["id"]
        node.schema.attach(node.connection, row.pop("macaddress"), **row | {"netplan_success": 0})
    with node.events() as events:
        node.reconcile()
    assert (events, node.links()) == ([], before)
    assert node.flags() == {mac_of(n): 1 for n in (1, 2, 3, 4)}


def test_other_changes_are_carried_out_while_removals_are_held_back(converged):
    node = converged(4)
    node.sql("DELETE FROM multi_interface WHERE id > 1")
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE id = 1")
    node.attach(9, "10.0.0.19")
    node.namespace.plug("eth9", mac_of(9))
    node.reconcile(expect=5)
    assert node.link(1) == ("multinic0", True, 1300, ("10.0.0.11/24",))
    assert node.link(9) == ("multinic4", True, 1500, ("10.0.0.19/24",))
    assert [node.link(n)[0] for n in (2, 3, 4)] == ["multinic1", "multinic2", "multinic3"]
    assert node.flags() == {mac_of(1): 1, mac_of(9): 1}


def test_drift_of_what_is_held_back_waits_with_it(converged):
    """Nobody knows whether it is still wanted: it is left as it is, and put right when it is."""
    node = converged(3)
    before = node.links()
    node.sql("UPDATE multi_interface SET attached_node_name = 'elsewhere'")
    node.ip("link", "set", "multinic1", "mtu", "1300")
    assert held_back(node, 1, 2, 3)
    node.sql("UPDATE multi_interface SET attached_node_name = 'node1'")
    node.reconcile()
    assert node.links() == before


def test_where_a_person_is_to_be_asked_no_number_of_reads_is_enough(converged):
    node = converged(3)
    node.sql("DELETE FROM multi_interface")
    before = node.links()
    asking = {"MULTINIC_SAFETY_MASS_DELETE": "ask"}
    for _ in range(5):
        said = node.reconcile(expect=5, env=asking)
        a_minute_passes(node)
    assert node.links() == before
    assert "a person must say so (safety.mass_delete)" in node.multinic("plan", expect=5, env=asking).stdout
    assert said == ""  # it was logged when it began
    node.multinic("apply", "--yes", "--allow-mass-delete", env=asking)
    assert gone(node, 1, 2, 3)
