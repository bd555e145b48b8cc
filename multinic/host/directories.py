"""The directories of our own files: made with the right mode, and safe from other users."""

from __future__ import annotations

import errno
import os
import stat

from multinic.values.errors import HostError


def make_directory(path: str, mode: int) -> None:
    """Make a directory and those above it if they are missing, whatever the umask is. Raises OSError."""
    if os.path.lexists(path):
        return
    if parent := os.path.dirname(path):
        make_directory(parent, 0o755)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return  # another run has just made it
    os.chmod(path, mode)
    sync_directory(parent or ".")


def check_root(root: str) -> None:
    """Raise HostError for another root that another user may exchange; a symlink of ours is fine."""
    found = os.lstat(root)
    if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, os.geteuid()):
        found = os.stat(root)
    check_ours(root, found)


def check_ours(path: str, found: os.stat_result) -> None:
    """Raise HostError for a directory that other users may write to, OSError if it is not a directory."""
    problem = ""
    if stat.S_ISLNK(found.st_mode):
        problem = "is a symlink"
    elif not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    elif found.st_uid not in (0, os.geteuid()):
        problem = f"belongs to another user (uid {found.st_uid})"
    elif found.st_mode & 0o002 or (found.st_mode & 0o020 and found.st_gid not in (0, os.getegid())):
        problem = f"can be written by other users (mode {stat.S_IMODE(found.st_mode):04o})"
    if problem:
        raise HostError(f"{path} {problem}", "it must be a directory to which only root may write")


def sync_directory(path: str) -> None:
    """Wait until the names in a directory are on disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_if_empty(path: str) -> None:
    """Remove a directory durably, if it is there and empty. Raises OSError."""
    try:
        os.rmdir(path)
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise
    else:
        sync_directory(os.path.dirname(path))
