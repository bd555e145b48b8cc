"""The history of this host: /var/lib/multinic/history.jsonl (0600), an event a line, the newest ones.

A line that cannot be read is left out, and is gone with the next event.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from multinic.host.host import Host
from multinic.values.errors import TooLarge
from multinic.values.history import Event, FieldChange, Kind
from multinic.values.paths import HISTORY
from multinic.values.text import printable

KEPT = 500
"""So many events are kept."""
_TEXT_MAX = 1024  # characters
_CHANGES_MAX = 64  # of one event: more than one row asks for, unless it has many routes
_TEXTS = ("reason", "message", "name", "mac", "port_id", "attempt")


def load(host: Host) -> tuple[Event, ...]:
    """Return the events, oldest first. Raises HostError."""
    try:
        lines = (host.read(HISTORY) or "").splitlines()
    except TooLarge:
        return ()
    found = [event for line in lines if (event := _event(line)) is not None]
    return tuple(sorted(found, key=lambda event: event.number))[-KEPT:]


def append(host: Host, events: Iterable[Event], now: float) -> tuple[Event, ...]:
    """Add events that happened now (Unix time), and return them with their numbers. Raises HostError."""
    new = list(events)
    if not new:
        return ()
    old = load(host)
    # Never the number of an earlier event, even if the clock was set back.
    first = max(int(now * 1e6), old[-1].number + 1 if old else 0)
    added = [_bounded(replace(event, number=first + at)) for at, event in enumerate(new)]
    kept = [*old, *added][-KEPT:]
    host.write(HISTORY, "".join(f"{json.dumps(document(event))}\n" for event in kept), 0o600)
    return tuple(added)


def document(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object; `time` is there for people."""
    return {
        "number": event.number,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.time)),
        "event": str(event.kind),
        "name": event.name,
        "mac": event.mac,
        "port_id": event.port_id,
        "row_id": event.row_id,
        "attempt": event.attempt,
        "reason": event.reason,
        "message": event.message,
        "changes": [
            {"field": c.field, "from": c.before or None, "to": c.after or None} for c in event.changes
        ],
    }


def _event(line: str) -> Event | None:
    try:
        item = json.loads(line)
        number, row_id = item["number"], item.get("row_id")
        if type(number) is not int or not 0 < number < 1 << 62 or type(row_id) not in (int, type(None)):
            return None
        changes = tuple(
            FieldChange(str(change["field"]), str(change["from"] or ""), str(change["to"] or ""))
            for change in item.get("changes", ())
        )
        texts = {name: str(item.get(name, "")) for name in _TEXTS}
        return _bounded(Event(number, Kind(item["event"]), row_id=row_id, changes=changes, **texts))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _bounded(event: Event) -> Event:
    """Return an event whose texts are not too long for a file that is written with each event."""
    texts: dict[str, Any] = {name: _short(getattr(event, name)) for name in _TEXTS}
    changes: Sequence[FieldChange] = event.changes[:_CHANGES_MAX]
    changes = [FieldChange(_short(c.field), _short(c.before), _short(c.after)) for c in changes]
    return replace(event, changes=tuple(changes), **texts)


def _short(text: str) -> str:
    return printable(text)[:_TEXT_MAX]
