"""Commands for one interface: what was not selected stays exactly as it is."""

from __future__ import annotations

import json

from tests.kernel.node import mac_of


def by_mac(document):
    return {item["mac"]: item for item in document["interfaces"]}


def want_other_mtus(node, count):
    for number in range(1, count + 1):
        node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(number))


def test_one_interface_is_selected_by_name_mac_port_or_row(converged):
    node = converged(3)
    want_other_mtus(node, 3)
    (row,) = node.sql("SELECT id, port_id FROM multi_interface WHERE macaddress = %s", mac_of(2))
    for word in ("multinic1", mac_of(2), mac_of(2).upper().replace(":", "-"), row["port_id"], str(row["id"])):
        assert list(by_mac(node.document("plan", word))) == [mac_of(2)], word
        assert list(by_mac(node.document("plan", "--only", word))) == [mac_of(2)], word
        assert list(by_mac(node.document("status", word))) == [mac_of(2)], word
    assert list(by_mac(node.document("plan", "multinic2", "multinic0"))) == [mac_of(1), mac_of(3)]
    node.sql("UPDATE multi_interface SET port_id = 'multinic0' WHERE macaddress = %s", mac_of(3))
    assert list(by_mac(node.document("plan", "multinic0"))) == [mac_of(1)]


def test_what_is_not_there_is_an_error_that_says_what_is(converged):
    node = converged(2)
    want_other_mtus(node, 2)
    before = node.links()
    for command in (("plan", "multinic7"), ("status", ""), ("apply", "--yes", "--only", "multinic7")):
        said = node.multinic(*command, expect=2).stderr
        assert "no interface" in said
        assert f"multinic0 ({mac_of(1)}), multinic1 ({mac_of(2)})" in said
    assert node.links() == before


def test_apply_changes_what_was_selected_and_a_later_pass_the_rest(converged):
    node = converged(3)
    want_other_mtus(node, 3)
    node.detach(3)
    node.attach(4, "10.0.0.14", 1404)
    node.namespace.plug("eth4", mac_of(4))
    before = node.links()
    with node.events() as events:
        done = by_mac(node.document("apply", "--yes", "--only", "multinic1"))
    after = node.links()
    assert after.pop(mac_of(2))[:3] == ("multinic1", True, 1300)
    assert before.pop(mac_of(2))[:3] == ("multinic1", True, 1402)
    assert after == before
    assert {event.link for event in events} <= {"multinic1"}
    for number in (1, 3, 4):
        assert (done[mac_of(number)]["state"], done[mac_of(number)]["reason"]) == ("waiting", "not-selected")
    assert node.flags() == {mac_of(1): 0, mac_of(2): 1, mac_of(4): 0}
    node.reconcile()
    assert [node.link(number)[2] for number in (1, 2, 4)] == [1300, 1300, 1404]
    assert node.link(3)[0] == "eth3"
    assert set(node.flags().values()) == {1}
    assert node.reconcile() == ""


def test_a_slot_that_is_not_free_yet_is_not_taken_from_what_was_not_selected(converged):
    node = converged(2)
    node.settings.write_text("max_interfaces = 2\n")
    node.detach(1)
    node.attach(3, "10.0.0.13", 1403)
    node.namespace.plug("eth3", mac_of(3))
    before = node.links()
    assert "no slot" in node.multinic("apply", "--yes", "--only", mac_of(3), expect=4).stdout
    assert node.links() == before
    node.multinic("apply", "--yes", "--only", mac_of(1), expect=0)
    assert node.link(1)[0] == "eth1"
    node.reconcile()
    assert node.link(3)[0] == "multinic0"


def test_a_saved_plan_of_one_interface_is_carried_out_for_that_one(converged):
    node = converged(2)
    want_other_mtus(node, 2)
    saved = node.directory / "plan.json"
    node.multinic("plan", "multinic0", "--out", saved)
    assert [item["name"] for item in json.loads(saved.read_text())["interfaces"]] == ["multinic0"]
    assert (
        "leave out --only" in node.multinic("apply", "--only", "multinic1", saved, "--yes", expect=2).stderr
    )
    node.sql("UPDATE multi_interface SET mtu = 1301 WHERE macaddress = %s", mac_of(2))  # of no concern
    node.multinic("apply", "--yes", saved)
    assert [node.link(number)[2] for number in (1, 2)] == [1300, 1402]
    stale = node.multinic("apply", "--yes", saved, expect=5).stderr
    assert "stale" in stale
    saved.write_text(json.dumps({**json.loads(saved.read_text()), "only": [1]}))
    assert "not a plan" in node.multinic("apply", "--yes", saved, expect=2).stderr
    assert node.link(2)[2] == 1402
