"""The directories in which the program keeps its files: made as they should be, and nobody else's."""

from __future__ import annotations

import errno
import os
import stat

from multinic.errors import HostError


def make_directory(path: str, mode: int) -> None:
    """Make a directory, and those above it, unless it is there; the umask has no say. Raises OSError."""
    if os.path.lexists(path):
        return
    if parent := os.path.dirname(path):
        make_directory(parent, 0o755)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return  # another run was faster
    os.chmod(path, mode)
    sync_directory(parent or ".")


def check_root(root: str) -> None:
    """Raise HostError for another root that somebody else may exchange; a symlink of ours is fine."""
    found = os.lstat(root)
    if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.geteuid()):
        found = os.stat(root)
    check_ours(root, found)


def check_ours(path: str, found: os.stat_result) -> None:
    """Raise HostError for a directory that is not ours alone, OSError for what is none."""
    problem = ""
    if stat.S_ISLNK(found.st_mode):
        problem = "is a symlink"
    elif not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    elif found.st_uid not in (0, os.geteuid()):
        problem = f"belongs to another user (uid {found.st_uid})"
    elif found.st_mode & 0o002 or (found.st_mode & 0o020 and found.st_gid not in (0, os.getegid())):
        problem = f"may be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    if problem:
        raise HostError(f"{path} {problem}", "it must be a directory that only root may write")


def sync_directory(path: str) -> None:
    """Wait until the names in a directory are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
