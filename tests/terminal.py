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


def acting(text: str) -> list[str]:
    """Return what in an output acts on a terminal: what is not printable, and no colour or line end."""
    return [sign for sign in COLOURS.sub("", text) if not sign.isprintable() and sign != "\n"]


def main() -> None:
    child, terminal = pty.fork()
    if child == 0:
        # No \r before \n: what is read is what was written.
        attributes = termios.tcgetattr(1)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(1, termios.TCSANOW, attributes)
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "200"})
        os.execvp(sys.argv[1], sys.argv[1:])
    while True:
        try:
            found = os.read(terminal, 65536)
        except OSError:  # the terminal's other side is closed
            break
        if not found:
            break
        os.write(1, found)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
