"""A file for another program, in a directory that may belong to another user, such as node_exporter's."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from multinic.host.host import Host, cannot
from multinic.values.errors import HostError
from multinic.values.paths import UNFINISHED

_CONFINED = "in a service the directory must be in a ReadWritePaths= of `systemctl edit multinic.service`"


def publish(host: Host, path: str, content: bytes) -> None:
    """Replace a file that everybody may read (0644), atomically. Raises HostError.

    The user of the directory may put anything in it meanwhile: no symlink is followed on the way, and
    nothing that is there is written to. The directory must exist. It is not synced: after a power loss the
    next full pass writes it anew.
    """
    directory, name = os.path.split(path)
    unfinished = f".{name}{UNFINISHED}"  # always the same name: a killed run leaves one at most
    with _errors("write", path), _opened(host, directory) as at, host.effect(f"write {path}"):
        with suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=at)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(unfinished, flags, 0o600, dir_fd=at), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
        os.replace(unfinished, name, src_dir_fd=at, dst_dir_fd=at)


def withdraw(host: Host, path: str) -> None:
    """Remove such a file; an absent one is fine. Raises HostError."""
    directory, name = os.path.split(path)
    with (
        _errors("remove", path),
        suppress(FileNotFoundError),
        _opened(host, directory) as at,
        host.effect(f"remove {path}"),
    ):
        os.unlink(name, dir_fd=at)


@contextmanager
def _opened(host: Host, directory: str) -> Iterator[int]:
    """Open a directory, without following a symlink on the way. Raises OSError and HostError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.open(host.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    so_far = ""
    try:
        for name in filter(None, directory.split("/")):
            so_far += f"/{name}"
            try:
                below = os.open(name, flags, dir_fd=at)
            except NotADirectoryError:
                raise HostError(
                    f"{so_far} is no directory, or a symlink", "name the real directory"
                ) from None
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


@contextmanager
def _errors(verb: str, path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as e:
        words = f"cannot {verb} {path}: its directory does not exist"
        raise HostError(words, "make it, or install node_exporter, which makes it") from e
    except OSError as e:
        error = cannot(verb, path, e)
        if e.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            error.hint = f"{error.hint}; {_CONFINED}" if error.hint else _CONFINED
        raise error from e
