"""`multinic status` beside links that have changed since the last pass: what is not so is not said."""

from __future__ import annotations

import pytest

from tests.kernel.node import mac_of

OTHER = "fa:16:3e:00:00:99"
CHANGES = {
    "set down": ([["link", "set", "multinic0", "down"]], "the link is down"),
    "without its address": (
        [["address", "del", "10.0.0.11/24", "dev", "multinic0"]],
        "the address 10.0.0.11/24 is missing",
    ),
    "with another MTU": ([["link", "set", "multinic0", "mtu", "1300"]], "mtu 1300 instead of 1401"),
    "renamed": (
        [["link", "set", "multinic0", "down"], ["link", "set", "multinic0", "name", "other"]],
        "the link has the name other; the link is down",
    ),
    "with another MAC address": (
        [["link", "set", "multinic0", "address", OTHER]],
        f"no link has the MAC address {mac_of(1)}; multinic0 has the MAC address {OTHER}",
    ),
    "unplugged": ([["link", "del", "multinic0"]], f"no link has the MAC address {mac_of(1)}"),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_link_that_has_changed_is_not_as_desired_and_appears_once(converged, how):
    node = converged(2)
    since = {item["name"]: item["since"] for item in node.document("status")["interfaces"]}
    commands, words = CHANGES[how]
    for command in commands:
        node.ip(*command)
    changed, other = node.document("status")["interfaces"]
    assert (changed["name"], changed["state"], changed["reason"]) == ("multinic0", "drifted", "drift")
    assert changed["message"] == f"changed since the last pass: {words}"
    assert (other["state"], other["message"]) == ("converged", "as desired")
    assert other["since"] == since["multinic1"]
    said = node.multinic("status").stdout
    assert said.count(mac_of(1)) == 1 + words.count(mac_of(1))
    assert said.count("as desired") == 1


def test_an_interface_whose_row_has_become_bad_appears_once(converged):
    node = converged(2)
    node.sql("UPDATE multi_interface SET mtu = 1 WHERE macaddress = %s", mac_of(1))
    node.reconcile(expect=4)
    node.sql("UPDATE multi_interface SET macaddress = 'zz:' WHERE macaddress = %s", mac_of(2))
    node.reconcile(expect=4)
    found = {(item["name"], item["state"]) for item in node.document("status")["interfaces"]}
    assert found == {("multinic0", "invalid"), ("multinic1", "invalid")}
    assert len(node.document("status")["interfaces"]) == 2


def test_it_says_how_the_database_is_and_since_when(converged):
    node = converged(1)
    found = node.document("status")
    assert found["database"] == {"read": True, "time": found["time"], "since": None, "error": ""}
    database = node.directory / "multinic.db"
    database.rename(node.directory / "away.db")
    node.reconcile(expect=75)
    down = node.document("status")["database"]
    assert (down["read"], down["since"]) == (False, down["time"])
    assert str(database) in down["error"]
    assert "database   not readable since" in node.multinic("status").stdout
    (node.directory / "away.db").rename(database)
    node.reconcile()
    assert node.document("status")["database"]["read"] is True
