"""How a run ends when it is told to (SIGTERM, SIGHUP, SIGINT): in order, with nothing left half done.

A signal becomes an exception wherever the run is, so that what is half done is put back on the way
out. Putting back, and what must be done as a whole, happens inside `uninterrupted`: there a signal
waits. Only the first one counts.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass
class _Waiting:
    """What the handler and `uninterrupted` tell each other."""

    depth: int = 0
    signal: int = 0


_waiting = _Waiting()


def in_order() -> None:
    """Let the first of these signals end the process once nothing is half done, and ignore the rest."""
    for number in _SIGNALS:
        signal.signal(number, _end)


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
