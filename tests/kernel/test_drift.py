"""What somebody changes by hand is put right by the next pass, exactly that and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.kernel.node import mac_of

RECORD = "var/lib/multinic/record.json"


@pytest.mark.parametrize(
    "by_hand",
    [
        pytest.param(["address", "del", "10.0.0.12/24", "dev", "multinic1"], id="an address deleted"),
        pytest.param(["link", "set", "multinic1", "mtu", "1500"], id="another MTU"),
        pytest.param(["link", "set", "multinic1", "down"], id="down"),
        pytest.param(["link", "set", "multinic1", "name", "foo"], id="a foreign name"),
        pytest.param(["link", "set", "multinic1", "name", "multinic7"], id="the name of a free slot"),
        pytest.param(["address", "flush", "dev", "multinic1"], id="all addresses flushed"),
    ],
)
def test_drift_is_repaired_and_only_on_that_link(converged, by_hand):
    node = converged(3)
    before = node.links()
    node.ip(*by_hand)
    assert node.links() != before
    assert node.plan()[mac_of(2)]["reason"] == "drift"
    with node.events() as events:
        said = node.reconcile()
    assert node.links() == before
    assert {event.link for event in events} <= {"multinic1", "foo", "multinic7"}
    assert said.count("\n") == 1
    assert node.flags() == {mac_of(n): 1 for n in (1, 2, 3)}
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []


def test_names_exchanged_between_two_managed_links_are_exchanged_back(converged):
    node = converged(3)
    before = node.links()
    for old, new in (("multinic0", "aside"), ("multinic1", "multinic0"), ("aside", "multinic1")):
        node.ip("link", "set", old, "name", new)
    with node.events() as events:
        node.reconcile()
    assert node.links() == before
    assert "multinic2" not in {event.link for event in events}


def test_a_name_that_another_managed_link_took_is_given_back(converged):
    node = converged(3)
    before = node.links()
    node.ip("link", "set", "multinic0", "name", "byhand0")
    node.ip("link", "set", "multinic1", "name", "multinic0")
    node.reconcile()
    assert node.links() == before


def test_names_moved_in_a_circle_through_ten_links_are_put_right(converged):
    node = converged(10)
    before = node.links()
    node.ip("link", "set", "multinic9", "name", "aside")
    for number in range(8, -1, -1):
        node.ip("link", "set", f"multinic{number}", "name", f"multinic{number + 1}")
    node.ip("link", "set", "aside", "name", "multinic0")
    node.reconcile()
    assert node.links() == before


def test_a_foreign_address_on_a_managed_link_stays(converged):
    node = converged(2)
    node.ip("address", "add", "10.0.0.200/32", "dev", "multinic1")
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []
    node.sql("UPDATE multi_interface SET address = '10.0.0.99' WHERE macaddress = %s", mac_of(2))
    node.reconcile()
    assert node.link(2) == ("multinic1", True, 1402, ("10.0.0.200/32", "10.0.0.99/24"))


def test_a_foreign_link_that_took_a_slots_name_gives_it_back(converged):
    node = converged(2)
    node.namespace.plug("own", "52:54:00:00:00:01")
    node.ip("link", "set", "multinic1", "name", "away")
    node.ip("link", "set", "own", "name", "multinic1")
    node.reconcile(expect=None)
    assert node.link(2)[0] == "multinic1"
    assert node.links()["52:54:00:00:00:01"][0] not in ("multinic1", "away")


def test_a_name_that_is_an_alternative_name_of_another_link_does_no_harm(node):
    node.provide(2)
    node.ip("link", "property", "add", "dev", "eth2", "altname", "multinic1")
    node.reconcile()
    assert (node.link(1)[0], node.link(2)[0]) == ("multinic0", "multinic1")


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"\xff\xfe\x00", b'{"version": 1, "links": 7}', b"[]", b"null"]
)
def test_a_lost_or_damaged_record_costs_no_slot_and_no_event(converged, content):
    node = converged(3)
    node.unplug(2)
    node.ip("link", "set", "multinic0", "mtu", "1499")
    path = node.root / RECORD
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with node.events() as events:
        node.reconcile()
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert node.link(3) == ("multinic2", True, 1403, ("10.0.0.13/24",))
    assert {event.link for event in events} == {"multinic0"}
    assert sorted(json.loads(path.read_bytes())["links"]) == [mac_of(1), mac_of(2), mac_of(3)]


@pytest.mark.parametrize(
    ("column", "value", "result"),
    [
        ("address", "10.0.0.99", ("multinic1", True, 1402, ("10.0.0.99/24",))),
        ("address", "10.0.0.12,10.0.0.13", ("multinic1", True, 1402, ("10.0.0.12/24", "10.0.0.13/24"))),
        ("address", None, ("multinic1", True, 1402, ())),
        ("address", "10.0.0.12/25", ("multinic1", True, 1402, ("10.0.0.12/25",))),
        ("mtu", 1300, ("multinic1", True, 1300, ("10.0.0.12/24",))),
        ("mtu", None, ("multinic1", True, 1500, ("10.0.0.12/24",))),
    ],
)
def test_a_change_in_the_database_reaches_that_link_alone(converged, column, value, result):
    node = converged(2)
    node.sql(f"UPDATE multi_interface SET {column} = %s WHERE macaddress = %s", value, mac_of(2))
    assert node.plan()[mac_of(2)]["reason"] == "changed"
    with node.events() as events:
        node.reconcile()
    assert node.link(2) == result
    assert {event.link for event in events} == {"multinic1"}
    assert node.flags()[mac_of(2)] == 1
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []


def test_rows_that_were_replaced_cost_nothing_but_their_new_flag(converged):
    node = converged(3)
    rows = node.sql("SELECT * FROM multi_interface")
    node.sql("BEGIN")
    node.sql("DELETE FROM multi_interface")
    for row in reversed(rows):
        values = dict(row) | {"netplan_success": 0}
        del values["id"]
        node.schema.attach(node.connection, values.pop("macaddress"), **values)
    node.sql("COMMIT")
    with node.events() as events:
        node.reconcile()
    assert events == []
    assert node.flags() == {mac_of(n): 1 for n in (1, 2, 3)}
    assert node.link(3)[0] == "multinic2"


def test_unplugged_is_waiting_and_no_failure_and_comes_back_to_its_slot(converged):
    node = converged(3)
    node.unplug(2)
    said = node.reconcile()
    assert "waiting" in said
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0, mac_of(3): 1}
    assert node.reconcile() == ""
    node.attach(4, "10.0.0.14")
    node.namespace.plug("eth4", mac_of(4))
    node.reconcile()
    assert node.link(4)[0] == "multinic3"
    node.namespace.plug("eth77", mac_of(2))
    node.reconcile()
    assert node.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))
    assert node.flags()[mac_of(2)] == 1


def test_a_removed_row_frees_its_link_and_its_slot(converged):
    node = converged(4)
    node.ip("address", "add", "10.0.0.200/32", "dev", "multinic1")
    node.detach(2)
    with node.events() as events:
        node.reconcile()
    assert node.link(2) == ("eth2", False, 1500, ())
    assert {event.link for event in events} == {"multinic1", "eth2"}
    assert node.reconcile() == ""
    node.attach(5, "10.0.0.15")
    node.namespace.plug("eth5", mac_of(5))
    node.reconcile()
    assert node.link(5) == ("multinic1", True, 1500, ("10.0.0.15/24",))


def test_an_unplugged_link_keeps_its_slot_while_the_rows_are_gone_for_a_moment(converged):
    node = converged(3)
    node.unplug(2)
    node.reconcile()
    node.sql("UPDATE multi_interface SET attached_node_name = 'elsewhere'")
    node.reconcile(expect=5)
    node.sql("UPDATE multi_interface SET attached_node_name = 'node1'")
    node.attach(4, "10.0.0.14")
    node.namespace.plug("eth4", mac_of(4))
    node.reconcile()
    node.namespace.plug("eth2", mac_of(2))
    node.reconcile()
    assert (node.link(2)[0], node.link(4)[0]) == ("multinic1", "multinic3")


def test_a_row_removed_while_its_link_is_unplugged_frees_the_slot_too(converged):
    node = converged(3)
    node.unplug(1)
    node.detach(1)
    node.reconcile()
    node.namespace.plug("eth1", mac_of(1))
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []
    assert node.link(1) == ("eth1", False, 1500, ())
    node.attach(4, "10.0.0.14")
    node.namespace.plug("eth4", mac_of(4))
    node.reconcile()
    assert node.link(4)[0] == "multinic0"


def test_a_freed_link_whose_old_name_is_taken_gets_a_free_one(converged):
    node = converged(3)
    node.namespace.plug("eth2", "52:54:00:00:00:01", up=True)
    node.detach(2)
    with node.events() as events:
        node.reconcile()
    assert node.link(2) == ("eth0", False, 1500, ())
    assert node.links()["52:54:00:00:00:01"] == ("eth2", True, 1500, ())
    assert {event.link for event in events} == {"multinic1", "eth0"}


def test_a_slot_changes_hands_in_one_pass(converged):
    node = converged(3)
    node.detach(2)
    node.attach(9, "10.0.0.12")
    node.namespace.plug("eth9", mac_of(9))
    node.reconcile(env={"MULTINIC_MAX_INTERFACES": "3"})
    assert node.link(9) == ("multinic1", True, 1500, ("10.0.0.12/24",))
    assert node.link(2) == ("eth2", False, 1500, ())
    assert node.flags() == {mac_of(n): 1 for n in (1, 3, 9)}


@pytest.mark.parametrize("who", ["the row", "a hand"])
def test_a_link_gets_ipv6_back_as_it_was_when_its_mtu_allows_it_again(node, who):
    """Below 1280 the kernel takes IPv6 off a link; it comes back with the kernel's defaults."""
    node.attach(1, "10.0.0.11/24", 1000 if who == "the row" else 1400)
    node.namespace.plug("eth1", mac_of(1))
    node.reconcile()
    if who == "the row":
        node.sql("UPDATE multi_interface SET mtu = 1400")
    else:
        node.ip("link", "set", "multinic0", "mtu", "1000")
    node.reconcile()
    assert node.link(1) == ("multinic0", True, 1400, ("10.0.0.11/24",))
    assert node.namespace.run("sysctl", "-n", "net.ipv6.conf.multinic0.accept_ra").stdout == "0\n"
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []
