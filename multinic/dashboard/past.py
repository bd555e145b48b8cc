"""How many interfaces were in which state at the end of each hour. Pure.

An interface is in its state since a time that its row has. Before, the newest event until then says in which
state it was; where none is kept, that is unknown: nothing is guessed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from multinic.values.counts import STATES
from multinic.values.history import Kind

UNKNOWN = "unknown"
SPANS = {"24h": 24, "7d": 7 * 24}
"""How many hours are shown."""
_ABSENT = ""
_AFTER = {
    **dict.fromkeys((Kind.CREATED, Kind.CHANGED, Kind.REPAIRED, Kind.CONVERGED), "converged"),
    **dict.fromkeys((Kind.FAILED, Kind.ROLLED_BACK), "failed"),
    Kind.BLOCKED: "blocked",
    Kind.INVALID: "invalid",
    Kind.WAITING: "waiting",
    Kind.REMOVED: _ABSENT,
}
"""The state of an interface after an event. Other kinds are of a whole pass."""

Key = tuple[str, str]
"""A node, and the port or else the MAC address of an interface."""


class Happened(NamedTuple):
    """An event of one interface; times are texts that sort, such as 2026-01-31 12:00:00."""

    at: str
    key: Key
    kind: str


class Changed(NamedTuple):
    """An interface whose state began in the hours that are shown."""

    key: Key
    state: str
    since: str


def ends(now: str, hours: int) -> list[str]:
    """Return when each of the last hours ended, the oldest first; the last one is now."""
    last = datetime.strptime(now[:13], "%Y-%m-%d %H")
    return [f"{last - timedelta(hours=ago):%Y-%m-%d %H:%M:%S}" for ago in range(hours - 2, -1, -1)] + [now]


def by_hour(
    at: Sequence[str],
    counted: Mapping[str, int],
    changed: Iterable[Changed],
    happened: Iterable[Happened],
    begins: str,
) -> list[dict[str, int] | None]:
    """Return the interfaces by state at each of these times; None where nothing is known any more.

    `counted` are all interfaces now, by state. Events come with the oldest first. `begins` is the time since
    when all rows were read; "" if none is left out.
    """
    events: dict[Key, list[Happened]] = {}
    for event in happened:
        if event.kind in _AFTER:
            events.setdefault(event.key, []).append(event)
    moved = [Counter[str]() for _ in range(len(at) + 1)]
    rest, there = Counter(counted), set()
    for one in changed:
        there.add(one.key)
        rest[one.state] -= 1
        known = [event for event in events.get(one.key, ()) if event.at < one.since]
        _add(moved, at, known, one)
    for key, known in events.items():
        if key not in there and known[-1].kind == Kind.REMOVED:
            _add(moved, at, known)
    running = Counter({state: max(number, 0) for state, number in rest.items()})
    found: list[dict[str, int] | None] = []
    for place, time in enumerate(at):
        running.update(moved[place])
        reached = not begins or time >= begins
        found.append({state: running[state] for state in (*STATES, UNKNOWN)} if reached else None)
    return found


def _add(
    moved: Sequence[Counter[str]], at: Sequence[str], known: Sequence[Happened], one: Changed | None = None
) -> None:
    """Count one interface in the state that it has after each event, until the next one."""
    state = _ABSENT if known and known[0].kind == Kind.CREATED else UNKNOWN
    places = [(event.at, _AFTER[Kind(event.kind)]) for event in known]
    places += [(one.since, one.state)] if one else []
    first = 0
    for time, next_state in [*places, ("~", _ABSENT)]:  # after every time
        until = bisect_left(at, time)
        if state and until > first:
            moved[first][state] += 1
            moved[until][state] -= 1
        first, state = until, next_state
