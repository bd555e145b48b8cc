"""Two dumps are compared as a whole: what differs is found wherever it is."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from multinic.kernel.parts import differing, payloads

COUNT = 1000
SOCKET = 4711
dumps = itertools.count(1)


def parts(messages: Sequence[bytes], cuts: Sequence[int] = ()) -> Iterator[bytes]:
    """Yield messages as the kernel tells them: in parts, with headers that are of this dump alone."""
    dump = next(dumps)
    for start, end in pairwise([0, *sorted(cuts), len(messages)]):
        if start < end:
            yield b"".join(_with_header(message, dump) for message in messages[start:end])


def _with_header(message: bytes, dump: int) -> bytes:
    size = 16 + len(message)
    return struct.pack("=IHHII", size, 24, 2, dump, SOCKET) + message + bytes(-size % 4)


def routes(count: int) -> list[bytes]:
    """Return messages of several lengths, none of them twice."""
    return [struct.pack("!I", number) * (4 + number % 3) + bytes(number % 2) for number in range(count)]


edits = st.lists(
    st.tuples(st.integers(0, COUNT - 1), st.sampled_from(["gone", "new", "other", "moved"])), max_size=4
)
some_cuts = st.lists(st.integers(0, COUNT), max_size=12)


@settings(max_examples=20, deadline=None)
@given(edits, some_cuts, some_cuts)
def test_what_two_dumps_do_not_both_have_is_found(changes, cuts, later_cuts):
    before = routes(COUNT)
    after = list(before)
    for number, how in changes:
        at = min(number, len(after) - 1)
        if how == "gone":
            del after[at]
        elif how == "moved":
            after.append(after.pop(at))
        else:
            fresh = b"new " * 4 + struct.pack("!I", len(after) + at)
            after[at : at + (how == "other")] = [fresh]
    first, second = list(parts(before, cuts)), list(parts(after, later_cuts))
    assert [message for part in first for message in payloads(part)] == before
    gone, new = differing(first, second)
    assert {*gone} - {*new} == {*before} - {*after}
    assert {*new} - {*gone} == {*after} - {*before}
    assert [one for one in before if one not in {*gone}] == [one for one in after if one not in {*new}]


def test_what_is_the_same_is_left_out():
    before = routes(COUNT)
    cuts = range(0, COUNT, 200)
    same = list(parts(before, cuts))
    assert differing(same, list(parts(before, cuts))) == ([], [])
    after = [*before[:600], b"a new one", *before[600:]]
    gone, new = differing(same, list(parts(after, cuts)))
    assert set(new) - set(gone) == {b"a new one"}
    assert len(new) < COUNT / 2
