"""Directories to try files out in, and the removal of what killed runs left unfinished."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from multinic.host.host import Host, cannot
from multinic.values.paths import SCRATCH, UNFINISHED


@contextmanager
def scratch(host: Host) -> Iterator[str]:
    """Yield the path of an empty directory in the host's /run; the block removes it. Raises HostError.

    `plan` and `doctor` use one without the lock of a run. It is locked itself for as long as it is in use, so
    that `tidy` of a pass that begins meanwhile leaves it alone.
    """
    import shutil  # tidy, which runs more often, needs neither

    directory, descriptor = "", -1
    try:
        directory, descriptor = _make(host.directory(SCRATCH))
        yield f"{SCRATCH}/{os.path.basename(directory)}"
    except OSError as e:
        raise cannot("write", SCRATCH, e) from e
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(descriptor)


def _make(parent: str) -> tuple[str, int]:
    """Make a directory, and return its path and a descriptor that holds its lock. Raises OSError."""
    import tempfile

    while True:
        directory = tempfile.mkdtemp(UNFINISHED, "scratch-", parent)
        if (descriptor := _lock(directory)) is not None:
            return directory, descriptor


def _lock(directory: str) -> int | None:
    """Return a descriptor that holds the lock of a directory; None if it is in use, or is gone by now."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.path.exists(directory):
        return descriptor
    os.close(descriptor)
    return None


def tidy(host: Host, directory: str) -> None:
    """Remove unfinished files that killed runs left in a directory, and nothing in use. Raises HostError."""
    for name in host.names(directory):
        if name.endswith(UNFINISHED):
            with host.effect(f"remove {directory}/{name}"):
                try:
                    _remove(host.path(f"{directory}/{name}"))
                except FileNotFoundError:
                    pass  # its own run has just removed it
                except OSError as e:
                    raise cannot("remove", f"{directory}/{name}", e) from e


def _remove(path: str) -> None:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
    elif (descriptor := _lock(path)) is not None:
        import shutil

        try:
            shutil.rmtree(path)
        finally:
            os.close(descriptor)
