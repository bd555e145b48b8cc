"""The harness itself: a run that is killed leaves nothing for good, and one that lives is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hosts import eventually
from tests.scratch import END_WITH_TESTS, mark, scratch, sweep

LEAVES = """\
import os, subprocess, sys, tempfile
from pathlib import Path
from tests.scratch import mark
directory = Path(tempfile.mkdtemp(prefix=f"{mark()}server-"))
(directory / "data").write_text("much")
server = subprocess.Popen(["tail", "-f", directory / "data"], stdout=subprocess.DEVNULL)
(directory / "pid").write_text(str(server.pid))
while not Path(f"/proc/{server.pid}/cmdline").read_bytes():
    pass  # it becomes the server just now
print(directory, server.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run() -> Iterator[subprocess.Popen[str]]:
    """A run that has a directory with a server in it, and would not remove either by itself."""
    with subprocess.Popen(
        [sys.executable, "-c", LEAVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as made:
        yield made
        made.kill()


def test_what_a_killed_run_has_left_goes_when_the_next_one_starts(run: subprocess.Popen[str]) -> None:
    assert run.stdout
    directory, server = run.stdout.readline().split()
    sweep()
    assert Path(directory, "data").exists(), "that run is alive"
    os.kill(int(server), 0)
    run.kill()
    run.wait()
    sweep()
    eventually(lambda: not Path(directory).exists())  # another test may have begun with it
    eventually(lambda: is_gone(int(server)))


def test_a_process_that_only_has_the_number_of_a_server_lives_on(run: subprocess.Popen[str]) -> None:
    assert run.stdout
    directory, server = run.stdout.readline().split()
    with subprocess.Popen(["sleep", "600"]) as other:
        Path(directory, "pid").write_text(str(other.pid))
        run.kill()
        run.wait()
        sweep()
        assert other.poll() is None
        other.kill()
    os.kill(int(server), signal.SIGKILL)


def test_a_directory_that_may_be_somebody_elses_stays() -> None:
    _, _, owner, _ = mark().split("-")
    numbers, _, started = owner.split(".")
    dead = 1 << 22  # no process has this number
    of_another_container = f"multinic-test-{int(numbers) + 1}.{dead}.{started}-"
    kept = [
        Path(tempfile.mkdtemp(prefix=name))
        for name in ("multinic-test-", "multinic-test-1-", "multinic-x-", of_another_container, mark())
    ]
    gone = Path(tempfile.mkdtemp(prefix=f"multinic-test-{numbers}.{dead}.{started}-"))
    sweep()
    assert [path.exists() for path in (*kept, gone)] == [True] * len(kept) + [False]
    for path in kept:
        path.rmdir()


def test_a_directory_goes_with_its_block_and_with_the_run() -> None:
    with scratch("x") as directory:
        assert directory.name.startswith(mark())
    assert not directory.exists()
    killed = (
        "import os; from tests.scratch import *; x = scratch(''); print(x.__enter__(), flush=1); os.abort()"
    )
    done = subprocess.run([sys.executable, "-c", killed], check=False, stdout=subprocess.PIPE, text=True)
    eventually(lambda: not Path(done.stdout.strip()).exists())


def test_a_command_ends_with_the_run_that_started_it() -> None:
    start = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    command = [*END_WITH_TESTS, "sh", "-c", "echo $$; exec sleep 600"]
    with subprocess.Popen(
        [sys.executable, "-c", start, *command], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout
        sleeping = int(killed.stdout.readline())
        killed.kill()
    eventually(lambda: is_gone(sleeping))


def is_gone(pid: int) -> bool:
    """Return whether a process has ended; nobody may have waited for it yet."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True
