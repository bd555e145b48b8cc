"""Safety rules that look at the past: what of a plan is held back for now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from multinic.model import DesiredLink, Failure
from multinic.plan import Interface, State

FUSE_READS = 3
"""In so many reads over consecutive passes a mass deletion must be seen before it happens."""
BACK_OFF = 30.0
"""Seconds after the first failure of an interface before the same is attempted again; doubled each time."""
BACK_OFF_MAX = 3600.0
JITTER = 0.25
"""The share by which each wait is longer or shorter at random, so that a fleet does not retry in step."""


@dataclass(frozen=True)
class Past:
    """What earlier passes and the operator have to say."""

    now: float = 0.0
    """Unix time. 0 in a pass of a person: nothing is held back because it failed before."""
    mass_deletion: int = 0
    """In how many consecutive reads before this one a mass deletion was seen."""
    allow_mass_delete: bool = False
    from_memory: bool = False
    """The desired state is the last known good one, not the database's: nothing is deleted by it."""


def is_mass_deletion(orphans: Sequence[Interface], managed: int, *, no_rows: bool) -> bool:
    """Return whether so much would go at once that the read is more likely wrong than right.

    `managed` counts the orphans, too. Zero rows while something is managed is always such a case.
    """
    going = sum(1 for orphan in orphans if orphan.state is State.DELETE)
    return going > 0 and (no_rows or (going > 1 and going * 2 > managed))


def fuse(orphans: Sequence[Interface], past: Past) -> list[Interface]:
    """Hold back a mass deletion until it has been seen often enough, or a person allows it."""
    seen = past.mass_deletion + 1
    if past.allow_mass_delete or seen >= FUSE_READS:
        return list(orphans)
    going = sum(1 for orphan in orphans if orphan.state is State.DELETE)
    words = (
        f"not removed yet: {going} at once would go; it takes {FUSE_READS} reads in a row that say so, "
        "or `multinic apply --allow-mass-delete`"
    )
    return [
        replace(orphan, state=State.BLOCKED, reason="deletion-fuse", message=words, changes=(), files=())
        if orphan.state is State.DELETE
        else orphan
        for orphan in orphans
    ]


def back_off(interface: Interface, past: Past) -> Interface:
    """Hold back an attempt that failed before, until its time has come or the wish is another one."""
    failure = interface.held.failure if interface.held else None
    if failure is None or not interface.pending or not past.now or not _same_matter(failure, interface):
        return interface
    # A time further off than any wait was set by a clock that was wrong.
    if not past.now < failure.retry_at <= past.now + BACK_OFF_MAX * (1 + JITTER):
        return interface
    when = "at " + datetime.fromtimestamp(failure.retry_at, timezone.utc).strftime("%H:%M:%S UTC")
    return _waiting(interface, failure, f"{when} or when its row changes")


def one_suspect(interfaces: Sequence[Interface], past: Past) -> list[Interface]:
    """Let what was undone together, for harm that one of them did, be attempted one by one.

    Whoever is innocent then converges. Other work goes first: it shall not be undone with them.
    """
    pending = [interface for interface in interfaces if interface.pending]
    suspects = [interface for interface in pending if _suspected(interface)]
    if not past.now or not suspects or len(pending) == 1:
        return list(interfaces)
    first = min(suspects, key=_turn)
    held_back = [i for i in suspects if i is not first or len(suspects) < len(pending)]
    return [
        _waiting(interface, interface.held.failure, "alone, in a later pass")
        if interface in held_back and interface.held and interface.held.failure
        else interface
        for interface in interfaces
    ]


def _suspected(interface: Interface) -> bool:
    failure = interface.held.failure if interface.held else None
    return failure is not None and failure.suspect and _same_matter(failure, interface)


def _turn(suspect: Interface) -> tuple[int, float, str]:
    failure = suspect.held.failure if suspect.held else None
    return (failure.count, failure.retry_at, suspect.key) if failure else (0, 0.0, suspect.key)


def _waiting(interface: Interface, failure: Failure, when: str) -> Interface:
    times = "once" if failure.count == 1 else f"{failure.count} times"
    words = f"failed {times}, tried again {when}; {failure.message}"
    return replace(interface, state=State.FAILED, reason="backing-off", message=words, changes=(), files=())


def failed_again(interface: Interface, message: str, *, now: float, chance: float) -> Failure:
    """Return the memory of one more failure; `chance` is a random number from 0 to 1."""
    before = interface.held.failure if interface.held else None
    count = before.count + 1 if before is not None and _same_matter(before, interface) else 1
    wait = min(BACK_OFF * 2 ** min(count - 1, 20), BACK_OFF_MAX)
    retry_at = now + wait * (1 - JITTER + 2 * JITTER * chance)
    return Failure(count, round(retry_at, 1), interface.desired, _index(interface), message)


def same_wish(one: DesiredLink | None, other: DesiredLink | None) -> bool:
    """Return whether two rows ask for the same; a replaced row has a new id."""
    if one is None or other is None:
        return one is other
    return replace(one, row_id=0, port_id="") == replace(other, row_id=0, port_id="")


def _same_matter(failure: Failure, interface: Interface) -> bool:
    return same_wish(failure.wish, interface.desired) and failure.link == _index(interface)


def _index(interface: Interface) -> int:
    return interface.link.index if interface.link else 0
