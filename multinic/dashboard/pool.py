"""Few threads that ask the database, each with a connection of its own; who comes when all are busy waits.

One connection belongs to one thread: SQLite wants that, and PyMySQL needs no lock then.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from multinic.database import source
from multinic.database.session import Session
from multinic.values.errors import SourceError
from multinic.values.settings import DatabaseSettings

T = TypeVar("T")
THREADS = 4
"""Connections at most. Two cores are busy with that, and a thousand dashboards are no load for a server."""
WAITING_MAX = 64
"""How many requests may wait for a thread; the next one is answered with 503, and when to try again."""

# What makes a connection one that only reads, and ends a statement on the server when nobody waits any more.
# The words in comments are each for one product: MariaDB's, MySQL's since 8.0.
_READ_ONLY = {
    "mysql": (
        "SET SESSION TRANSACTION READ ONLY",
        "SET @multinic = 0 /*M!100100 , max_statement_time = {seconds} */"
        " /*!80000 , max_execution_time = {seconds}000 */",
    ),
    "sqlite": ("PRAGMA query_only = ON",),
}


class Busy(Exception):
    """Too many wait for the database already."""


class Pool:
    """Threads with connections."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
        self._own = threading.local()
        self._waiting = 0
        self.reads = 0
        """How often the database was asked for a page, for metrics."""

    async def ask(self, use: Callable[[Session], T]) -> T:
        """Do something with a session, in one of the threads; twice if the connection broke.

        Raises Busy, and what `use` and connecting raise: Missing, ConfigError, SourceError.
        """
        if self._waiting >= WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_session, use)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let no more begin; what runs has its own limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _with_session(self, use: Callable[[Session], T]) -> T:
        session: Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = source.connect(self._settings)
        self.reads += 1
        try:
            return session.carry_out(lambda: self._reading(session, use))
        except SourceError:
            self._own.session = None
            session.close()
            raise

    def _reading(self, session: Session, use: Callable[[Session], T]) -> T:
        if session.connection is not getattr(self._own, "connection", None):
            for text in _READ_ONLY[session.product]:
                session.execute(text.format(seconds=max(1, round(self._settings.read_timeout))), ())
            self._own.connection = session.connection
        return use(session)
