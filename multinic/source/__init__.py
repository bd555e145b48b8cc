"""Where the desired state comes from: MySQL/MariaDB or SQLite, the same queries on both."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from multinic.config import DatabaseSettings
from multinic.errors import ConfigError, SourceError
from multinic.source.database import Database


@contextmanager
def deadline(settings: DatabaseSettings) -> Iterator[None]:
    """End the block when a database that is worth waiting for would have answered. Raises SourceError.

    The timeouts of a connection count from one byte to the next; a proxy that lets a byte through
    now and then would hold us for ever. Only in the main thread, where signals arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hosts = settings.url.count(",") + 1
    limit = hosts * (settings.connect_timeout + settings.read_timeout)

    def end(*_: object) -> None:
        raise SourceError(
            f"the database did not answer within {limit:g} s",
            "look at it, and at what is in between",
        )

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def connect(settings: DatabaseSettings) -> Database:
    """Return an open database.

    Raises ConfigError for a URL that cannot be meant, SourceError when nothing answers and
    SourceRejected when the answer is no.
    """
    scheme = settings.url.partition(":")[0]
    if scheme == "mysql":
        from multinic.source import mysql  # one of the two is needed

        return mysql.connect(settings)
    if scheme == "sqlite":
        from multinic.source import sqlite

        return sqlite.connect(settings)
    if not settings.url:
        raise ConfigError(
            "no database is configured",
            "set database.url in /etc/multinic/multinic.toml, or MULTINIC_DATABASE_URL, or --database-url",
        )
    raise ConfigError(
        "database.url is neither of MySQL nor of SQLite",
        "use mysql://user@host:3306/multinic or sqlite:////var/lib/multinic/multinic.db",
    )
