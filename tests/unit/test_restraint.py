"""What is held back: removals that are too many to be meant, and attempts that failed a moment ago."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.decide.compare import Policy
from multinic.decide.diff import diff
from multinic.decide.restraint import Past, failed_again, same_wish
from multinic.values.addresses import Mac
from multinic.values.desired import Desired, DesiredLink
from multinic.values.plan import Interface, Plan, State
from multinic.values.record import Entry, Failure
from tests.unit.making import (
    desired,
    entry,
    files,
    invalid,
    link,
    mac,
    observed,
    path,
    policy,
    ready,
    route,
    want,
)


def managed(*numbers: int) -> tuple[dict[Mac, Entry], list[object], dict[str, str]]:
    """Return record, links and files of a host on which these ports are configured, in these slots."""
    record = {mac(number): entry(number, want(number), name=f"ens{number}") for number in numbers}
    links = [ready(number, f"multinic{number}") for number in numbers]
    return record, links, files(*((number, want(number)) for number in numbers))


def plan(wanted: Desired, numbers: tuple[int, ...], past: Past) -> Plan:
    record, links, texts = managed(*numbers)
    how: Policy = replace(policy(), past=past)
    return diff(wanted, observed(*links, files=texts), record, how)  # type: ignore[arg-type]


def states(found: Plan) -> list[str]:
    return [f"{interface.name} {interface.state} {interface.reason}" for interface in found.interfaces]


NOTHING = desired()
GONE = replace(desired(), rows_read=2)  # rows there are, but none that is desired any more


@pytest.mark.parametrize(
    ("wanted", "numbers", "mass"),
    [
        pytest.param(NOTHING, (), False, id="nothing managed, nothing read"),
        pytest.param(NOTHING, (1,), True, id="zero rows while one is managed"),
        pytest.param(NOTHING, (1, 2, 3), True, id="zero rows while three are managed"),
        pytest.param(GONE, (1,), False, id="the only one was deleted in the database"),
        pytest.param(GONE, (1, 2), True, id="both were deleted in the database"),
        pytest.param(desired(want(1)), (1, 2), False, id="one of two"),
        pytest.param(desired(want(1)), (1, 2, 3), True, id="two of three"),
        pytest.param(desired(want(1), want(2)), (1, 2, 3, 4), False, id="exactly half"),
        pytest.param(desired(want(1), want(2)), (1, 2, 3, 4, 5), True, id="three of five"),
        pytest.param(desired(want(9)), (1,), False, id="one is exchanged for another"),
        pytest.param(desired(want(8), want(9)), (1, 2), True, id="two are exchanged for others"),
    ],
)
def test_too_many_removals_at_once_must_be_seen_in_three_reads(
    wanted: Desired, numbers: tuple[int, ...], mass: bool
) -> None:
    gone = [number for number in numbers if mac(number) not in {one.mac for one in wanted.links}]
    for seen in (0, 1):
        found = plan(wanted, numbers, Past(mass_deletion=seen))
        assert found.mass_deletion is mass
        held_back = [interface for interface in found.interfaces if interface.reason == "deletion-fuse"]
        assert [interface.name for interface in held_back] == [f"multinic{n}" for n in gone if mass]
        assert all("--allow-mass-delete" in interface.message for interface in held_back)
        assert not any(interface.pending for interface in held_back)
    for past in (Past(mass_deletion=2, mass_deletion_age=60.0), Past(allow_mass_delete=True)):
        found = plan(wanted, numbers, past)
        removed = [interface.name for interface in found.pending if interface.state is State.DELETE]
        assert removed == [f"multinic{number}" for number in gone]


def test_what_is_held_back_keeps_its_slot_and_its_file() -> None:
    found = plan(desired(want(8), want(9)), (0, 1), Past())
    assert states(found) == [
        "multinic0 blocked deletion-fuse",
        "multinic1 blocked deletion-fuse",
        "multinic2 waiting not-plugged-in",
        "multinic3 waiting not-plugged-in",
    ]
    assert [file.path for interface in found.pending for file in interface.files] == [path(2), path(3)]


def test_what_is_not_plugged_in_counts_as_managed() -> None:
    record, links, texts = managed(1, 2, 3, 4)
    for wanted, mass in ((desired(want(3), want(4)), False), (desired(want(4)), True)):
        found = diff(wanted, observed(*links[:2], files=texts), record, replace(policy(), past=Past()))  # type: ignore[arg-type]
        assert found.mass_deletion is mass


def test_rows_that_nobody_was_configured_for_do_not_make_more_managed() -> None:
    new = [want(number) for number in range(20, 27)]
    assert plan(desired(*new), (1, 2, 3), Past()).mass_deletion


def test_an_invalid_row_is_a_row() -> None:
    assert not plan(desired(invalid=[invalid(7)]), (1,), Past()).mass_deletion
    found = plan(desired(invalid=[invalid(1)]), (1,), Past())
    assert (found.mass_deletion, [i.state for i in found.interfaces]) == (False, [State.INVALID])


def test_the_fuse_leaves_other_objections_as_they_are() -> None:
    record, links, texts = managed(1, 2, 3)
    host = observed(*links, files=texts, routes=[route("0.0.0.0/0", links[2])])  # type: ignore[arg-type]
    found = diff(NOTHING, host, record, replace(policy(), past=Past()))
    assert states(found) == [
        "multinic1 blocked deletion-fuse",
        "multinic2 blocked deletion-fuse",
        "multinic3 blocked in-use",
    ]
    assert "2 would be removed at once" in found.interfaces[0].message


@pytest.mark.parametrize("allowed", [False, True])
def test_memory_never_removes_anything(allowed: bool) -> None:
    past = Past(mass_deletion=9, allow_mass_delete=allowed, from_memory=True)
    found = plan(desired(want(1)), (1, 2), past)
    assert "multinic1 unchanged converged" in states(found)
    assert found.empty


# Backing off.

ONE = want(1, "10.0.0.5/24")
FAILURE = Failure(3, 1000.0, ONE, 101, "not there after 10 s")


def attempted(past: Past, wanted: DesiredLink = ONE, failure: Failure = FAILURE) -> Interface:
    record = {mac(1): replace(entry(0), failure=failure)}
    how = replace(policy(), past=past)
    return diff(desired(wanted), observed(link(1, "ens5")), record, how).interfaces[0]


def test_what_failed_is_not_attempted_again_before_its_time() -> None:
    found = attempted(Past(now=999.9))
    assert (found.state, found.reason, found.pending) == (State.FAILED, "backing-off", False)
    assert (found.changes, found.files) == ((), ())
    assert "failed 3 times" in found.message
    assert "00:16:40 UTC" in found.message
    assert "not there after 10 s" in found.message


@pytest.mark.parametrize(
    ("past", "wanted", "failure"),
    [
        pytest.param(Past(now=1000.0), ONE, FAILURE, id="its time has come"),
        pytest.param(Past(now=0.0), ONE, FAILURE, id="a person asks"),
        pytest.param(Past(now=1.0), want(1, "10.0.0.6/24"), FAILURE, id="the row asks for something else"),
        pytest.param(Past(now=1.0), ONE, replace(FAILURE, link=7), id="it is another link now"),
        pytest.param(Past(now=1.0), ONE, replace(FAILURE, wish=None), id="what failed was its removal"),
        pytest.param(Past(now=1.0), ONE, replace(FAILURE, retry_at=1e10), id="the clock was years ahead"),
        pytest.param(Past(now=1.0), ONE, replace(FAILURE, retry_at=float("inf")), id="damaged: never"),
        pytest.param(Past(now=1.0), ONE, replace(FAILURE, retry_at=float("nan")), id="damaged: no number"),
    ],
)
def test_what_failed_is_attempted_when(past: Past, wanted: DesiredLink, failure: Failure) -> None:
    assert attempted(past, wanted, failure).pending


def test_a_row_that_was_only_replaced_is_the_same_wish() -> None:
    assert same_wish(ONE, replace(ONE, row_id=77, port_id="other"))
    assert not same_wish(ONE, replace(ONE, mtu=1450))
    assert not same_wish(ONE, None)
    assert same_wish(None, None)


def test_a_removal_that_failed_waits_too_and_its_slot_is_given_to_nobody() -> None:
    gone, new = want(1), want(2)
    record = {mac(1): replace(entry(0, gone), failure=replace(FAILURE, wish=None))}
    host = observed(ready(1, "multinic0"), link(2, "ens6"), files=files((0, gone)))
    found = diff(desired(new), host, record, replace(policy(), past=Past(now=1.0)))
    assert states(found) == ["multinic0 failed backing-off", "multinic1 create new"]


def test_who_wants_the_name_of_what_is_held_back_waits_with_it() -> None:
    """Two links bear each other's names, and one of them failed: alone the other could only fail, too."""
    one, two = want(1), want(2)
    links = [ready(1, "multinic1"), ready(2, "multinic0")]
    record = {mac(1): replace(entry(0, one), failure=replace(FAILURE, wish=one)), mac(2): entry(1, two)}
    host = observed(*links, files=files((0, one), (1, two)))
    found = diff(desired(one, two), host, record, replace(policy(), past=Past(now=1.0)))
    assert states(found) == ["multinic0 failed backing-off", "multinic1 blocked name-taken"]
    found = diff(desired(one, two), host, record, replace(policy(), past=Past(now=1000.0)))
    assert len(found.pending) == 2


