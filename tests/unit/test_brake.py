"""The fleet brake as a pure decision: what waits, for whom, and what it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from multinic.decide.brake import FLEET_BRAKE, at_risk, attempt_of, held
from multinic.decide.diff import diff
from multinic.decide.policy import Policy
from multinic.decide.restraint import Past, failed_again
from multinic.values.history import Peer
from multinic.values.observed import Observed
from multinic.values.plan import Plan, State
from multinic.values.record import Entry
from multinic.values.settings import Brake
from tests.unit.making import desired, entry, files, link, mac, observed, policy, ready, want

DEFAULT = Brake(5, 10)
OLD, NEW = want(1, "10.0.0.11/24", mtu=1400), want(1, "10.0.0.11/24", mtu=9000)
ENTRIES = {mac(1): entry(0, OLD, "ens5", 1500)}
HOST = observed(ready(1, "multinic0", "10.0.0.11/24", mtu=1400), files=files((0, OLD)))


def plan(
    *wanted: object, host: Observed = HOST, entries: dict[object, Entry] = ENTRIES, **past: object
) -> Plan:
    """Return the plan of a host on which OLD has converged."""
    with_past: Policy = replace(policy(), past=Past(now=1000.0, allow_mass_delete=True, **past))
    return diff(desired(*wanted), host, entries, with_past)


def peers(failed: int, done: int, fields: str = "mtu", attempt: str = "update") -> list[Peer]:
    """Return what other nodes tried: so many failed, so many succeeded."""
    kinds = ["failed"] * failed + ["changed"] * done
    words = frozenset(fields.split())
    return [Peer(f"node-{number}", "m", attempt, words, kind) for number, kind in enumerate(kinds)]


def waits(found: Plan, others: Iterable[Peer], brake: Brake = DEFAULT) -> bool:
    return bool(held(found, others, brake))


@pytest.mark.parametrize(
    ("failed", "done", "waiting"),
    [
        pytest.param(0, 0, False, id="nobody tried"),
        pytest.param(5, 0, False, id="no more nodes than the limit"),
        pytest.param(6, 0, True, id="one more"),
        pytest.param(6, 54, False, id="a tenth of those that tried"),
        pytest.param(6, 53, True, id="more than a tenth"),
        pytest.param(100, 900, False, id="a tenth of many"),
        pytest.param(101, 899, True, id="more than a tenth of many"),
    ],
)
def test_more_nodes_and_a_larger_share_than_the_limits_must_fail(
    failed: int, done: int, waiting: bool
) -> None:
    assert waits(plan(NEW), peers(failed, done)) is waiting


@pytest.mark.parametrize(
    ("others", "waiting"),
    [
        pytest.param(peers(9, 0, "address mtu"), True, id="the same field among others"),
        pytest.param(peers(9, 0, "address"), False, id="another field"),
        pytest.param(peers(9, 0, attempt="delete"), False, id="removals"),
        pytest.param([peer._replace(kind="rolled-back") for peer in peers(9, 0)], True, id="rolled back"),
        pytest.param([peer._replace(node="node-1") for peer in peers(9, 0)], False, id="all on one node"),
        pytest.param(
            [*[p._replace(kind="changed") for p in peers(9, 0)], *peers(9, 0)], False, id="by now right"
        ),
        pytest.param(
            [*peers(9, 0), *[p._replace(kind="changed") for p in peers(9, 0)]], True, id="by now wrong"
        ),
    ],
)
def test_only_the_same_kind_of_change_counts_and_its_newest_attempt(
    others: list[Peer], waiting: bool
) -> None:
    assert waits(plan(NEW), others) is waiting


def test_removals_wait_for_removals() -> None:
    assert waits(plan(), peers(9, 0, "", "delete"))
    assert not waits(plan(), peers(9, 0, "mtu"))


def test_new_interfaces_drift_adoption_and_what_is_not_plugged_in_are_not_at_risk() -> None:
    new = plan(want(1, mtu=9000), host=observed(link(1, "ens5")), entries={})
    drifted = plan(OLD, host=observed(ready(1, "multinic0", mtu=1400), files=files((0, OLD))))
    adopted = plan(NEW, entries={})
    waiting = plan(NEW, host=observed())
    gone = plan(host=observed(files=files((0, OLD))))
    found = [new, drifted, adopted, waiting, gone]
    assert [attempt_of(p.interfaces[0]) for p in found] == ["create", "repair", "adopt", "", "delete"]
    assert [at_risk(p) for p in found] == [[]] * 5
    assert [i.name for i in at_risk(plan(NEW))] == ["multinic0"]


def test_what_failed_here_before_waits_only_for_its_own_next_attempt() -> None:
    (interface,) = plan(NEW).interfaces
    failure = replace(failed_again(interface, "no", now=0.0, chance=0.5), retry_at=900.0)
    again = {mac(1): replace(ENTRIES[mac(1)], failure=failure)}
    assert plan(NEW, entries=again).pending
    assert at_risk(plan(NEW, entries=again)) == []
    other = want(1, "10.0.0.11/24", mtu=8000)
    assert len(at_risk(plan(other, entries=again))) == 1


def test_what_waits_stays_as_it_is_and_says_how_many_and_which_nodes() -> None:
    blocks = held(plan(NEW), peers(7, 3), DEFAULT)
    (interface,) = plan(NEW, braked=blocks).interfaces
    assert (interface.state, interface.reason, interface.pending) == (State.BLOCKED, FLEET_BRAKE, False)
    assert "on 7 of 10 other nodes ('node-0', 'node-1', " in interface.message
    assert "and 2 more" in interface.message
    assert "an update of mtu" in interface.message


def test_a_slot_that_a_braked_removal_keeps_is_not_given_away() -> None:
    blocks = held(plan(want(2)), peers(9, 0, "", "delete"), DEFAULT)
    host = observed(ready(1, "multinic0", "10.0.0.11/24", mtu=1400), link(2, "ens6"), files=files((0, OLD)))
    found = plan(want(2), host=host, braked=blocks)
    assert [(i.name, str(i.state)) for i in found.interfaces] == [
        ("multinic0", "blocked"),
        ("multinic1", "create"),
    ]


@pytest.mark.parametrize("brake", [Brake(0, 0), Brake(3, 100)])
def test_the_limits_are_a_setting(brake: Brake) -> None:
    assert waits(plan(NEW), peers(1, 99), brake) is (brake == Brake(0, 0))
    assert not waits(plan(NEW), peers(0, 99), brake)


def test_a_hostile_name_is_escaped() -> None:
    others = [peer._replace(node=f"\x1b[31m{peer.node}") for peer in peers(9, 0)]
    (block,) = held(plan(NEW), others, DEFAULT).values()
    assert block.message.isprintable()
