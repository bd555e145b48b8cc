"""When the next pass is due. Needs no clock of its own, and chance is given: so a test decides both."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

_SOON = 2.0  # seconds to the first of the passes that follow a change
_BUSY = 1.0  # seconds to the first attempt after one that found another run at work
_LONGEST = 120.0  # seconds between two attempts while passes fail, unless the interval is longer
_BURST = 10  # passes that events may start at once: as many as a host has NICs
_REFILL = 3.0  # seconds for each further one


class How(Enum):
    """What a pass left behind, as far as the next one depends on it."""

    SETTLED = "settled"
    UNSETTLED = "unsettled"
    """It changed something, or waits for something that no event announces, such as a lease."""
    BUSY = "busy"
    """Another run was at work."""
    FAILING = "failing"
    """The database could not be read, or an error broke the pass off."""


class Pace:
    """The time from one pass to the next.

    A settled host is looked at every `interval`, or a little sooner: a fleet that was started together
    spreads. An unsettled one soon, then after twice that time, up to the interval: so two programs that undo
    each other's work do it no more often than that. While passes fail, the time doubles from the interval to
    two minutes; half of it is chance, so that a database that comes back is not asked by all hosts at once.
    """

    def __init__(self, interval: float, chance: Callable[[], float] = random.random) -> None:
        self.interval, self._chance = interval, chance
        self._last: How | None = None
        self._step = 0.0

    def after(self, how: How) -> float:
        """Return the seconds to the next pass after one that ended so."""
        first = {How.UNSETTLED: _SOON, How.BUSY: _BUSY}.get(how, self.interval)
        longest = max(self.interval, _LONGEST) if how is How.FAILING else self.interval
        self._step = min(self._step * 2 if how is self._last else first, longest)
        self._last = how
        least = 0.5 if how is How.FAILING else 0.85
        return self._step * (least + (1 - least) * self._chance())


class Allowance:
    """How many passes events may start: some at once, then one after the other at a distance.

    So two programs that undo each other's work, of which we are one, do not keep a host busy.
    """

    def __init__(self, now: float) -> None:
        self._left, self._at = float(_BURST), now

    def take(self, now: float) -> float:
        """Use one pass up, and return the seconds until it may begin; 0: at once."""
        self._left = min(_BURST, self._left + (now - self._at) / _REFILL) - 1
        self._at = now
        return max(0.0, -self._left * _REFILL)
