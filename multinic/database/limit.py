"""An end to every wait for a database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from multinic.values.errors import SourceError
from multinic.values.settings import DatabaseSettings


class Limit:
    """The time for one exchange: a login, a statement with its answer, or a transaction.

    It counts from the start of the exchange, not from one byte to the next: a proxy that lets a byte
    through now and then would hold us for ever. The code that waits asks before each wait how much time
    is left; no signal is needed, which only the main thread gets. The first exchange begins at once.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.seconds = settings.connect_timeout + settings.read_timeout
        self.end = time.monotonic() + self.seconds
        """The end of this exchange, on the clock of time.monotonic."""
        self._begun = False

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Begin an exchange, unless the block belongs to one that has begun."""
        if self._begun:
            yield
            return
        self._begun, self.end = True, time.monotonic() + self.seconds
        try:
            yield
        finally:
            self._begun = False

    def left(self) -> float:
        """Return how many seconds are left. Raises SourceError when none are."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise self.over()
        return left

    def over(self) -> SourceError:
        """Return the error for an exchange that took too long."""
        return SourceError(
            f"the database did not answer within {self.seconds:g} s",
            "look at it, and at what is in between",
        )
