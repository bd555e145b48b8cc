"""The events of a pass: what it did, what failed, what has begun to be wrong or right since the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from multinic.decide.brake import attempt_of
from multinic.decide.restraint import UNDONE_TOGETHER
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.report.report import Report
from multinic.report.statefile import lasting
from multinic.state import history
from multinic.values.errors import HostError
from multinic.values.history import Event, FieldChange, Kind
from multinic.values.plan import Interface, Result, State

_DONE = {
    "create": Kind.CREATED,
    "update": Kind.CHANGED,
    "adopt": Kind.CHANGED,
    "repair": Kind.REPAIRED,
    "delete": Kind.REMOVED,
}
_LASTING = {
    State.BLOCKED: Kind.BLOCKED,
    State.INVALID: Kind.INVALID,
    State.WAITING: Kind.WAITING,
    State.CONVERGED: Kind.CONVERGED,
}
_ROLLED_BACK = UNDONE_TOGETHER | {"slot-shared"}
_WHOLE = (("database_error", Kind.OUTAGE, "no-database"), ("error", Kind.UNFINISHED, "unfinished"))
"""What a state document says of a pass as a whole: field, kind and reason."""


def record(host: Host, log: Log, report: Report, before: Mapping[str, Any]) -> tuple[Event, ...]:
    """Add the events of a pass to the history, and return them with their numbers.

    `before` is the state document as it was before the pass: what that does not have is new.
    """
    return added(host, log, of_pass(report, before), report.time)


def of_error(before: Mapping[str, Any], *, database_error: str = "", error: str = "") -> list[Event]:
    """Return the events of a pass as a whole; `before` is the state document of the last one."""
    now = {"database_error": database_error, "error": error}
    found = []
    for key, kind, reason in _WHOLE:
        if now[key] and now[key] != before.get(key):
            found.append(Event(0, kind, reason, now[key]))
        elif before.get(key) and not now[key]:
            words = "the database can be read again" if kind is Kind.OUTAGE else "passes are finished again"
            found.append(Event(0, Kind.OVER, reason, words))
    return found


def of_pass(report: Report, before: Mapping[str, Any]) -> list[Event]:
    """Return the events of a pass, without numbers; `before` is the state document of the last one."""
    known = {str(item.get("key")): item for item in before.get("interfaces", ())}
    found = of_error(before, database_error=report.database_error)
    found += [event for result in report.results for event in _of_result(result, known)]
    return found


def added(host: Host, log: Log, events: Iterable[Event], now: float) -> tuple[Event, ...]:
    """Add events to the history; return them with their numbers. A full disk is no reason to end a pass."""
    try:
        return history.append(host, events, now)
    except HostError as e:
        log.warning(f"the history was not written: {e}", hint=e.hint)
        return ()


def _of_result(result: Result, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Event]:
    interface, before = result.interface, known.get(result.interface.key)
    attempt = attempt_of(interface)
    if result.state is State.FAILED:
        if result.reason != "backing-off":
            kind = Kind.ROLLED_BACK if result.reason in _ROLLED_BACK else Kind.FAILED
            yield _event(kind, result, attempt)
    elif attempt in _DONE or result.state is State.DELETE:
        yield _event(_DONE[attempt or "delete"], result, attempt or "delete")
    elif _is_new(result, before):
        yield _event(_LASTING[lasting(result.state)], result, "")


def _is_new(result: Result, before: Mapping[str, Any] | None) -> bool:
    """Return whether an interface is in another state than before, or for another reason."""
    state = lasting(result.state)
    if state not in _LASTING:
        return False
    if state is State.CONVERGED:  # one that was so before anybody looked is no event
        return before is not None and before.get("state") != str(state)
    return before is None or (before.get("state"), before.get("reason")) != (str(state), result.reason)


def _event(kind: Kind, result: Result, attempt: str) -> Event:
    interface = result.interface
    return Event(
        0,
        kind,
        reason="converged" if kind is Kind.CONVERGED else result.reason,
        message="as desired" if kind is Kind.CONVERGED else result.message,
        name=interface.name,
        mac=interface.mac_text,
        port_id=interface.port_id,
        row_id=interface.row_id,
        attempt=attempt,
        changes=tuple(_changes(interface)),
    )


def _changes(interface: Interface) -> Iterator[FieldChange]:
    for change in interface.changes:
        yield FieldChange(change.field, change.before, change.after)
    for file in interface.files:
        yield FieldChange("file", "", f"{file.action} {file.path}")
