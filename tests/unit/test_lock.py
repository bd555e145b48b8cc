"""One run at a time: the second is told who holds the lock, and the lock dies with its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from multinic.host.host import Host
from multinic.host.lock import only_one
from multinic.values.errors import Exit, HostError, Locked
from tests.hosts import eventually

HOLD = """\
import subprocess, sys
from multinic.host.host import Host
from multinic.host.lock import only_one
with only_one(Host(sys.argv[1])):
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


@contextmanager
def another_run(host: Host) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock in a process that has a child, as a run that waits for a command does."""
    command = [sys.executable, "-c", HOLD, host.root, "a\x1b[2Jb"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            yield holder
        finally:
            holder.kill()
            os.kill(child, signal.SIGKILL)


def test_a_second_run_is_told_who_is_busy(host: Host) -> None:
    with another_run(host) as holder, pytest.raises(Locked) as busy, only_one(host):
        raise AssertionError("two at a time")
    assert f"process {holder.pid} (" in str(busy.value)
    assert "-c" in str(busy.value)
    assert str(busy.value).isprintable()
    assert busy.value.exit is Exit.RETRY == 75


def test_the_lock_dies_with_its_holder_however_that_ends(host: Host) -> None:
    with another_run(host) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with only_one(host):  # although the killed run's child still lives
            pass


def test_a_command_that_outlives_its_run_keeps_the_lock(host: Host, tmp_path: Path) -> None:
    done = tmp_path / "done"
    script = "from multinic.host.host import Host\nfrom multinic.host.lock import only_one\n"
    script += f"host = Host({host.root!r})\nwith only_one(host):\n"
    wait = f"until [ -e {done} ] || [ ! -d {tmp_path} ]; do sleep 0.01; done"
    script += f"    host.run('sh', '-c', {wait!r})\n"
    with subprocess.Popen([sys.executable, "-c", script]) as run:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        child = Path("/proc", eventually(lambda: children.read_text().split())[0])
        eventually(lambda: b"until" in (child / "cmdline").read_bytes())
        run.kill()
    with pytest.raises(Locked), only_one(host):
        raise AssertionError("beside what the killed run has started")
    done.touch()
    eventually(lambda: not child.exists())
    with only_one(host):
        pass


def test_the_lock_is_free_after_the_block_also_after_an_error(host: Host) -> None:
    with pytest.raises(ZeroDivisionError), only_one(host):
        raise ZeroDivisionError
    with only_one(host):
        pass


def test_two_hosts_do_not_wait_for_each_other(host: Host, tmp_path: Path) -> None:
    with only_one(host), only_one(Host(str(tmp_path / "other"))):
        pass


def test_a_symlink_in_the_place_of_the_lock_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "run/multinic").mkdir(parents=True)
    (tmp_path / "run/multinic/lock").symlink_to(tmp_path / "target")
    with pytest.raises(HostError, match="cannot open the lock /run/multinic/lock"), only_one(host):
        pass
    assert not (tmp_path / "target").exists()
