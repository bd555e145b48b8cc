"""What others have put on a managed link stays there whatever multinic changes, on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.host.columns import Column, Host, columns
from tests.host.nspawn import Box
from tests.hosts import eventually

OTHERS = (
    "address add 10.5.0.200/32 dev multinic0",  # of keepalived, say
    "address add 10.5.0.201/24 dev multinic0",
    "address add 10.9.0.5/24 dev multinic0",
    "-6 address add fd77::5/64 dev multinic0 nodad",
    "route add 10.20.0.0/16 via 10.5.0.1 dev multinic0",
    "route add 10.21.0.0/16 via 10.5.0.1 dev multinic0 proto static",
    "route add 10.22.0.0/16 via 10.5.0.1 dev multinic0 proto bird",
    "route add 10.23.0.0/16 via 10.9.0.1 dev multinic0 table 77",
    "-6 route add fd78::/64 via fd77::1 dev multinic0",
    "rule add from 10.20.0.0/16 table 77 priority 77",
)


@pytest.fixture
def host(column: Column, boxes: Callable[[str], Box]) -> Iterator[Host]:
    """A host with one converged link, on which others have put what they need."""
    host = Host.clean(boxes(column.kind), column)
    host.attach(0, address="10.5.0.10, fd00:5::10/64", link="ens3")
    host.run("reconcile")
    host.settle(0)
    for line in OTHERS:
        host.box.run("ip", *line.split())
    yield host
    host.box.run("ip", "rule", "delete", "priority", "77", check=False)


def seen(host: Host) -> list[str]:
    """Return all addresses, routes and rules, one a line; addresses in the kernel's order, if that lasts."""
    found: list[str] = []
    if not host.column.sets_again:
        found += host.box.run(
            "ip", "-4", "-oneline", "address", "show", "dev", "multinic0"
        ).stdout.splitlines()
    found += sorted(host.box.addresses("multinic0"))
    for what in ("route show table all", "-6 route show table all", "rule"):
        lines = host.box.run("ip", *what.split()).stdout.splitlines()
        found += sorted(line.strip() for line in lines if "table local" not in line)
    return found


@columns()
def test_what_others_put_on_a_managed_link_stays_when_its_row_changes(host: Host):
    before = seen(host)

    host.sql("UPDATE multi_interface SET mtu = 1400")
    host.run("reconcile")

    assert host.box.links()["multinic0"]["mtu"] == 1400
    assert host.column.sets_again or seen(host) == before
    eventually(lambda: seen(host) == before, what="what others have")
    host.settle(0)
    assert host.run("reconcile").stderr == ""
    assert seen(host) == before


@columns(only=lambda column: column.whole)
def test_a_rollback_leaves_what_others_have_now(host: Host):
    """What they have taken away since the change does not come back, and what they have added stays."""
    before = seen(host)
    host.sql("UPDATE multi_interface SET mtu = 1400")
    host.run("reconcile")
    for change in ("address delete 10.5.0.200/32", "address add 10.5.0.220/32", "route delete 10.20.0.0/16"):
        host.box.run("ip", *change.split(), "dev", "multinic0")
    now = seen(host)
    assert now != before

    host.run("rollback")

    assert host.box.links()["multinic0"]["mtu"] == 1450
    assert seen(host) == now
    host.settle(0)
    assert seen(host) == now


WITHDRAW = 'until ip link show multinic0 | grep -q "mtu 1400"; do :; done; ip route delete 10.30.0.0/16'


@columns(only=lambda column: column.whole and column.tells_owners)
def test_what_its_owner_takes_away_while_a_service_works_stays_away(host: Host):
    """What the service takes away in the same moment is given back."""
    before = seen(host)
    host.box.run("ip", "route", "add", "10.30.0.0/16", "via", host.box.gateway)
    host.sql("UPDATE multi_interface SET mtu = 1400")
    owner = host.box.spawn("sh", "-c", WITHDRAW)

    said = host.run("reconcile").stderr

    assert owner.wait(60) == 0
    assert "10.30.0.0/16" not in said
    assert seen(host) == before
