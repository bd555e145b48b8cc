"""`status --watch`: it follows what happens, and leaves the terminal as it was, whatever ends it."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time

import pytest

from tests import terminal

BEGIN, END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
MOVES = re.compile(r"\x1b\[(\?1049[hl]|\?25[hl]|[HKJ])|\r")


class Watched:
    """`status --watch` on a terminal of its own."""

    def __init__(self, node):
        self.screen, writing = terminal.opened()
        self.text = ""
        environment = node.environment(terminal.ENVIRONMENT)
        environment.pop("NO_COLOR")
        command = node.command("status", "--watch")
        streams = {"stdin": writing, "stdout": writing, "stderr": subprocess.STDOUT}
        self.process = node.namespace.popen(*command, env=environment, **streams)
        os.close(writing)

    def until(self, words, times=1):
        end = time.monotonic() + 60
        while self.text.count(words) < times:
            assert time.monotonic() < end, f"{words!r} never came: {self.text[-2000:]!r}"
            if select.select([self.screen], [], [], 1)[0]:
                self.text += terminal.read(self.screen).decode()

    def ended(self):
        """Return the exit status, and what is left on the screen that was there before."""
        while found := terminal.read(self.screen):
            self.text += found.decode()
        os.close(self.screen)
        return self.process.wait(timeout=60), self.text.rpartition(END)[2]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_follows_what_happens_and_leaves_the_terminal_as_it_was(converged, number, status):
    node = converged(1)
    watched = Watched(node)
    watched.until("multinic0")
    assert watched.text.startswith(BEGIN)
    node.ip("link", "set", "multinic0", "down")
    watched.until("the link is down")
    watched.process.send_signal(number)
    ended, left = watched.ended()
    assert ended == status
    assert (watched.text.count(BEGIN), watched.text.count(END)) == (1, 1)
    assert "Traceback" not in watched.text
    assert terminal.acting(MOVES.sub("", watched.text)) == []
    assert ("the link is down" in left) is (status == 0)


def test_without_a_terminal_it_says_so(converged):
    node = converged(1)
    assert "terminal" in node.multinic("status", "--watch", expect=2).stderr
