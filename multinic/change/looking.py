"""When to look again whether a change is done: after the kernel has announced something of it, or a while."""

from __future__ import annotations

import time
from collections.abc import Iterable

from multinic.kernel.announced import Announcements, Interest
from multinic.values.plan import Interface

_FIRST, _LONGEST = 0.01, 0.25
"""Seconds from one look to the next: what the kernel does not announce, a kernel variable or a file, is seen
then. The first is short because most changes are done when they were made.
"""


class Looks:
    """The looks at the links of a change."""

    def __init__(self, interfaces: Iterable[Interface]) -> None:
        links = {interface.link.index for interface in interfaces if interface.link}
        self._of_interest = Interest((), links, (), ())
        self._announcements: Announcements | None = None
        self._begun, self._pause = 0.0, _FIRST

    def __enter__(self) -> Looks:
        try:
            self._announcements = Announcements()
        except OSError:  # before Linux 5.3
            self._announcements = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._announcements is not None:
            self._announcements.close()

    def begin(self) -> None:
        """Begin a look: it sees all that was announced until now."""
        self._begun = time.monotonic()
        if self._announcements is not None:
            self._announcements.have(self._of_interest)

    def wait(self, end: float) -> None:
        """Wait for the next look, at most until `end` (of time.monotonic).

        At least as long as the last look took, if there is time for it: a network service that works on a
        change announces something all the time, and needs the processor itself.
        """
        now = time.monotonic()
        pause = max(0.0, min(self._pause, end - now))
        at_least = min(now - self._begun, pause)
        time.sleep(at_least if self._announcements is not None else pause)
        if self._announcements is not None:
            self._announcements.wait(self._of_interest, pause - at_least)
        self._pause = min(2 * self._pause, _LONGEST)
