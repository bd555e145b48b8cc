"""One run at a time: a lock that dies with its holder."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from multinic.errors import HostError, Locked
from multinic.host import Host
from multinic.paths import LOCK
from multinic.text import printable


@contextmanager
def only_one(host: Host) -> Iterator[None]:
    """Hold the lock of this host during the block. Raises Locked, which says who holds it."""
    path = os.path.join(host.directory(os.path.dirname(LOCK)), os.path.basename(LOCK))
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
    except OSError as e:
        hint = "remove the symlink" if e.errno == errno.ELOOP else "run as root"
        raise HostError(f"cannot open the lock {LOCK}: {e.strerror}", hint) from e
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise HostError(f"cannot open the lock {LOCK}: it is no regular file", "remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                f"another run is busy on this host: {_holder(descriptor)}", "wait for it, or try again later"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    """Return who holds the lock, from the kernel's own list: nothing has to be written for it."""
    inode = os.fstat(descriptor).st_ino
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            for line in locks:
                words = line.split()
                if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode) and words[4] != "0":
                    with open(f"/proc/{words[4]}/cmdline", encoding="utf-8", errors="replace") as command:
                        return (
                            f"process {words[4]} ({printable(command.read().replace(chr(0), ' ')).strip()})"
                        )
    except (OSError, IndexError):
        pass  # it ended just now, or belongs to another process namespace
    return "a process that cannot be seen from here"
