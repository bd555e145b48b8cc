"""The embedded database: one file, for one machine, labs and tests."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from multinic.errors import ConfigError, SourceError, SourceRejected
from multinic.settings import DatabaseSettings
from multinic.source.database import ANSWER_MAX, Database, MissingTable, too_much


def path_of(url: str) -> str:
    """Return the file of `sqlite:///relative` or `sqlite:////absolute`. Raises ConfigError."""
    if not url.startswith("sqlite:///") or len(url) == len("sqlite:///"):
        raise ConfigError(
            "database.url: an SQLite URL has three slashes and a path",
            "for an absolute path write sqlite:////var/lib/multinic/multinic.db",
        )
    return url.removeprefix("sqlite:///")


def connect(settings: DatabaseSettings, *, create: bool = False) -> Database:
    """Open the file; a missing one is an unreachable database unless `create`. Raises SourceError."""
    path = path_of(settings.url)
    mode = "rwc" if create else "rw" if os.access(path, os.W_OK) else "ro"
    from urllib.parse import quote  # only SQLite needs it

    try:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode={mode}", uri=True, timeout=settings.read_timeout, isolation_level=None
        )
        connection.text_factory = _text  # one row with bytes that are no text must not hide all others
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as e:
        hint = "create it with `multinic db init`" if not os.path.exists(path) else ""
        raise SourceError(f"cannot open the database {path}: {e}", hint) from None
    where = f"sqlite {path}"

    def execute(statement: str, parameters: Sequence[Any]) -> tuple[list[str], Iterable[Sequence[Any]], int]:
        try:
            cursor = connection.execute(statement, tuple(parameters))
            return [item[0] for item in cursor.description or ()], _all(cursor, where), cursor.rowcount
        except sqlite3.Error as e:
            raise _translated(e, where) from None

    @contextmanager
    def transaction() -> Iterator[None]:
        execute("BEGIN IMMEDIATE", ())
        try:
            yield
        except BaseException:
            connection.rollback()
            raise
        execute("COMMIT", ())

    return Database(
        execute=execute,
        close=connection.close,
        transaction=transaction,
        placeholder="?",
        product="sqlite",
        where=where,
    )


def _all(cursor: sqlite3.Cursor, where: str) -> list[Sequence[Any]]:
    rows: list[Sequence[Any]] = []
    size = 0
    for row in cursor:
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > ANSWER_MAX:
            raise too_much(where)
        rows.append(row)
    return rows


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _translated(error: sqlite3.Error, where: str) -> Exception:
    message = str(error)
    if message.startswith("no such table"):
        return MissingTable(message)
    if message.startswith("no such column"):
        return SourceRejected(f"{where}: {message}", "this is not the table of the MultiNIC controller")
    if "not a database" in message or "malformed" in message:
        return SourceRejected(f"{where}: {message}", "put back a good copy of the file")
    return SourceError(f"{where}: {message}")
