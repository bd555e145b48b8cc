"""The statements that write to our own tables, for one node and no other; on MySQL and SQLite alike.

Values are always parameters. A row is found by its key alone, so that hosts do not wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from multinic.database.connection import Missing
from multinic.database.session import Session
from multinic.database.tables import EVENT, INTERFACE, LENGTHS, NODE, OURS
from multinic.values.errors import SourceRejected
from multinic.values.history import Event
from multinic.values.text import printable

KEPT = 100
"""So many of a node's newest events are kept, and no older ones are sent."""
_AT_ONCE = 50
"""Rows in one INSERT: SQLite may take no more than 999 parameters."""

Values = Mapping[str, Any]
"""Column → value."""

# The time of the database's clock, and some seconds before it.
NOW = {"mysql": "UTC_TIMESTAMP()", "sqlite": "CURRENT_TIMESTAMP"}
AGO = {
    "mysql": "UTC_TIMESTAMP() - INTERVAL {} SECOND",
    "sqlite": "datetime('now', '-' || {} || ' seconds')",
}
_NEW = {"mysql": "VALUES({})", "sqlite": "excluded.{}"}
_ON_CONFLICT = {
    "mysql": "ON DUPLICATE KEY UPDATE {assignments}",
    "sqlite": "ON CONFLICT ({key}) DO UPDATE SET {assignments}",
}
_IGNORE = {"mysql": "INSERT IGNORE", "sqlite": "INSERT OR IGNORE"}
_AGE_MAX = 10 * 365 * 86400  # seconds: an event that seems older is from a clock that was wrong


class Known(NamedTuple):
    """What the database has of one node."""

    keys: frozenset[str]
    """The keys of its interfaces."""
    through: int
    """The number of its newest event."""


class News(NamedTuple):
    """What is to be written of one node."""

    node: Values
    interfaces: Mapping[str, Values]
    """By key: those that changed."""
    gone: Sequence[str]
    """The keys of those that are no more."""
    events: Sequence[Event]
    now: float
    """Unix time of this host, from which the age of an event follows."""


def known(database: Session, node: str) -> Known | None:
    """Return what the database has of a node; None without our tables. Raises SourceError.

    A user who may not read them has not been given them: that is the same as none.
    """
    mark = database.placeholder
    text = (
        f"SELECT interface_key, 0 FROM {INTERFACE} WHERE node = {mark} "  # noqa: S608
        f"UNION ALL SELECT '', MAX(number) FROM {EVENT} WHERE node = {mark}"
    )
    try:
        _, rows, _ = database.execute(text, (cut("node", node),) * 2)
    except Missing:
        return None
    except SourceRejected as e:
        if is_denied(e):
            return None
        raise
    found = [(str(key), int(number or 0)) for key, number in rows]
    return Known(frozenset(key for key, _ in found if key), max((number for _, number in found), default=0))


def is_denied(error: SourceRejected) -> bool:
    """Return whether the server says that this user may not use one of our tables."""
    return "denied" in str(error) and any(table in str(error) for table in OURS)


def beat(database: Session, node: str) -> bool:
    """Write a sign of life; return False if the node has no row. Raises Missing and SourceError."""
    text = f"UPDATE {NODE} SET last_seen = {NOW[database.product]} WHERE node = {database.placeholder}"  # noqa: S608
    return database.execute(text, (cut("node", node),))[2] > 0


def write(database: Session, node: str, news: News) -> None:
    """Write news of a node, all or nothing; twice is the same as once. Raises Missing and SourceError."""
    node = cut("node", node)
    with database.transaction():
        _put(database, NODE, {"node": node}, [news.node], seen=True, since="last_result")
        if news.interfaces:
            rows = [{"interface_key": key, **values} for key, values in sorted(news.interfaces.items())]
            _put(database, INTERFACE, {"node": node}, rows, since="state")
        for key in news.gone:
            condition = f"node = {database.placeholder} AND interface_key = {database.placeholder}"
            database.execute(
                f"DELETE FROM {INTERFACE} WHERE {condition}",  # noqa: S608
                (node, cut("interface_key", key)),
            )
        if news.events:
            _add_events(database, node, news.events[-KEPT:], news.now)