def suspects(*counts: int, now: float = 2000.0, others: int = 0) -> list[str]:
    """Return which of so many ports are attempted, where all but `others` were undone together before."""
    numbers = range(1, len(counts) + others + 1)
    wanted = [want(number) for number in numbers]
    failures = {
        number: Failure(count, 1000.0 + number, want(number), 100 + number, "cut off", suspect=True)
        for number, count in enumerate(counts, 1)
    }
    record = {mac(number): replace(entry(number), failure=failure) for number, failure in failures.items()}
    host = observed(*(link(number, f"ens{number}") for number in numbers))
    found = diff(desired(*wanted), host, record, replace(policy(), past=Past(now=now)))
    waiting = {i.reason for i in found.interfaces if not i.pending}
    assert waiting <= {"backing-off"}
    return [str(interface.mac)[-2:] for interface in found.pending]


def test_what_was_undone_together_is_attempted_one_by_one() -> None:
    assert suspects(1, 1, 1) == ["01"]
    assert suspects(2, 1, 1) == ["02"]
    assert suspects(2, 2, 1) == ["03"]
    assert suspects(3) == ["01"]


def test_other_work_goes_before_suspects() -> None:
    assert suspects(1, 1, others=2) == ["03", "04"]


def test_a_person_has_them_all_attempted() -> None:
    assert suspects(1, 1, 1, now=0.0) == ["01", "02", "03"]


