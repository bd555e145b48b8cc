"""The embedded database: one file, for one machine, labs and tests."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from multinic.database.connection import ANSWER_MAX, Connection, Found, Missing, joins, too_much
from multinic.database.dial import Allowed
from multinic.database.limit import Limit
from multinic.database.session import Session
from multinic.values.errors import ConfigError, SourceError, SourceRejected
from multinic.values.settings import DatabaseSettings
from multinic.values.text import printable

_VIEWS = """SELECT name FROM sqlite_master
WHERE type = 'view' AND lower(name) IN ('multi_interface', 'multi_subnet', 'node_table')"""
_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock: about a tenth of a millisecond."""


def path_of(url: str) -> str:
    """Return the file of `sqlite:///relative` or `sqlite:////absolute`. Raises ConfigError."""
    if not url.startswith("sqlite:///") or len(url) == len("sqlite:///"):
        raise ConfigError(
            "database.url: an SQLite URL has three slashes and a path",
            "for an absolute path write sqlite:////var/lib/multinic/multinic.db",
        )
    return url.removeprefix("sqlite:///")


def connect(settings: DatabaseSettings, *, create: bool = False) -> Session:
    """Open the file; a missing one is an unreachable database unless `create`. Raises SourceError."""
    return Session([partial(_open, settings, create=create)], placeholder="?", product="sqlite")


def _open(settings: DatabaseSettings, _: Allowed, *, create: bool) -> Connection:
    """Two waits have an end: for a lock `read_timeout`, for a statement the limit. A file on a network
    file system whose server is gone has none: the kernel lets no read of it be given up.
    """
    path = path_of(settings.url)
    mode = "rwc" if create else "rw" if os.access(path, os.W_OK) else "ro"
    from urllib.parse import quote  # only SQLite needs it

    if create and not os.path.lexists(path):
        _create(path)
    try:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode={mode}", uri=True, timeout=settings.read_timeout, isolation_level=None
        )
        connection.text_factory = _text  # one row with bytes that are no text must not hide all others
        if sys.version_info >= (3, 11):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, ANSWER_MAX)
        connection.execute("PRAGMA foreign_keys = ON")
        # Views and triggers are programs of those who may write the file: they call no function with effects.
        connection.execute("PRAGMA trusted_schema = OFF")
        views = connection.execute(_VIEWS).fetchall()
    except sqlite3.Error as e:
        hint = "create it with `multinic db init`" if not os.path.exists(path) else ""
        raise _unopened(e, path, hint) from None
    where = f"sqlite {path}"
    if views:
        connection.close()
        raise SourceRejected(f"{where}: {views[0][0]} is a view", "make it a table: multinic reads no views")
    limit = Limit(settings)

    def execute(statement: str, parameters: Sequence[Any]) -> Found:
        try:
            with limit.exchange():
                # Made of C functions only: SQLite would swallow what a signal handler raises in one of ours.
                over = map(limit.end.__lt__, iter(time.monotonic, None)).__next__
                connection.set_progress_handler(over, _STEPS)
                cursor = connection.execute(statement, tuple(parameters))
                return [item[0] for item in cursor.description or ()], _all(cursor, where), cursor.rowcount
        except sqlite3.Error as e:
            if str(e) == "interrupted":
                raise limit.over() from None
            raise _translated(e, where, path) from None

    @contextmanager
    def transaction() -> Iterator[None]:
        with limit.exchange():
            execute("BEGIN IMMEDIATE", ())
            try:
                yield
            except BaseException:
                connection.rollback()
                raise
            execute("COMMIT", ())

    return Connection(execute=execute, close=connection.close, transaction=transaction, where=where)


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


def _create(path: str) -> None:
    """Create an empty file that only its owner reads and writes. Raises SourceError."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as e:
        raise SourceError(f"cannot create the database {path}: {e.strerror}") from None


def _unopened(error: sqlite3.Error, path: str, hint: str) -> Exception:
    """Return the error of a file that could not be opened; one that was opened has a fault of its own."""
    if "unable to open" in str(error) or hint:
        return SourceError(f"cannot open the database {path}: {error}", hint)
    return _translated(error, f"sqlite {path}", path)


def _holders(path: str) -> str:
    """Return which processes hold a lock of a file, as the kernel lists them; "" for none that is seen."""
    found = []
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks", encoding="ascii") as locks:
            for words in map(str.split, locks):
                if len(words) > 5 and words[5].rpartition(":")[2] == str(inode) and words[4] not in found:
                    found.append(words[4])
    except OSError:
        return ""
    return " and ".join(f"process {number} ({_name_of(number)})" for number in found)


def _name_of(process: str) -> str:
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as stream:
            return printable(stream.read().strip())
    except OSError:
        return "which has just ended"


def _translated(error: sqlite3.Error, where: str, path: str) -> Exception:
    message = str(error)
    if "too big" in message:
        return too_much(where)
    if "is locked" in message and (holders := _holders(path)):
        return SourceError(f"{where}: {message} by {holders}", "it must end its transaction")
    if message.startswith("no such table") or (message.startswith("no such column") and joins(message)):
        return Missing(message)
    if message.startswith("no such column"):
        return SourceRejected(f"{where}: {message}", "this is not the table of the MultiNIC controller")
    if "not a database" in message or "malformed" in message:
        return SourceRejected(f"{where}: {message}", "put back a good copy of the file")
    return SourceError(f"{where}: {message}")