def withdraw(database: Session, node: str, events: Sequence[Event], now: float) -> None:
    """Remove the rows of a node and of its interfaces; its events stay, and these are added last.

    Raises Missing and SourceError.
    """
    with database.transaction():
        if events:
            _add_events(database, cut("node", node), events[-KEPT:], now)
        for table in (INTERFACE, NODE):
            text = f"DELETE FROM {table} WHERE node = {database.placeholder}"  # noqa: S608
            database.execute(text, (cut("node", node),))


def cut(column: str, value: Any) -> Any:
    """Return a value that the column takes: a text without control characters, cut at a whole character."""
    return printable(value)[: LENGTHS[column]] if isinstance(value, str) else value


def _put(
    database: Session,
    table: str,
    key: Values,
    rows: Sequence[Values],
    *,
    since: str,
    seen: bool = False,
) -> None:
    """Insert rows, or change those that are there. All have the same columns.

    `since` is the column whose change moves the time of the same name; `seen`: the table has `last_seen`.
    """
    now = NOW[database.product]
    columns = [*key, *rows[0]]
    times = ["since", "changed", *(["last_seen"] if seen else [])]
    new = _NEW[database.product].format
    same = f"{table}.{since} = {new(since)}"
    # First of all: MySQL assigns from left to right, and what follows gives the column its new value.
    assignments = [f"since = CASE WHEN {same} THEN {table}.since ELSE {new('since')} END"]
    assignments += [f"{name} = {new(name)}" for name in (*rows[0], *times[1:]) if name != "interface_key"]
    unique = "node, interface_key" if "interface_key" in columns else "node"
    end = _ON_CONFLICT[database.product].format(key=unique, assignments=", ".join(assignments))
    marks = ", ".join([database.placeholder] * len(columns) + [now] * len(times))
    for some in _chunks(rows):
        values = [cut(name, value) for row in some for name, value in {**key, **row}.items()]
        text = f"INSERT INTO {table} ({', '.join([*columns, *times])}) VALUES "  # noqa: S608
        database.execute(f"{text}{', '.join([f'({marks})'] * len(some))} {end}", values)


_OF_EVENT = (
    *("node", "number", "kind", "attempt", "fields", "row_id"),
    *("port_id", "name", "mac", "reason", "message", "changes"),
)


def _add_events(database: Session, node: str, events: Sequence[Event], now: float) -> None:
    """Add events that are not there yet, and drop all but the newest."""
    mark = database.placeholder
    at = AGO[database.product].format(mark)
    marks = f"({', '.join([mark] * len(_OF_EVENT))}, {at})"
    for some in _chunks(events):
        values = [value for event in some for value in _of_event(node, event, now)]
        database.execute(
            f"{_IGNORE[database.product]} INTO {EVENT} ({', '.join(_OF_EVENT)}, at) VALUES "
            + ", ".join([marks] * len(some)),
            values,
        )
    # In two statements: MySQL does not delete from a table that a subquery reads.
    text = f"SELECT number FROM {EVENT} WHERE node = {mark} ORDER BY number DESC LIMIT 1 OFFSET {KEPT}"  # noqa: S608
    for (number,) in list(database.execute(text, (node,))[1]):
        database.execute(f"DELETE FROM {EVENT} WHERE node = {mark} AND number <= {mark}", (node, number))  # noqa: S608


def _of_event(node: str, event: Event, now: float) -> list[Any]:
    found: dict[str, Any] = {
        "node": node,
        "number": event.number,
        "kind": str(event.kind),
        "attempt": event.attempt,
        "fields": " ".join(event.fields),
        "row_id": event.row_id,
        "port_id": event.port_id,
        "name": event.name,
        "mac": event.mac,
        "reason": event.reason,
        "message": event.message,
        "changes": changes_text(event),
    }
    age = round(min(max(now - event.time, 0), _AGE_MAX))
    return [*(cut(column, found[column]) for column in _OF_EVENT), age]


def changes_text(event: Event) -> str:
    """Return the changes as a JSON array that the column takes whole, without the last ones if need be."""
    items = [{"field": c.field, "from": c.before or None, "to": c.after or None} for c in event.changes]
    while len(text := json.dumps(items)) > LENGTHS["changes"]:
        items = items[: len(items) // 2]
    return text if items else ""


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE))
