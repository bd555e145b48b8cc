"""What happened on this host: one event for each change, failure and refusal. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Kind(str, Enum):
    """What happened, in one word."""

    CREATED = "created"
    CHANGED = "changed"
    REPAIRED = "repaired"
    """The host differed from what had been configured, and was put right."""
    REMOVED = "removed"
    FAILED = "failed"
    """One interface did not become as desired; it was restored as it was."""
    ROLLED_BACK = "rolled-back"
    """Restored as it was, because it or another interface of the same pass did harm."""
    BLOCKED = "blocked"
    INVALID = "invalid"
    WAITING = "waiting"
    CONVERGED = "converged"
    """As desired again, without a change of ours."""
    OUTAGE = "outage"
    """The database cannot be read."""
    UNFINISHED = "unfinished"
    """A pass could not be finished: a refusal, an error of the host."""
    OVER = "over"
    """An outage is over, or passes are finished again."""

    def __str__(self) -> str:
        return self.value


BAD = frozenset({Kind.FAILED, Kind.ROLLED_BACK})
"""The kinds of an attempt that did not succeed."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, from what it was to what it became, or was to become; "" for nothing."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, to an interface; or to a whole pass: then it has no name, MAC and port."""

    number: int
    """When: microseconds since 1970, but always larger than that of the event before."""
    kind: Kind
    reason: str = ""
    message: str = ""
    name: str = ""
    mac: str = ""
    port_id: str = ""
    row_id: int | None = None
    attempt: str = ""
    """What was tried: "create", "update" (the row changed), "adopt", "repair", "delete"; "" for nothing."""
    changes: tuple[FieldChange, ...] = ()

    @property
    def time(self) -> float:
        """Unix time."""
        return self.number / 1e6

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that changed, or were to; files only where nothing else did."""
        found = sorted({change.field for change in self.changes} - {"file"})
        return tuple(found) or (("file",) if self.changes else ())


class Peer(NamedTuple):
    """One attempt of another node, as the database has it."""

    node: str
    mac: str
    attempt: str
    fields: frozenset[str]
    kind: str
