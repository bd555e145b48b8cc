"""Links whose port is down: configured, waiting, and never failed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.host.columns import Column, Host, columns
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.node import mac_of

every = columns()


@pytest.fixture
def host(column: Column, boxes: Callable[[str], Box]) -> Host:
    """A host with nothing of the program on it."""
    return Host.clean(boxes(column.kind), column)


def has(host: Host, address: str) -> None:
    """Assert that the link gets an address: by its service if there is one, else by a pass."""
    if host.column.lasts:
        eventually(lambda: host.box.addresses("multinic0") == [address], timeout=30)
        host.settle(0)
    host.run("reconcile")
    assert host.box.addresses("multinic0") == [address]
    assert host.states() == {"multinic0": ("unchanged", "converged")}
    assert host.flags() == {"port-0": 1}


@every
def test_a_row_whose_port_is_down_is_configured_and_waits_for_the_carrier(host: Host):
    mac = host.attach(0, link="ens3")
    host.box.carrier(mac, "down")

    done = host.run("reconcile")

    assert "multinic0: waiting: multinic0 has no carrier" in done.stderr
    assert host.states() == {"multinic0": ("waiting", "no-carrier")}
    link = host.box.links()["multinic0"]
    assert (link["address"], link["mtu"], "UP" in link["flags"]) == (mac_of(0), 1450, True)
    assert bool(host.files(0)) == host.column.lasts
    assert host.flags() == {"port-0": 0}
    with host.box.monitor() as events, host.commands() as commands:
        done = host.run("reconcile")
    assert (done.stderr, events, commands) == ("", [], [])

    host.box.carrier(mac, "up")

    has(host, "10.5.0.10/24")


@every
def test_a_row_that_changes_while_its_port_is_down_takes_effect_with_the_carrier(host: Host):
    mac = host.attach(0, link="ens3")
    host.run("reconcile")
    host.settle(0)
    host.box.carrier(mac, "down")
    host.run("reconcile")
    assert host.states() == {"multinic0": ("waiting", "no-carrier")}
    host.sql("UPDATE multi_interface SET address = '10.5.0.77', mtu = 1400")

    host.run("reconcile")

    assert host.states() == {"multinic0": ("waiting", "no-carrier")}
    assert host.box.links()["multinic0"]["mtu"] == 1400
    host.box.carrier(mac, "up")
    has(host, "10.5.0.77/24")


@every
def test_a_row_removed_while_its_port_is_down_leaves_nothing_behind(host: Host):
    mac = host.attach(0, link="ens3")
    host.box.carrier(mac, "down")
    host.run("reconcile")
    host.detach(0)
    host.run("apply", "--yes", "--allow-mass-delete")  # the last row of a node: the deletion fuse
    link = host.box.links()["ens3"]
    assert (link["mtu"], "UP" in link["flags"], link["addr_info"]) == (1500, False, [])
    assert host.files(0) == []
