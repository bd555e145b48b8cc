"""The record that follows from a plan: before its changes, and after its results. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from multinic.decide.identity import OTHER_DATABASE, OTHER_NODE, Identity
from multinic.decide.naming import slot_of
from multinic.decide.restraint import UNDONE_TOGETHER, Past, failed_again
from multinic.values.plan import Interface, Plan, Result, State
from multinic.values.record import Entries, Entry, Record, Rendered

_NOTHING_IS_OURS = (State.BLOCKED, State.INVALID)
"""An interface in one of these states that has no entry gets none: its link is not ours."""


def before_changes(record: Record, plan: Plan, past: Past, rendered: Mapping[str, Rendered]) -> Record:
    """Return the record with how links are before a change; it must be on disk before the change."""
    entries = _entries(record.entries, plan, past, {})
    return _with_rendered(replace(record, entries=entries), plan, past, rendered)


def after_pass(
    record: Record,
    plan: Plan,
    past: Past,
    rendered: Mapping[str, Rendered],
    results: Iterable[Result],
    *,
    now: float,
    chance: Callable[[], float],
) -> Record:
    """Return the record after a pass. `chance` returns a random number from 0 to 1, for each failure."""
    outcomes = {result.interface.key: _Outcome(result, now, chance) for result in results}
    record = replace(record, entries=_entries(record.entries, plan, past, outcomes))
    # A pass without a database ends the row of reads, too.
    seen = past.mass_deletion + 1 if plan.mass_deletion else 0
    since = record.mass_deletion_since if seen > 1 and past.mass_deletion_age >= 0 else now if seen else 0.0
    record = replace(record, mass_deletion=seen, mass_deletion_since=since)
    return _with_rendered(record, plan, past, rendered)


def with_identity(record: Record, plan: Plan, identity: Identity) -> Record:
    """Return the record as one of this node and database, unless that is in doubt and keeps an interface."""
    if any(interface.reason in (OTHER_NODE, OTHER_DATABASE) for interface in plan.interfaces):
        return record
    return replace(record, node=identity.node, database=identity.database)


class _Outcome:
    """How a result changes an entry."""

    def __init__(self, result: Result, now: float, chance: Callable[[], float]) -> None:
        self._result, self._now, self._chance = result, now, chance

    @property
    def removed(self) -> bool:
        return self._result.state is State.DELETE

    def of_desired(self, entry: Entry, interface: Interface) -> Entry:
        """Return the entry of an interface that a row asks for."""
        state, reason = self._result.state, self._result.reason
        if state in (State.CONVERGED, State.UNCHANGED) or reason in ("no-carrier", "no-lease"):
            return _configured(entry, interface)
        return self.of_orphan(entry, interface)

    def of_orphan(self, entry: Entry, interface: Interface) -> Entry:
        """Return the entry with one more failure, unless the interface only waited for its next attempt."""
        state, reason = self._result.state, self._result.reason
        if state is not State.FAILED or reason == "backing-off":
            return entry
        failure = failed_again(interface, self._result.message, now=self._now, chance=self._chance())
        return replace(entry, failure=replace(failure, suspect=reason in UNDONE_TOGETHER))


def _entries(entries: Entries, plan: Plan, past: Past, outcomes: Mapping[str, _Outcome]) -> Entries:
    """Return the entries of all interfaces of a plan; without a database also all other entries."""
    found = dict(entries) if past.from_memory else {}
    for interface in plan.interfaces:
        if interface.mac is None or not interface.name:
            continue
        entry, outcome = entries.get(interface.mac), outcomes.get(interface.key)
        if interface.desired is not None:
            if entry is None and interface.state in _NOTHING_IS_OURS:
                continue
            noted = _with_link_before(entry or Entry(slot_of(interface.name) or 0), interface)
            found[interface.mac] = outcome.of_desired(noted, interface) if outcome else noted
        elif entry is not None and not (outcome and outcome.removed):
            found[interface.mac] = outcome.of_orphan(entry, interface) if outcome else entry
    return found


def _with_link_before(entry: Entry, interface: Interface) -> Entry:
    """Return an entry with the slot, and with how the link was before us if the link is new to us."""
    link = interface.link
    if link is not None and (interface.state is State.CREATE or _is_first_seen(entry, link.name)):
        entry = replace(entry, name_before=link.name)
        if not _is_configured_by_agent(interface):
            entry = replace(entry, mtu_before=link.mtu, properties_before=interface.noted_properties)
    entry = replace(entry, slot=slot_of(interface.name) or 0, port_id=interface.port_id)
    if not interface.pending:
        return entry
    return replace(entry, properties_before={**interface.changed_properties, **entry.properties_before})


def _is_configured_by_agent(interface: Interface) -> bool:
    """Return whether an earlier agent configured a link: its MTU is not that of before then."""
    return any(change.old is not None for change in interface.files)


def _is_first_seen(entry: Entry, name: str) -> bool:
    """Return whether a link has a name that is not ours, and the entry lacks how it was before us."""
    return entry.mtu_before is None and slot_of(name) is None


def _configured(entry: Entry, interface: Interface) -> Entry:
    """Return the entry of an interface that is as desired, without the properties that were set back."""
    set_back = {c.field for c in interface.changes if entry.properties_before.get(c.field) == c.new}
    left = {field: value for field, value in entry.properties_before.items() if field not in set_back}
    return replace(entry, applied=interface.desired, failure=None, properties_before=left)


def _with_rendered(record: Record, plan: Plan, past: Past, rendered: Mapping[str, Rendered]) -> Record:
    """Return the record with the rendered files of the interfaces that a row asks for."""
    names = {interface.name for interface in plan.interfaces if interface.desired is not None}
    desired_files = {name: files for name, files in rendered.items() if name in names}
    return replace(
        record, rendered={**record.rendered, **desired_files} if past.from_memory else desired_files
    )
