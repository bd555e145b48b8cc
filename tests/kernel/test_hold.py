"""Holds: nothing is changed on an interface while a person holds it, and everybody sees why."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest

from tests.kernel.node import mac_of, until

HOLDS = "var/lib/multinic/holds.json"
WHY = "measuring packet loss, ask Kim"


def by_mac(document):
    return {item["mac"]: item for item in document["interfaces"]}


def hold(node, word="multinic0", *more):
    node.multinic("hold", word, "--for", "2h", "--why", WHY, *more)


def long_ago(node, seconds):
    """Have everything in the file of holds happen earlier."""
    document = json.loads((node.root / HOLDS).read_bytes())
    for one in document["holds"]:
        one["since"] -= seconds
        one["until"] -= seconds
    (node.root / HOLDS).write_text(json.dumps(document))


def new_row(node):
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))


def drift(node):
    node.ip("address", "flush", "dev", "multinic0")


def no_row(node):
    node.detach(1)


def no_database(node):
    drift(node)
    node.url = f"sqlite:///{node.directory}/none.db"


@pytest.mark.parametrize("change", [new_row, drift, no_row, no_database])
def test_nothing_is_changed_on_what_is_held_and_everything_once_it_is_released(converged, change):
    node = converged(2)
    hold(node)
    url = node.url
    change(node)
    before = node.link(1)
    with node.events() as events:
        for _ in range(2):
            node.reconcile(expect=None)
        node.multinic("apply", "--yes", expect=None)
    assert [event for event in events if event.link == "multinic0"] == []
    assert node.link(1) == before
    node.url = url
    node.multinic("release", "multinic0")
    node.reconcile()
    assert node.link(1) != before
    assert not (node.root / HOLDS).exists()


def test_others_go_on_meanwhile(converged):
    node = converged(2)
    hold(node)
    node.sql("UPDATE multi_interface SET mtu = 1300")
    node.attach(3, "10.0.0.13", 1403)
    node.namespace.plug("eth3", mac_of(3))
    node.reconcile(expect=5)
    assert [node.link(number)[2] for number in (1, 2, 3)] == [1401, 1300, 1403]
    assert node.flags() == {mac_of(1): 0, mac_of(2): 1, mac_of(3): 1}


def test_everybody_sees_until_when_and_why(converged):
    node = converged(2)
    node.multinic("db", "migrate")
    hold(node)
    assert by_mac(node.document("status"))[mac_of(1)]["held"]["why"] == WHY  # before any pass
    assert WHY in node.multinic("status").stdout.replace("\n", " ")
    new_row(node)
    assert node.reconcile(expect=5).count(WHY) == 1
    assert node.reconcile(expect=5) == ""
    held = node.document("hold")["holds"]
    assert [(one["name"], one["mac"], one["why"]) for one in held] == [("multinic0", mac_of(1), WHY)]
    assert 7100 < held[0]["until"] - time.time() < 7300
    for document in (node.document("plan", expect=5), node.document("status")):
        found = by_mac(document)[mac_of(1)]
        assert (found["state"], found["reason"]) == ("blocked", "held")
        assert "held until" in found["message"]
        assert WHY in found["message"]
        assert WHY not in by_mac(document)[mac_of(2)]["message"]
    assert WHY in node.multinic("doctor", expect=None).stdout.replace("\n", " ")
    notes = [found for found in node.document("doctor", expect=None)["findings"] if WHY in found["message"]]
    assert [(note["level"], "multinic release multinic0" in note["hint"]) for note in notes] == [
        ("note", True)
    ]
    assert json.loads(node.multinic("health").stdout)["held"] == 1
    (row,) = node.sql("SELECT * FROM multinic_interface WHERE reason = 'held'")
    assert (row["mac"], row["state"]) == (mac_of(1), "blocked")
    assert WHY in row["message"]
    assert WHY in node.multinic("history", "multinic0").stdout.replace("\n    ", " ")


def test_what_is_as_desired_stays_so_in_the_database_while_it_is_held(converged):
    node = converged(1)
    node.multinic("db", "migrate")
    hold(node)
    assert node.reconcile().count(WHY) == 1
    assert node.reconcile() == ""
    found = by_mac(node.document("status"))[mac_of(1)]
    assert (found["state"], found["reason"]) == ("converged", "held")
    assert node.flags() == {mac_of(1): 1}
    (row,) = node.sql("SELECT * FROM multinic_interface")
    assert (row["state"], row["reason"]) == ("converged", "held")
    node.multinic("release", "--all")
    assert "held until" not in by_mac(node.document("status"))[mac_of(1)]["message"]
    node.reconcile()
    assert by_mac(node.document("status"))[mac_of(1)]["reason"] == "converged"


def test_a_hold_ends_by_itself_and_not_with_a_boot(converged):
    node = converged(1)
    hold(node)
    new_row(node)
    shutil.rmtree(node.root / "run")
    node.reconcile(expect=5)
    long_ago(node, 7195)
    node.reconcile(expect=5)
    long_ago(node, 10)
    assert "mtu 1401 → 1300" in node.reconcile()
    assert node.document("hold")["holds"] == []
    assert by_mac(node.document("status"))[mac_of(1)]["held"] is None


def test_a_hold_stays_with_its_card_whatever_name_and_row_get_another_one(converged):
    node = converged(2)
    node.settings.write_text("max_interfaces = 2\n")
    hold(node)
    node.sql("UPDATE multi_interface SET macaddress = %s WHERE macaddress = %s", mac_of(3), mac_of(1))
    node.namespace.plug("eth3", mac_of(3))
    before = node.link(1)
    plan = node.plan(expect=4)
    assert (plan[mac_of(1)]["state"], plan[mac_of(1)]["reason"]) == ("blocked", "held")
    assert plan[mac_of(3)]["reason"] != "held"
    node.reconcile(expect=4)  # its slot is not free
    node.settings.write_text("")
    node.reconcile(expect=5)
    assert (node.link(1), node.link(3)[0]) == (before, "multinic2")


def test_a_card_can_be_held_before_a_row_names_it(node):
    node.namespace.plug("eth1", mac_of(1))
    hold(node, "eth1")
    node.attach(1, "10.0.0.11", 1401)
    before = node.link(1)
    node.reconcile(expect=5)
    assert node.link(1) == before
    node.multinic("release", mac_of(1))
    node.reconcile()
    assert node.link(1)[0] == "multinic0"


def test_a_hold_can_be_prolonged_and_shortened(converged):
    node = converged(2)
    hold(node)
    said = node.multinic("hold", "multinic0", "multinic1", "--for", "1d", "--why", "still measuring").stdout
    assert said.count("is held until") == 2
    assert said.count("it was held until") == said.count(WHY) == 1
    held = node.document("hold")["holds"]
    assert [(one["name"], one["why"]) for one in held] == [
        ("multinic0", "still measuring"),
        ("multinic1", "still measuring"),
    ]
    assert (
        "is not held"
        in node.multinic("release", "multinic1", "multinic0").stdout
        + node.multinic("release", "multinic1").stdout
    )


NONSENSE = {
    "0": "--for",
    "0s": "from one second to 7 days",
    "-2h": "--for",
    "8d": "from one second to 7 days",
    "2": "--for",
    "9999999d": "--for",
}


def test_what_cannot_be_meant_is_refused(converged):
    node = converged(1)
    for text, words in NONSENSE.items():
        done = node.multinic("hold", "multinic0", "--for", text, "--why", WHY, expect=2)
        assert words in done.stderr
    for why in ("", " ", "a\nb", "\x1b[31m", "\u202eabc", "x" * 201):
        assert "--why" in node.multinic("hold", "multinic0", "--why", why, expect=2).stderr
    assert "--why is missing" in node.multinic("hold", "multinic0", expect=2).stderr
    assert "multinic0" in node.multinic("hold", "multinic7", "--why", WHY, expect=2).stderr
    for words in ((), ("multinic0", "--all")):
        assert "--all" in node.multinic("release", *words, expect=2).stderr
    assert not (node.root / HOLDS).exists()


def test_a_hold_waits_for_a_pass_that_is_at_work(converged):
    node = converged(1)
    node.slow_down(1)
    busy = node.start("reconcile")
    until((node.root / "var/lib/multinic/checkpoint.json").exists)
    hold(node)
    assert not (node.root / "var/lib/multinic/checkpoint.json").exists()
    busy.communicate()
    node.speed_up(1)


def test_a_change_that_is_half_done_is_restored_before_anything_is_held(converged):
    node = converged(1)
    node.slow_down(1)
    busy = node.start("reconcile")
    until((node.root / "var/lib/multinic/checkpoint.json").exists)
    busy.kill()
    busy.communicate()
    node.speed_up(1)
    said = node.multinic("hold", "multinic0", "--why", WHY, expect=5).stderr
    assert "multinic rollback --interrupted" in said
    node.multinic("rollback", "--interrupted")
    hold(node)


def test_neither_rollback_nor_purge_touches_what_is_held(converged):
    node = converged(2)
    hold(node)
    before = node.link(1)
    for command in (("rollback", "--plan"), ("rollback", "--yes")):
        said = node.multinic(*command, expect=5).stderr
        assert WHY in said
        assert "multinic release multinic0" in said
    assert node.link(2)[0] == "multinic1"
    assert WHY in node.multinic("purge", "--yes", expect=5).stderr
    assert (node.link(1), node.link(2)[0]) == (before, "eth2")
    long_ago(node, 7300)
    node.multinic("purge", "--yes")
    assert node.link(1)[0] == "eth1"
    assert not (node.root / HOLDS).exists()


def text(content):
    return lambda path: path.write_text(content)


def one(**values):
    good = {"mac": mac_of(1), "card": mac_of(1), "name": "multinic0", "port_id": "", "since": 1.0}
    return text(json.dumps({"version": 1, "holds": [good | {"until": 9.0, "why": WHY, "by": "x"} | values]}))


DAMAGE = {
    "cut": text('{"version": 1, "ho'),
    "empty": text(""),
    "of a later version": text('{"version": 2, "holds": []}'),
    "no object": text("[]"),
    "longer than any": one(until=9e9),
    "not a number": one(until=float("nan")),
    "that acts on a terminal": one(why="\x1b[2J"),
    "of no card": one(card="x"),
    "bytes": lambda path: path.write_bytes(b"\xff\x00" * 99),
    "directory": lambda path: path.mkdir(),
    "symlink": lambda path: path.symlink_to("/dev/zero"),
}


def test_while_nobody_knows_what_is_held_nothing_that_works_is_changed(converged):
    node = converged(1)
    path = node.root / HOLDS
    node.attach(2, "10.0.0.12", 1402)
    new_row(node)
    for kind, damage in DAMAGE.items():
        damage(path)
        node.reconcile(expect=5)
        assert node.link(1)[2] == 1401, kind
        assert "damaged" in node.multinic("hold", "multinic0", "--why", "x", expect=5).stderr, kind
        assert "release --all" in node.multinic("status").stdout, kind
        path.rmdir() if kind == "directory" else node.multinic("release", "--all")
        assert not os.path.lexists(path)
    path.write_text("{")
    for command, status in ((("plan",), 5), (("apply", "--yes"), 5), (("doctor",), 4)):
        assert "is damaged" in node.multinic(*command, expect=status).stdout.replace("\n", " ")
    for command in (("release", "multinic0"), ("rollback", "--yes")):
        assert "is damaged" in node.multinic(*command, expect=5).stderr
    node.namespace.plug("eth2", mac_of(2))
    node.reconcile(expect=5)
    assert node.link(2)[0] == "multinic1"  # nothing worked there before
    os.utime(path, (time.time() - 8 * 86400,) * 2)
    node.reconcile()
    assert node.link(1)[2] == 1300
