"""Whether an answer of the database is older than what this host has read before. Pure.

A replica that lags behind, or a database that was restored, shows rows as they were. To go back to them would
make a port come and go. It can be told by `modified_at` of a row, by a row that was gone, and by a new one
that is not there yet. What is refused is believed in the end: `PATIENCE` after the first time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from multinic.values.text import printable

PATIENCE = 600.0
"""Seconds from the first refusal until an older answer is believed: replicas lag for seconds, seldom for
minutes; a database that was restored shall not need a person on every host."""
_ROWS_MAX = 2000  # that are remembered; twice as many as a node may have


@dataclass(frozen=True)
class SeenRow:
    """A row as it was read: `modified` is its `modified_at` as text, "" where there is none."""

    modified: str
    at: float
    """The Unix time when it was first seen, or when it was found gone."""


@dataclass(frozen=True)
class Seen:
    """The newest state of a node's rows that was read, by row id."""

    of: str = ""
    """Which node and which database this is about."""
    where: str = ""
    """The host of the database that said so last."""
    rows: Mapping[str, SeenRow] = field(default_factory=dict)
    gone: Mapping[str, SeenRow] = field(default_factory=dict)
    """Rows that were there, for `PATIENCE` seconds."""
    refused_since: float = 0.0
    """The Unix time since when only older answers came; 0 for never."""


def rows_of(columns: tuple[str, ...], rows: tuple[tuple[Any, ...], ...]) -> dict[str, str]:
    """Return `modified_at` as text by row id; "" where a row has none that can be compared."""
    row_id = columns.index("id")
    modified = columns.index("modified_at") if "modified_at" in columns else None
    return {str(row[row_id]): _text(row[modified]) if modified is not None else "" for row in rows}


def _text(value: Any) -> str:
    """Return a time as text in which an earlier one is smaller."""
    found = "" if value is None else str(value)
    return found if found[:4].isdigit() and found[4:5] == "-" else ""


def older(seen: Seen, rows: Mapping[str, str], where: str, now: float) -> str:
    """Return in words why an answer of the host `where` is older than what was read; "" for no sign of it."""
    if seen.refused_since and now - seen.refused_since >= PATIENCE:
        return ""
    return printable(next(_signs(seen, rows, where, now), ""))


def _signs(seen: Seen, rows: Mapping[str, str], where: str, now: float) -> Iterator[str]:
    for row, modified in rows.items():
        if row in seen.rows and modified and modified < seen.rows[row].modified:
            yield f"row {row} is of {modified} here, and was read as of {seen.rows[row].modified} before"
    if where == seen.where:
        return
    for row, modified in rows.items():
        if row in seen.gone and modified <= seen.gone[row].modified and now - seen.gone[row].at < PATIENCE:
            yield f"row {row} is still here, and was gone at {seen.where or 'another host'}"
    for row, known in seen.rows.items():
        if row not in rows and 0 <= now - known.at < PATIENCE:
            yield f"row {row} is not here yet, and was new at {seen.where or 'another host'}"


def after(seen: Seen, rows: Mapping[str, str], where: str, now: float) -> Seen:
    """Return what is remembered once an answer was believed."""
    kept = {
        row: SeenRow(modified, seen.rows[row].at if row in seen.rows else now)
        for row, modified in rows.items()
    }
    left = {row: SeenRow(known.modified, now) for row, known in seen.rows.items() if row not in rows}
    still = {r: known for r, known in seen.gone.items() if r not in rows and now - known.at < PATIENCE}
    newest = sorted((still | left).items(), key=lambda item: -item[1].at)
    return Seen(seen.of, where, kept, dict(newest[:_ROWS_MAX]))


def modified(seen: Seen, rows: Mapping[str, str]) -> Seen:
    """Return what is remembered once rows were modified by our own report."""
    known = {row: SeenRow(text, seen.rows[row].at) for row, text in rows.items() if row in seen.rows}
    return replace(seen, rows={**seen.rows, **known})
