"""End a run in order when a signal asks for it (SIGTERM, SIGHUP, SIGINT), with nothing left half done.

A signal raises an exception wherever the run is, so that a change that is half done is undone on the
way out. Undoing it, and any step that must not be cut in two, runs inside `uninterrupted`: there a
signal waits. Only the first signal counts.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class _Waiting:
    """What the signal handler and `uninterrupted` share: nested blocks, and the signal that waits."""

    depth = 0
    signal = 0


_waiting = _Waiting()


def in_order(on_hangup: Callable[[], object] | None = None) -> None:
    """Let the first of these signals end the process in order, and ignore those that follow.

    `on_hangup` is called for SIGHUP instead, which then ends nothing.
    """
    for number in _SIGNALS:
        signal.signal(number, _end)
    if on_hangup is not None:
        signal.signal(signal.SIGHUP, lambda _number, _frame: on_hangup())


def _end(number: int, _: object) -> None:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    _waiting.signal = number
    if not _waiting.depth:
        _raise()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a signal that comes during the block wait until its end."""
    _waiting.depth += 1
    try:
        yield
    finally:
        _waiting.depth -= 1
        if _waiting.signal and not _waiting.depth:
            _raise()


def _raise() -> NoReturn:
    number, _waiting.signal = _waiting.signal, 0
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
