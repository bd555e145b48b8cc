"""Safety rules that look at earlier passes, and hold back a part of a plan for now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from multinic.decide.safety import Block
from multinic.values.addresses import Mac
from multinic.values.desired import DesiredLink
from multinic.values.plan import Interface, State
from multinic.values.record import Failure

FUSE_READS = 3
"""So many consecutive reads must show a mass deletion before it happens."""
FUSE_SECONDS = 60.0
"""It happens no earlier than so many seconds after the first of these reads: quick passes are one doubt."""
UNDONE_TOGETHER = frozenset({"witness", "connectivity"})
"""Reasons for which all changes of a pass are undone: it is not known which change did the harm."""
BACK_OFF = 30.0
"""Seconds from the first failure of an interface to the next attempt; doubled after each failure."""
BACK_OFF_MAX = 3600.0
JITTER = 0.25
"""Each wait is longer or shorter by up to this share, at random, so that a fleet does not retry in step."""


@dataclass(frozen=True)
class Allowed:
    """What a person allows in this pass."""

    mass_delete: bool = False
    identity: bool = False
    """Whether this host may have another name, or ask another database, than before."""
    braked: bool = False
    """Whether to change what fails on many other nodes."""
    only: tuple[str, ...] = ()
    """By name, MAC address, port or row: the interfaces that may be changed; none named: all."""


@dataclass(frozen=True)
class Past:
    """What earlier passes saw, and what the operator allows."""

    now: float = 0.0
    """Unix time. 0 if a person started the pass: then a failure holds nothing back."""
    mass_deletion: int = 0
    """How many consecutive reads before this one showed a mass deletion."""
    mass_deletion_age: float = 0.0
    """How many seconds ago the first of these reads was."""
    allow_mass_delete: bool = False
    ask_for_mass_deletion: bool = False
    """Never without a person, however often it was seen."""
    said_by: str = ""
    """Which host of the database was read, for messages."""
    doubt: Block | None = None
    """Why the record may be that of another node or database: then nothing is removed."""
    braked: Mapping[str, Block] = field(default_factory=dict)
    """What must wait because it fails on many other nodes: key of an interface → why."""
    from_memory: bool = False
    """The source is the last known good state, not the database: then nothing is removed."""
    only: frozenset[str] | None = None
    """The keys of the interfaces that a person selected; None: all."""
    held: Mapping[Mac, str] = field(default_factory=dict)
    """On what a person lets nothing be changed now: MAC address → until when and why, in words."""
    held_unknown: str = ""
    """In words, if nobody knows what is held: then nothing is done to what works."""


def is_mass_deletion(orphans: Sequence[Interface], managed: int, *, no_rows: bool) -> bool:
    """Return whether so much would be removed at once that the read is more likely wrong than right.

    `managed` includes the orphans. Zero rows while something is managed always count as a mass deletion.
    """
    removed = sum(1 for orphan in orphans if orphan.state is State.DELETE)
    return removed > 0 and (no_rows or (removed > 1 and removed * 2 > managed))


def fuse(orphans: Sequence[Interface], past: Past) -> list[Interface]:
    """Hold back a mass deletion until it has been seen often and long enough, or a person allows it."""
    seen_enough = past.mass_deletion + 1 >= FUSE_READS and past.mass_deletion_age >= FUSE_SECONDS
    seen_enough = seen_enough and not past.ask_for_mass_deletion
    if past.allow_mass_delete or seen_enough:
        return list(orphans)
    removed = sum(1 for orphan in orphans if orphan.state is State.DELETE)
    when = f"that takes {FUSE_READS} reads in a row that say so over {FUSE_SECONDS:g} s, or"
    if past.ask_for_mass_deletion:
        when = "a person must say so (safety.mass_delete):"
    says = f", says {past.said_by}" if past.said_by else ""
    words = (
        f"not removed yet: {removed} would be removed at once{says}; {when} "
        "`multinic apply --allow-mass-delete`"
    )
    return [
        replace(orphan, state=State.BLOCKED, reason="deletion-fuse", message=words, changes=(), files=())
        if orphan.state is State.DELETE
        else orphan
        for orphan in orphans
    ]


def back_off(interface: Interface, past: Past) -> Interface:
    """Hold back an attempt that failed before, until it is time for the next one or the row has changed."""
    failure = interface.entry.failure if interface.entry else None
    if failure is None or not interface.pending or not past.now or not same_attempt(failure, interface):
        return interface
    # If the time is later than any wait can end, the clock was wrong when it was computed.
    if not past.now < failure.retry_at <= past.now + BACK_OFF_MAX * (1 + JITTER):
        return interface
    when = "at " + datetime.fromtimestamp(failure.retry_at, timezone.utc).strftime("%H:%M:%S UTC")
    return _held_back(interface, failure, f"{when} or when its row or carrier changes")


def one_suspect(interfaces: Sequence[Interface], past: Past) -> list[Interface]:
    """Let only one suspect be attempted: one of those that were undone together because one did harm.

    So those that did no harm converge one by one. Other work goes first: it shall not be undone with them.
    """
    pending = [interface for interface in interfaces if interface.pending]
    suspects = [interface for interface in pending if _suspected(interface)]
    if not past.now or not suspects or len(pending) == 1:
        return list(interfaces)
    first = min(suspects, key=_turn)
    held_back = [i for i in suspects if i is not first or len(suspects) < len(pending)]
    return [
        _held_back(interface, interface.entry.failure, "alone, in a later pass")
        if interface in held_back and interface.entry and interface.entry.failure
        else interface
        for interface in interfaces
    ]


def _suspected(interface: Interface) -> bool:
    failure = interface.entry.failure if interface.entry else None
    return failure is not None and failure.suspect and same_attempt(failure, interface)


def _turn(suspect: Interface) -> tuple[int, float, str]:
    failure = suspect.entry.failure if suspect.entry else None
    return (failure.count, failure.retry_at, suspect.key) if failure else (0, 0.0, suspect.key)


def _held_back(interface: Interface, failure: Failure, when: str) -> Interface:
    if failure.count == 1:
        words = f"failed once, tried again {when}; {failure.message}"
    else:
        words = f"failed {failure.count} times, tried again {when}; {failure.message}"
    return replace(interface, state=State.FAILED, reason="backing-off", message=words, changes=(), files=())


def failed_again(interface: Interface, message: str, *, now: float, chance: float) -> Failure:
    """Return the failures of an interface with one more; `chance` is a random number from 0 to 1."""
    before = interface.entry.failure if interface.entry else None
    count = before.count + 1 if before is not None and same_attempt(before, interface) else 1
    wait = min(BACK_OFF * 2 ** min(count - 1, 20), BACK_OFF_MAX)
    retry_at = now + wait * (1 - JITTER + 2 * JITTER * chance)
    return Failure(
        count,
        round(retry_at, 1),
        interface.desired,
        _index(interface),
        message,
        carrier=_has_carrier(interface),
    )


def same_wish(one: DesiredLink | None, other: DesiredLink | None) -> bool:
    """Return whether two rows ask for the same; id and port do not count, a replaced row has new ones."""
    if one is None or other is None:
        return one is other
    return replace(one, row_id=0, port_id="") == replace(other, row_id=0, port_id="")


def same_attempt(failure: Failure, interface: Interface) -> bool:
    """Return whether what failed is what a plan does with the interface: the same wish, on the same link."""
    same_carrier = failure.carrier in (None, _has_carrier(interface))
    same_link = failure.link == _index(interface) and same_carrier
    return same_link and same_wish(failure.wish, interface.desired)


def _has_carrier(interface: Interface) -> bool:
    return interface.link is not None and interface.link.carrier


def _index(interface: Interface) -> int:
    return interface.link.index if interface.link else 0
