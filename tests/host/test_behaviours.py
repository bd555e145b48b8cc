"""What every backend promises, on a booted host: one table, whose columns are in columns.py.

Rows are in an SQLite file; the database over the network, and what only one backend has, is in the other
modules of this tier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.host.columns import COLUMNS, Column, Host, columns
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.namespaces import Event
from tests.node import mac_of

LATE = """\
#!/bin/sh
[ "$1" = reload ] || exec {program}.real "$@"
(sleep 0.5; exec {program}.real reload) < /dev/null > /dev/null 2>&1 &
"""
"""A networkctl that answers before networkd has been told."""

every = columns()
whole = columns(only=lambda column: column.whole)
lasting = columns(only=lambda column: column.lasts)


_pairs: dict[str, Host] = {}
"""Kind of host → the node with two converged links that is on it."""


@pytest.fixture
def host(column: Column, boxes: Callable[[str], Box]) -> Host:
    """A host with nothing of the program on it."""
    _pairs.pop(column.kind, None)
    return Host.clean(boxes(column.kind), column)


@pytest.fixture
def pair(column: Column, boxes: Callable[[str], Box]) -> Iterator[Host]:
    """A host with two converged links, which must be converged again in the end.

    The next test takes it over, if nothing happened to it.
    """
    host = _pairs.pop(column.kind, None)
    if host is None or host.column != column:
        host = Host.clean(boxes(column.kind), column)
        for slot in range(2):
            host.attach(slot, link=f"ens{slot + 3}")
        host.run("reconcile")
        host.settle(0, 1)
    yield host
    assert host.states() == dict.fromkeys(["multinic0", "multinic1"], ("unchanged", "converged"))
    _pairs[column.kind] = host


# Two links that are there already


def _drop_address(host: Host) -> None:
    host.box.run("ip", "address", "delete", "10.5.0.10/24", "dev", "multinic0")


def _set_mtu(host: Host) -> None:
    host.box.run("ip", "link", "set", "multinic0", "mtu", "1300")


def _set_down(host: Host) -> None:
    host.box.run("ip", "link", "set", "multinic0", "down")


def _rename(host: Host) -> None:
    host.box.run("ip", "link", "set", "multinic0", "down")
    host.box.run("ip", "link", "set", "multinic0", "name", "byhand0")


def _edit_file(host: Host) -> None:
    path = host.column.written.format(slot=0, name="multinic0")
    stat = host.box.stat(path)
    host.box.write(path, host.box.read(path).replace("1450", "1300"), stat.mode)


def _remove_files(host: Host) -> None:
    host.box.remove(*host.files(0))


def _change_mode(host: Host) -> None:
    host.box.run("chmod", "0666", host.column.written.format(slot=0, name="multinic0"))


def _drifts(column: Column) -> tuple[Callable[[Host], None], ...]:
    if not column.whole:
        return (_edit_file,)
    kernel, files = (_drop_address, _set_mtu, _set_down, _rename), (_edit_file, _remove_files, _change_mode)
    return (*kernel, *files) if column.lasts else kernel


@pytest.mark.parametrize(
    ("column", "drift"),
    [(column, drift) for column in COLUMNS for drift in _drifts(column)],
    ids=lambda value: str(value) if isinstance(value, Column) else value.__name__.strip("_"),
    scope="module",
)
def test_what_drifted_by_hand_is_repaired_and_nothing_else_is_touched(
    pair: Host, drift: Callable[[Host], None]
):
    files = {path: (pair.box.read(path), pair.box.stat(path).mode) for path in pair.files(0)}
    drift(pair)
    assert pair.states() == {"multinic0": ("update", "drift"), "multinic1": ("unchanged", "converged")}

    with pair.box.monitor("eth0", "multinic1") as events:
        pair.run("reconcile")

    assert events == []
    pair.is_so(0, "10.5.0.10/24")
    assert {path: (pair.box.read(path), pair.box.stat(path).mode) for path in pair.files(0)} == files


def moments(before: Iterable[str], events: Iterable[Event]) -> Iterator[set[str]]:
    """Yield the IPv4 addresses that a link has after each event, from those that it had before."""
    have = {text for text in before if ":" not in text}
    for event in events:
        if event.link == "multinic0" and ":" not in event.detail:
            if event.kind == "RTM_NEWADDR":
                have.add(event.detail)
            elif event.kind == "RTM_DELADDR":
                have.discard(event.detail)
        yield set(have)


@every
@pytest.mark.parametrize(
    ("values", "addresses", "mtu"),
    [
        pytest.param({"address": "10.5.0.77"}, ["10.5.0.77/24"], 1450, id="address"),
        pytest.param(
            {"address": "10.5.0.10, fd00:5::10/64"},
            ["10.5.0.10/24", "fd00:5::10/64"],
            1450,
            id="one more",
        ),
        pytest.param({"address": None}, [], 1450, id="no address any more"),
        pytest.param({"mtu": 1400}, ["10.5.0.10/24"], 1400, id="mtu"),
        pytest.param({"mtu": None}, ["10.5.0.10/24"], 1500, id="no mtu any more"),
    ],
)
def test_what_the_database_changes_is_changed_and_nothing_else(pair: Host, values, addresses, mtu):
    for given in (values, {"address": "10.5.0.10", "mtu": 1450}):
        for column, value in given.items():
            pair.sql(f"UPDATE multi_interface SET {column} = %s WHERE port_id = 'port-0'", value)
        before = pair.box.addresses("multinic0")

        with pair.box.monitor("eth0", "multinic0", "multinic1") as events:
            pair.run("reconcile")

        assert [event for event in events if event.link != "multinic0"] == []
        if pair.column.never_without and before and addresses:
            assert all(moments(before, events)), events
        if given is values:
            pair.is_so(0, *addresses, mtu=mtu)
            assert set(pair.states().values()) == {("unchanged", "converged")}
    pair.is_so(0, "10.5.0.10/24")


@columns(only=lambda column: column.sets_again)
def test_a_pass_ends_only_after_networkd_has_taken_addresses_off_and_set_them_again(pair: Host):
    """It begins after it has answered, here later than it ever would."""
    program = "/usr/bin/networkctl"
    pair.box.run("mv", program, f"{program}.real")
    pair.box.write(program, LATE.format(program=program), 0o755)
    try:
        pair.sql("UPDATE multi_interface SET options = %s", '{"dns": {"search": ["a.example"]}}')
        with pair.box.monitor("multinic0", "multinic1") as during:
            pair.run("reconcile")
        with pair.box.monitor("multinic0", "multinic1") as events:
            pair.box.run("sleep", "1")
    finally:
        pair.box.run("mv", f"{program}.real", program)
    assert {event.link for event in during if event.kind == "RTM_DELADDR"} == {"multinic0", "multinic1"}
    assert [event for event in events if event.kind == "RTM_DELADDR"] == []
    pair.sql("UPDATE multi_interface SET options = NULL")
    pair.run("reconcile")


@whole
def test_a_second_pass_changes_nothing_at_all(pair: Host):
    pair.run("reconcile")
    before = pair.stats()
    with pair.box.monitor() as events, pair.commands() as commands:
        done = pair.run("reconcile")
    assert (done.stdout, done.stderr, events, commands) == ("", "", [], [])
    assert pair.stats() == before


# From an empty host


@every
def test_links_are_named_and_configured_and_removed_and_an_unrelated_link_sees_nothing(host: Host):
    host.attach(0, link="ens3")
    host.attach(1, address="10.5.0.11, fd00:5::11/64", link="ens4")
    host.attach(2, address=None, mtu=None, link="ens5")
    assert host.states() == dict.fromkeys(["multinic0", "multinic1", "multinic2"], ("create", "new"))

    with host.box.monitor("eth0") as events:
        host.run("reconcile")

    assert events == []
    host.is_so(0, "10.5.0.10/24")
    host.is_so(1, "10.5.0.11/24", "fd00:5::11/64")
    host.is_so(2, mtu=1500)
    assert host.flags() == {"port-0": 1, "port-1": 1, "port-2": 1}
    assert set(host.states().values()) == {("unchanged", "converged")}
    host.settle(0, 1, 2)

    host.detach(1)
    with host.box.monitor("eth0", "multinic0", "multinic2") as events:
        host.run("reconcile")

    assert events == []
    link = host.box.links()["ens4"]
    assert (link["address"], link["mtu"], "UP" in link["flags"]) == (mac_of(1), 1500, False)
    assert link["addr_info"] == []
    assert host.files(1) == []
    assert list(host.plan()) == ["multinic0", "multinic2"]
    host.attach(7, link="ens9")
    host.run("reconcile")
    assert host.box.link_of(mac_of(7))["ifname"] == "multinic1"


@whole
def test_a_row_removed_while_its_link_is_unplugged_leaves_nothing_behind(host: Host):
    mac = host.attach(0, link="ens3")
    host.run("reconcile")
    host.box.unplug(mac)
    host.detach(0)
    host.run("apply", "--yes", "--allow-mass-delete")  # the last row of a node: the deletion fuse
    assert host.files(0) == []
    assert host.plan() == {}
    host.box.plug("ens3", mac)
    host.box.run("udevadm", "settle", "--timeout=10")
    link = host.box.link_of(mac)
    assert (link["ifname"], link["addr_info"]) == ("ens3", [])


@every
def test_a_link_whose_row_is_known_is_configured_when_it_is_plugged_in_and_after_a_boot(host: Host):
    mac = host.attach(0)
    host.box.let_udev_know(0, mac)
    assert host.states() == {"multinic0": ("waiting", "not-plugged-in")}
    host.run("reconcile")
    assert host.flags() == {"port-0": 0}

    host.box.plug("ens3", mac)

    if host.column.lasts:  # without a pass
        eventually(lambda: host.box.addresses("multinic0") == ["10.5.0.10/24"], timeout=30)
        host.settle(0)
    host.run("reconcile")
    host.is_so(0, "10.5.0.10/24")
    assert host.flags() == {"port-0": 1}

    stats = {path: host.box.stat(path) for path in host.files(0) if path.startswith("/etc")}
    host.box.reboot()

    if host.column.lasts:
        eventually(lambda: host.box.addresses("multinic0") == ["10.5.0.10/24"], timeout=30)
        host.settle(0)
        host.is_so(0, "10.5.0.10/24")
        assert host.states() == {"multinic0": ("unchanged", "converged")}
    host.run("reconcile")
    host.is_so(0, "10.5.0.10/24")
    assert {path: host.box.stat(path) for path in stats} == stats

    host.detach(0)
    host.run("apply", "--yes", "--allow-mass-delete")
    freed = host.box.link_of(mac)
    assert (freed["ifname"] == "multinic0", freed["mtu"], freed["addr_info"]) == (False, 1500, [])


@columns(only=lambda column: bool(column.bad))
def test_a_bad_candidate_is_blamed_on_its_interface_and_the_others_go_on(host: Host):
    for slot in range(2):
        host.attach(slot, link=f"ens{slot + 3}")
    path = host.column.written.format(slot=0, name="multinic0")
    good = host.run("render", "multinic0").stdout.split(f"{path} <==\n", 1)[1].split("==> ")[0]
    chosen = f"{{% if name == 'multinic1' %}}{host.column.bad}{{% else %}}{good}{{% endif %}}"
    host.box.write(f"/etc/multinic/templates/{host.column.template}", chosen)

    done = host.run("reconcile", expect=4)

    assert f"multinic1: failed: {host.column.backend} refuses its file: " in done.stderr
    assert host.files(1) == []
    assert host.box.link_of(mac_of(1))["ifname"] == "ens4"
    host.is_so(0, "10.5.0.10/24")
    assert host.flags() == {"port-0": 1, "port-1": 0}
    assert host.box.glob("/run/multinic/scratch*") == []


@lasting
def test_a_failed_update_of_a_working_link_keeps_it_working(host: Host):
    """Earlier agents deleted the last good file in such a case."""
    host.attach(0, link="ens3")
    host.run("reconcile")
    host.settle(0)
    path = host.column.written.format(slot=0, name="multinic0")
    text = host.box.read(path)
    # A template that does not do what it should.
    host.box.write(f"/etc/multinic/templates/{host.column.template}", text.replace("1450", "1440"))
    host.sql("UPDATE multi_interface SET mtu = 1400")

    done = host.run("reconcile", expect=4)

    assert "mtu 1440 → 1400" in done.stderr
    assert host.box.read(path) == text
    assert host.flags() == {"port-0": 0}
    host.settle(0)
    host.is_so(0, "10.5.0.10/24")


@whole
def test_rollback_takes_the_last_change_back(host: Host):
    host.attach(0, link="ens3")
    host.run("reconcile")
    host.settle(0)
    host.run("rollback")
    link = host.box.link_of(mac_of(0))
    assert (link["ifname"], link["mtu"]) == ("ens3", 1500)
    assert host.box.addresses("ens3") == []
    assert host.files(0) == []


@columns(only=lambda column: column.lasts and column.whole)
def test_a_link_that_a_file_of_somebody_else_speaks_of_is_not_touched(host: Host):
    for slot in range(2):
        host.attach(slot, link=f"ens{slot + 3}")
    path, text = host.column.foreign
    host.box.write(path, text.format(mac=mac_of(0)), 0o600)
    before = host.box.links()["ens3"]
    try:
        done = host.run("reconcile", expect=5)
    finally:
        host.box.remove(path)
    assert f"multinic0: blocked: row 1 is not carried out: link ens3 is configured by {path}" in done.stderr
    assert host.box.links()["ens3"] == before
    host.is_so(1, "10.5.0.11/24")
    assert host.flags() == {"port-0": 0, "port-1": 1}