def test_suspects_that_can_do_nothing_without_each_other_are_attempted_together() -> None:
    one, two = want(1), want(2)
    links = [ready(1, "multinic1"), ready(2, "multinic0")]
    record = {
        found.mac: replace(
            entry(slot, found), failure=Failure(1, 1000.0, found, 101 + slot, "x", suspect=True)
        )
        for slot, found in enumerate((one, two))
    }
    host = observed(*links, files=files((0, one), (1, two)))
    found = diff(desired(one, two), host, record, replace(policy(), past=Past(now=2000.0)))
    assert len(found.pending) == 2


@given(st.floats(0, 1), st.integers(1, 60))
def test_waits_grow_to_an_hour_and_are_spread(chance: float, failures: int) -> None:
    found = replace(attempted(Past()), entry=None)
    waits = []
    for _ in range(failures):
        failure = failed_again(found, "x", now=1000.0, chance=chance)
        waits.append(failure.retry_at - 1000)
        found = replace(found, entry=replace(entry(0), failure=failure))
    assert 22 <= waits[0] <= 38  # 30 s, give or take a quarter
    assert waits == sorted(waits)
    assert waits[-1] <= 3600 * 1.25 + 0.1
    assert failures < 8 or waits[-1] >= 3600 * 0.75 - 0.1


def test_hosts_that_failed_together_do_not_try_again_together() -> None:
    times = {failed_again(attempted(Past()), "x", now=0.0, chance=n / 10).retry_at for n in range(11)}
    assert len(times) == 11


def test_another_link_is_a_first_failure() -> None:
    found = attempted(Past(), failure=replace(FAILURE, link=7))
    assert failed_again(found, "x", now=0.0, chance=0.5).count == 1


def test_a_new_wish_is_a_first_failure() -> None:
    found = attempted(Past(), want(1, "10.0.0.6/24"))
    expected = Failure(1, 30.0, found.desired, 101, "x", carrier=False)
    assert failed_again(found, "x", now=0.0, chance=0.5) == expected
    assert failed_again(attempted(Past()), "x", now=0.0, chance=0.5).count == 4
