"""What would change on a host, and why: plans as data. diff.py makes them, apply.py carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from multinic.model import DesiredLink, Held, Mac, ObservedLink, ObservedRoute, ObservedRule


class State(str, Enum):
    """The state of an interface in a plan, and after it."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    BLOCKED = "blocked"
    INVALID = "invalid"
    CONVERGED = "converged"
    FAILED = "failed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a link, from what it is to what it shall be; "" is absence."""

    field: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.field} {self.old or '(none)'} → {self.new or '(none)'}"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file, from its text to its new text; None is absence."""

    path: str
    old: str | None
    new: str | None
    mode: int
    old_mode: int | None = None

    @property
    def action(self) -> str:
        """What happens to the file, in one word."""
        if self.new is None:
            return "remove"
        if self.old is None:
            return "create"
        return "replace" if self.old != self.new else "chmod"


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a plan: what it is, what happens to it, and why."""

    name: str
    """multinicN; "" for a row that has no slot."""
    mac: Mac | None
    mac_text: str
    port_id: str
    row_id: int | None
    state: State
    reason: str
    message: str
    changes: tuple[Change, ...] = ()
    files: tuple[FileChange, ...] = ()
    link: ObservedLink | None = None
    desired: DesiredLink | None = None
    held: Held | None = None
    noted: Mapping[str, str] = field(default_factory=dict)
    """What a network service may change of a link that is new to us (LEFT_BEHIND of fields.py), as it is."""
    stale_routes: tuple[ObservedRoute, ...] = ()
    """Routes of ours that are to go; `changes` tells them in words."""
    stale_rules: tuple[ObservedRule, ...] = ()
    """Rules of ours that are to go."""

    @property
    def pending(self) -> bool:
        """Whether applying the plan would do something here."""
        acts = self.state in (State.CREATE, State.UPDATE, State.DELETE, State.WAITING)
        return acts and bool(self.changes or self.files)

    @property
    def key(self) -> str:
        """What stays the same of this interface from one plan to the next."""
        if self.desired is None and self.row_id is not None:
            return f"row:{self.row_id}"  # an invalid row, which may share its MAC with another one
        return str(self.mac) if self.mac else self.name or "row"

    @property
    def target_name(self) -> str:
        """The name the link shall have when this is done."""
        for change in self.changes:
            if change.field == "name":
                return change.new
        return self.link.name if self.link else self.name


@dataclass(frozen=True, slots=True)
class Plan:
    """All interfaces of a host, removals first, then by slot."""

    node: str
    backend: str
    interfaces: tuple[Interface, ...]
    mass_deletion: bool = False
    """Whether the desired state lacks so much that it is more likely wrong than right."""

    @property
    def pending(self) -> tuple[Interface, ...]:
        """The interfaces to which something would happen."""
        return tuple(interface for interface in self.interfaces if interface.pending)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do: the host is converged."""
        return not self.pending

    def get(self, key: str) -> Interface | None:
        """Return the interface with this key."""
        return next((interface for interface in self.interfaces if interface.key == key), None)
