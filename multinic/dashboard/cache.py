"""What was asked a moment ago: however many look at a page, the database is asked once in a few seconds."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, NamedTuple

KEPT = 256
"""So many answers at most."""


class _Asked(NamedTuple):
    until: float
    answer: asyncio.Task[Any]


class Cache:
    """Answers, and refusals, by question."""

    def __init__(self) -> None:
        self._asked: OrderedDict[Hashable, _Asked] = OrderedDict()

    async def ask(self, question: Hashable, seconds: float, use: Callable[[], Awaitable[Any]]) -> Any:
        """Return what `use` gives, or gave less than so many seconds ago; raises what it raises or raised.

        Who asks while it is being found out waits for the same answer, also if the first one goes away.
        """
        known = self._asked.get(question)
        if known is None or (known.answer.done() and known.until < time.monotonic()):
            known = self._asked[question] = _Asked(time.monotonic() + seconds, asyncio.ensure_future(use()))
            known.answer.add_done_callback(_look_at)
        self._asked.move_to_end(question)
        while len(self._asked) > KEPT:
            self._asked.popitem(last=False)
        return await asyncio.shield(known.answer)


def _look_at(answer: asyncio.Task[Any]) -> None:
    """Look at an error that nobody waits for any more: asyncio would print it with its traceback."""
    if not answer.cancelled():
        answer.exception()
