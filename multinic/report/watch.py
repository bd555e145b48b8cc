"""Show something on a terminal again and again, until Ctrl-C or another signal ends it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable

from rich.console import Console

from multinic.report.layout import console

EVERY = 2.0
"""Seconds from one look to the next."""
# The second screen of a terminal, as pagers use it: what was there before comes back at the end.
_BEGIN, _END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(show: Callable[[Console], object], lost: Callable[[], object]) -> None:
    """Show it every few seconds; at the end the last look stays on the terminal.

    `lost` returns whether nobody sees it any more. Raises what `show` raises, with the terminal as it was.
    """
    frame = ""
    sys.stdout.write(_BEGIN)
    try:
        while not lost():
            frame = _frame(show)
            sys.stdout.write(f"{_HOME}{_fitting(frame)}{_REST_OF_SCREEN}")
            sys.stdout.flush()
            time.sleep(EVERY)
    except KeyboardInterrupt:
        pass  # that is how it ends
    finally:
        sys.stdout.write(_END)
        sys.stdout.flush()
    sys.stdout.write(frame)
    sys.stdout.flush()


def _frame(show: Callable[[Console], object]) -> str:
    """Return what `show` prints now."""
    out = console()
    with out.capture() as captured:
        show(out)
    return captured.get()


def _fitting(frame: str) -> str:
    """Return as many lines as the terminal has, under one that says how to end it."""
    height = max(2, shutil.get_terminal_size().lines)
    lines = [f"{time.strftime('%H:%M:%S')}, every {EVERY:g} s; Ctrl-C ends it", *frame.splitlines()]
    if len(lines) > height:
        lines = [*lines[: height - 1], f"{len(lines) - height + 1} more lines"]
    return "\r\n".join(line + _REST_OF_LINE for line in lines)
