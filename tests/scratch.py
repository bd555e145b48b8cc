"""What tests put on the machine while they run: directories and the like, named after their run.

All of it goes with the run, however that ends: by the end of a block, by a process that reads a pipe from the
tests, or with the process that made it. What is left nevertheless, because the machine was switched off or
something was killed in the middle of removing it, goes when the next run starts. The name says whose it is:
"multinic-test-", the process by namespace and number, and when that started, so that nothing of a run that
lives, and nothing of anybody else's, is touched.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")
NETWORKS = Path("/run/netns")
# Where systemd keeps its own: in a hierarchy of version 1, of version 2 beside it, or of version 2 alone.
CGROUPS = tuple(map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")))
HIERARCHIES = tuple(
    CGROUPS[-1:]
    if (CGROUPS[-1] / "cgroup.procs").exists()
    else sorted(path.parent for path in CGROUPS[-1].glob("*/cgroup.procs"))
)
"""All of them: those that controllers have in version 1, too."""
_MARK = re.compile(r"multinic-test-(\d+)\.(\d+)\.(\d+)-")
END_WITH_TESTS = ("setpriv", "--pdeathsig=KILL")
"""The command to put before one that the kernel is to kill when the tests end, however they end."""
_PR_SET_PDEATHSIG = 1


def mark() -> str:
    """Return how the names of things begin that belong to this process."""
    return f"multinic-test-{_numbers()}.{os.getpid()}.{_started(os.getpid())}-"


@contextmanager
def scratch(what: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a directory. Not pytest's tmp_path: a socket's path has room for 107 characters.

    The number of a server whose files are in there may stand in its file "pid".
    """
    directory = Path(tempfile.mkdtemp(prefix=f"{mark()}{what}-", dir=parent))
    # Removes the directory at the end of its input: at the end of the block, or when the tests are killed.
    keeper = subprocess.Popen(
        ["sh", "-c", 'cat; rm -rf "$1"', "sh", directory], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield directory
    finally:
        keeper.communicate()


@contextmanager
def in_memory(what: str) -> Iterator[Path]:
    """Make a directory that is never written to a disk, where there is one."""
    with scratch(what, MEMORY if MEMORY.is_dir() else None) as directory:
        yield directory


def end_with_parent() -> None:
    """Do the same to this process: let the kernel kill it when the one that forked it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def sweep(*places: Path) -> list[str]:
    """Remove what runs that are dead have left, in these directories too; return what it was."""
    removed = []
    for parent in {Path(tempfile.gettempdir()), MEMORY, *places}:
        for directory in _abandoned(parent):
            _end_server(directory)
            for mounted in _mounts_below(directory):
                subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
            subprocess.run(["rm", "-rf", "--one-file-system", directory], check=False)
            removed.append(str(directory))
    for namespace in _abandoned(NETWORKS):
        for pid in _ip("netns", "pids", namespace.name).split():
            _kill(int(pid))
        _ip("netns", "delete", namespace.name)
        removed.append(str(namespace))
    for hierarchy in {*CGROUPS, *HIERARCHIES}:
        for group in _abandoned(hierarchy):
            remove_cgroup(group)
            removed.append(str(group))
    return removed


def remove_cgroup(group: Path) -> None:
    """Remove a control group, and those below it, of which no process is left."""
    for directory in sorted(group.glob("**/"), reverse=True):
        with suppress(OSError):  # busy for a moment: it costs nothing to leave it
            directory.rmdir()


def _abandoned(parent: Path) -> Iterator[Path]:
    """Yield what is in a directory, belongs to a run that is dead, and is this user's to remove."""
    for path in sorted(parent.glob("multinic-test-*")):
        if not (named := _MARK.match(path.name)):
            continue
        numbers, pid, started = map(int, named.groups())
        with suppress(FileNotFoundError):  # another run removes it, too
            if numbers == _numbers() and _started(pid) != started and path.lstat().st_uid == os.geteuid():
                yield path


def _numbers() -> int:
    """Return the namespace that process numbers are of: a directory may be shared with another container."""
    return os.stat("/proc/self/ns/pid").st_ino


def _started(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 if there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True).stdout


def _end_server(directory: Path) -> None:
    """Kill the server whose number stands in a directory, if a process of that number works in there."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        pid = int((directory / "pid").read_text())
        if os.fsencode(directory) in Path(f"/proc/{pid}/cmdline").read_bytes():
            _kill(pid)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _mounts_below(directory: Path) -> list[str]:
    """Return where something is mounted in a directory, the innermost first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in reversed(places) if Path(place).is_relative_to(directory)]
