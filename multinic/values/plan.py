"""What would change on a host, and why: plans as data. diff.py makes them, apply.py carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Interface, IPv6Interface

from multinic.values.addresses import IPInterface, Mac
from multinic.values.desired import DesiredLink, Route, Rule
from multinic.values.fields import FIELDS
from multinic.values.observed import ObservedLink, ObservedRoute, ObservedRule
from multinic.values.record import Entry


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


Value = str | int | bool | IPInterface | Route | Rule | ObservedRoute | ObservedRule
"""One thing of a link: its name, its MTU, whether it is up, an address, a route, a rule, a property."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a link, from what it is to what it shall be; None: not there.

    `field`: "name", "state", "mtu", "address", "route", "rule", or a property (fields.py). A route or rule to
    remove is an observed one, a route or rule to add is a desired one.
    """

    field: str
    old: Value | None
    new: Value | None
    note: str = ""
    """A remark about the new value, for display."""

    @property
    def before(self) -> str:
        """The old value for display; "" for none."""
        return _shown(self.old)

    @property
    def after(self) -> str:
        """The new value for display; "" for none."""
        return _shown(self.new) + (f", {self.note}" if self.note else "")

    def __str__(self) -> str:
        return f"{self.field} {self.before or '(none)'} → {self.after or '(none)'}"


def _shown(value: Value | None) -> str:
    if isinstance(value, bool):
        return "up" if value else "down"
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file, from its text to its new text; None: no file."""

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
    entry: Entry | None = None
    noted_properties: Mapping[str, str] = field(default_factory=dict)
    """The properties in LEFT_BEHIND (fields.py) as they are now, if the link is new to us."""

    @property
    def pending(self) -> bool:
        """Whether applying the plan would do something here."""
        acts = self.state in (State.CREATE, State.UPDATE, State.DELETE, State.WAITING)
        return acts and bool(self.changes or self.files)

    @property
    def key(self) -> str:
        """A text that is the same for this interface in every plan."""
        if self.desired is None and self.row_id is not None:
            return f"row:{self.row_id}"  # an invalid row, which may share its MAC with another one
        return str(self.mac) if self.mac else self.name or "row"

    @property
    def target_name(self) -> str:
        """The name the link shall have when this is done."""
        for change in self.changes:
            if change.field == "name":
                return str(change.new)
        return self.link.name if self.link else self.name

    @property
    def changed_properties(self) -> dict[str, str]:
        """The properties that change, with their present text: field → text, without those it lacks."""
        return {c.field: c.old for c in self.changes if c.field in FIELDS and isinstance(c.old, str)}

    @property
    def mtu(self) -> int | None:
        """The MTU that the link gets; None where it keeps its own."""
        return next((c.new for c in self.changes if c.field == "mtu" and isinstance(c.new, int)), None)

    @property
    def removed_addresses(self) -> tuple[IPInterface, ...]:
        """The addresses to remove."""
        return tuple(c.old for c in self.changes if isinstance(c.old, IPv4Interface | IPv6Interface))

    @property
    def removed_routes(self) -> tuple[ObservedRoute, ...]:
        """The routes to remove, as the kernel has them."""
        return tuple(c.old for c in self.changes if isinstance(c.old, ObservedRoute))

    @property
    def removed_rules(self) -> tuple[ObservedRule, ...]:
        """The rules to remove, as the kernel has them."""
        return tuple(c.old for c in self.changes if isinstance(c.old, ObservedRule))

    @property
    def added_rules(self) -> tuple[Rule, ...]:
        """The rules to add: those that the host lacks."""
        return tuple(c.new for c in self.changes if isinstance(c.new, Rule))


@dataclass(frozen=True, slots=True)
class Plan:
    """All interfaces of a host, removals first, then by slot."""

    node: str
    backend: str
    interfaces: tuple[Interface, ...]
    mass_deletion: bool = False
    """Whether so many interfaces would be removed that the read is more likely wrong than right."""

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


@dataclass(frozen=True)
class Result:
    """What became of one interface."""

    interface: Interface
    state: State
    reason: str
    message: str
    link: ObservedLink | None = None
    """The link as the kernel had it when the state was determined: after a change, if there was one."""
    restored: bool = False
    """Whether it was changed, and then restored as it was."""
