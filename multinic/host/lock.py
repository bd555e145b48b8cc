"""One run at a time: a lock that ends with the process that holds it and the commands that it started."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from multinic.host.host import Host
from multinic.values.errors import HostError, Locked
from multinic.values.paths import LOCK
from multinic.values.text import printable

_UNSEEN = "a process that cannot be seen from here"


@contextmanager
def only_one(host: Host) -> Iterator[None]:
    """Hold the lock of this host during the block, with the commands that we run.

    Raises Locked, which names the process that holds it.
    """
    words, hint = "another run is busy on this host", "wait for it, or try again later"
    with held(host, LOCK, words, hint) as descriptor:
        host.inherited.add(descriptor)
        try:
            yield
        finally:
            host.inherited.remove(descriptor)


@contextmanager
def held(host: Host, lock: str, words: str, hint: str) -> Iterator[int]:
    """Hold a lock, an open descriptor, during the block.

    Raises Locked, with these words and the process that holds it.
    """
    path = os.path.join(host.directory(os.path.dirname(lock)), os.path.basename(lock))
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
    except OSError as e:
        remedy = "remove the symlink" if e.errno == errno.ELOOP else "run as root"
        raise HostError(f"cannot open the lock {lock}: {e.strerror}", remedy) from e
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise HostError(f"cannot open the lock {lock}: it is not a regular file", "remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"{words}: {_holder(os.fstat(descriptor).st_ino) or _UNSEEN}", hint) from None
        yield descriptor
    finally:
        os.close(descriptor)


def holder(host: Host, lock: str) -> str | None:
    """Return the process that holds a lock, in words; None if none is seen that does. Needs no root."""
    try:
        return _holder(os.lstat(host.path(lock)).st_ino)
    except OSError:
        return None


def _holder(inode: int) -> str | None:
    """Return the process that holds the lock of a file, from the kernel's list of locks."""
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            for line in locks:
                words = line.split()
                if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode) and words[4] != "0":
                    return f"process {words[4]}{_command_of(words[4])}"
    except (OSError, IndexError):
        pass
    return None  # it has just ended, or is in another process namespace


def _command_of(process: str) -> str:
    try:
        with open(f"/proc/{process}/cmdline", encoding="utf-8", errors="replace") as command:
            return f" ({printable(command.read().replace(chr(0), ' ')).strip()})"
    except OSError:
        return ""
