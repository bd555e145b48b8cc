"""Slots: every MAC keeps its own, no two share one, the lowest free one comes first."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.decide.naming import assign, merge_claims, name_of, slot_of
from multinic.values.addresses import Mac
from tests.unit.making import mac

macs = st.integers(1, 40).map(mac)
claims = st.dictionaries(macs, st.integers(0, 30), max_size=20)
slots = st.sets(st.integers(0, 30), max_size=10)


@given(st.sets(macs), claims, slots, st.integers(1, 30))
def test_no_two_macs_share_a_slot(wanted: set[Mac], held: dict[Mac, int], kept: set[int], limit: int) -> None:
    given_out = assign(wanted, held, kept, limit)
    assert len(set(given_out.values())) == len(given_out)
    assert given_out.keys() <= wanted


@given(st.sets(macs), claims, st.integers(1, 30))
def test_a_mac_that_holds_a_slot_keeps_it(wanted: set[Mac], claimed: dict[Mac, int], limit: int) -> None:
    held = merge_claims(claimed)
    given_out = assign(wanted, held, (), limit)
    assert {mac: given_out[mac] for mac in wanted & held.keys()} == {m: held[m] for m in wanted & held.keys()}


@given(st.sets(macs), claims, slots, st.integers(1, 30))
def test_nobody_new_gets_a_reserved_slot_or_one_beyond_the_limit(
    wanted: set[Mac], claimed: dict[Mac, int], kept: set[int], limit: int
) -> None:
    held = merge_claims(claimed)
    for one, slot in assign(wanted, held, kept, limit).items():
        assert one in held or (slot < limit and slot not in kept)


@given(st.sets(macs), claims, slots, st.integers(1, 30))
def test_nobody_goes_without_while_a_slot_is_free(
    wanted: set[Mac], claimed: dict[Mac, int], kept: set[int], limit: int
) -> None:
    given_out = assign(wanted, merge_claims(claimed), kept, limit)
    free = set(range(limit)) - kept - set(given_out.values())
    assert not free or given_out.keys() == wanted


@given(st.lists(macs, unique=True), claims, slots, st.integers(1, 30), st.randoms())
def test_the_order_of_the_rows_makes_no_difference(
    wanted: list[Mac], held: dict[Mac, int], kept: set[int], limit: int, random: Random
) -> None:
    shuffled = list(wanted)
    random.shuffle(shuffled)
    assert assign(shuffled, held, kept, limit) == assign(wanted, held, kept, limit)


@given(st.sets(macs, max_size=12), st.sets(macs, max_size=12), st.integers(1, 12))
def test_who_stays_is_untouched_by_who_comes_and_goes(before: set[Mac], after: set[Mac], limit: int) -> None:
    first = assign(before, {}, (), limit)
    second = assign(after, first, (), limit)
    for one in before & after & first.keys():
        assert second[one] == first[one]


@pytest.mark.parametrize(
    ("wanted", "held", "reserved", "limit", "expected"),
    [
        pytest.param([3, 1, 2], {}, (), 10, {1: 0, 2: 1, 3: 2}, id="a new host: in the order of MACs"),
        pytest.param([1, 9], {1: 0, 5: 1}, (), 3, {1: 0, 9: 2}, id="a slot that is being freed comes last"),
        pytest.param([1, 9], {1: 0, 5: 1}, (), 2, {1: 0, 9: 1}, id="but before none at all"),
        pytest.param([1, 3, 9], {1: 0, 3: 2}, (), 10, {1: 0, 3: 2, 9: 1}, id="a free middle slot"),
        pytest.param([9], {}, (0, 1), 10, {9: 2}, id="reserved slots are passed over"),
        pytest.param([1, 2, 3], {}, (), 2, {1: 0, 2: 1}, id="more MACs than slots"),
        pytest.param([1, 2], {2: 15}, (), 10, {1: 0, 2: 15}, id="a slot above a lowered limit is kept"),
        pytest.param([1, 2], {1: 4, 2: 4}, (), 10, {1: 4, 2: 0}, id="two that claim one slot"),
        pytest.param([*range(1, 13)], {}, (), 64, {n: n - 1 for n in range(1, 13)}, id="two digits"),
    ],
)
def test_slots_are_given_out(
    wanted: list[int], held: dict[int, int], reserved: tuple[int, ...], limit: int, expected: dict[int, int]
) -> None:
    claimed = {mac(number): slot for number, slot in held.items()}
    given_out = assign([mac(number) for number in wanted], claimed, reserved, limit)
    assert given_out == {mac(number): slot for number, slot in expected.items()}


@given(st.lists(claims, max_size=3))
def test_merged_claims_share_nothing_and_the_first_source_wins(sources: list[dict[Mac, int]]) -> None:
    held = merge_claims(*sources)
    assert len(set(held.values())) == len(held)
    if sources:
        first = merge_claims(sources[0])
        assert {one: held[one] for one in first} == first


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("multinic0", 0),
        ("multinic9", 9),
        ("multinic10", 10),
        ("multinic999", 999),
        ("multinic", None),
        ("multinic00", None),
        ("multinic01", None),
        ("multinic-1", None),
        ("multinic1a", None),
        ("multinic1\n", None),
        ("multinic\u0661", None),
        ("xmultinic1", None),
        ("eth0", None),
        ("", None),
    ],
)
def test_only_our_names_have_a_slot(name: str, slot: int | None) -> None:
    assert slot_of(name) == slot


@given(st.integers(0, 999))
def test_a_name_says_its_slot_and_fits_the_kernel(slot: int) -> None:
    assert slot_of(name_of(slot)) == slot
    assert len(name_of(slot)) < 16
