"""How other nodes fared with the same kind of change, for the fleet brake; and the release of the brake."""

from __future__ import annotations

from collections.abc import Collection

from multinic.database.connection import Missing
from multinic.database.session import Session
from multinic.database.status import cut, is_denied
from multinic.database.tables import EVENT, RELEASE
from multinic.values.errors import SourceRejected
from multinic.values.history import Peer

WINDOW = 600
"""Seconds: what happened before these does not count any more."""
NEWEST = 500
"""So many of the newest attempts of each kind are read: a large fleet has more, and they say no more."""

_NOW = {"mysql": "UTC_TIMESTAMP()", "sqlite": "CURRENT_TIMESTAMP"}
_SINCE = {
    "mysql": f"UTC_TIMESTAMP() - INTERVAL {WINDOW} SECOND",
    "sqlite": f"datetime('now', '-{WINDOW} seconds')",
}


def attempts(database: Session, node: str, wanted: Collection[str]) -> list[Peer]:
    """Return what nodes other than this one tried in the last ten minutes and since the last release.

    Of these kinds of change, the newest first; nothing without our tables. Raises SourceError.
    """
    mark = database.placeholder
    released = f"COALESCE((SELECT MAX(at) FROM {RELEASE}), '2000-01-01 00:00:00')"  # noqa: S608
    of_one = (
        f"SELECT * FROM (SELECT node, mac, attempt, fields, kind FROM {EVENT} WHERE attempt = {mark} "  # noqa: S608
        f"AND at >= {_SINCE[database.product]} AND at > {released} AND node <> {mark} "
        f"ORDER BY at DESC, id DESC LIMIT {NEWEST}) AS newest"
    )
    try:
        _, rows, _ = database.execute(
            " UNION ALL ".join([of_one] * len(wanted)),
            [value for kind in sorted(wanted) for value in (kind, cut("node", node))],
        )
    except Missing:
        return []
    except SourceRejected as e:
        if is_denied(e):
            return []
        raise
    return [
        Peer(str(name), str(mac), str(attempt), frozenset(str(fields).split()), str(kind))
        for name, mac, attempt, fields, kind in rows
    ]


def release(database: Session, by_whom: str) -> None:
    """Let what failed until now not count any more. Raises Missing and SourceError."""
    text = f"INSERT INTO {RELEASE} (at, by_whom) VALUES ({_NOW[database.product]}, {database.placeholder})"  # noqa: S608
    database.execute(text, (cut("by_whom", by_whom),))
