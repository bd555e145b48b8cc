"""An end to every wait for a database."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from multinic.errors import SourceError
from multinic.settings import DatabaseSettings


@contextmanager
def deadline(settings: DatabaseSettings) -> Iterator[None]:
    """End the block when a server that is worth waiting for would have answered. Raises SourceError.

    The timeouts of a connection count from one byte to the next; a proxy that lets a byte through
    now and then would hold us for ever. Only in the main thread, where signals arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    limit = settings.connect_timeout + settings.read_timeout

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
