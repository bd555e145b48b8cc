"""Run a command on a terminal of its own and print every byte that it wrote there, then end with its status.

    python tests/terminal.py multinic plan

A program like others, so that it can run inside a namespace or a booted host.
"""

from __future__ import annotations

import os
import pty
import re
import sys
import termios

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""The only sequences that may reach a terminal: colours and their end."""

ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "200"}
"""Says what the terminal can."""


def acting(text: str) -> list[str]:
    """Return what in an output acts on a terminal: what is not printable, and no colour or line end."""
    return [sign for sign in COLOURS.sub("", text) if not sign.isprintable() and sign != "\n"]


def opened() -> tuple[int, int]:
    """Return a new terminal: where what is written is read, and where a program writes."""
    screen, writing = os.openpty()
    _keep_line_ends(writing)
    return screen, writing


def _keep_line_ends(terminal: int) -> None:
    """Put no \\r before a \\n: what is read is what was written."""
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def read(screen: int) -> bytes:
    """Return what was written next; b"" once nothing will be."""
    try:
        return os.read(screen, 65536)
    except OSError:  # the terminal's other side is closed
        return b""


def main() -> None:
    child, screen = pty.fork()
    if child == 0:
        _keep_line_ends(1)
        os.environ.pop("NO_COLOR", None)
        os.environ.update(ENVIRONMENT)
        os.execvp(sys.argv[1], sys.argv[1:])
    while found := read(screen):
        os.write(1, found)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
