"""The sign of life that the loop gives, and nobody else: for /livez, and for systemd's watchdog."""

from __future__ import annotations

import time

from multinic.host.notify import Supervisor

WAITING = 60.0
"""Seconds that the loop may be silent while it waits: it wakes up more often than that."""
APPLYING = 600.0
"""The same from one change of the host to the next, as long as a pass changes something."""


class Heart:
    """When the loop last showed that it lives, on a clock that nobody sets.

    One thread beats, others look: they see the time and the limit of one beat together.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._last = (time.monotonic(), WAITING)

    def beat(self, limit: float) -> None:
        """Show that the loop lives; the next beat comes within `limit` seconds."""
        self._last = (time.monotonic(), limit)
        self._supervisor.alive(limit)

    @property
    def alive(self) -> bool:
        """Whether the last beat is not older than it may be."""
        at, limit = self._last
        return time.monotonic() - at < limit
