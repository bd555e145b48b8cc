"""The one seam to the host: its files and its commands.

`Host` is this machine, another root (`--root`), or the node around our container: the difference
is a value, never an `if`. Every change of the host happens inside `Host.effect`, so that tests
can stop the process before and after each one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from multinic.host.directories import check_ours, check_root, make_directory, remove_if_empty, sync_directory
from multinic.values.errors import HostError, TooLarge
from multinic.values.paths import OUR_DIRECTORIES, UNFINISHED

_FILE_LIMIT = 16 * 1024 * 1024  # bytes; ours stay below it even with 1,000 interfaces (record.py)

_DROP_INS = ".network.d"  # systemd.network(5)


def _nothing(_: str) -> None: ...


class File(NamedTuple):
    """A regular file as it is on disk, so that it can be restored exactly."""

    content: bytes
    mode: int
    uid: int
    gid: int


class Host:
    """Where the managed host is, and how to run a command there."""

    # No dataclass: importing that costs an idle pass a tenth of its time.
    def __init__(
        self,
        root: str = "/",
        prefix: tuple[str, ...] = (),
        probe: Callable[[str], None] = _nothing,
        command_timeout: float = 60.0,
    ) -> None:
        """`probe` is called before and after every effect with a line that describes it."""
        self.root = root
        self.prefix = prefix
        self.probe = probe
        self.command_timeout = command_timeout
        """How long a command on the host may take, in seconds."""
        self.inherited: set[int] = set()
        """Descriptors that commands get: the lock, so that a run waits for what a killed one has started."""

    def probed(self, probe: Callable[[str], None]) -> Host:
        """Return this host with another `probe`."""
        host = Host(self.root, self.prefix, probe, self.command_timeout)
        host.inherited = self.inherited
        return host

    def path(self, path: str) -> str:
        """Return the path by which this process reaches an absolute `path` of the host."""
        return path if self.root == "/" else os.path.join(self.root, path.lstrip("/"))

    @contextmanager
    def effect(self, what: str) -> Iterator[None]:
        """Mark the block as one change of the host."""
        self.probe(f"before {what}")
        yield
        self.probe(f"after {what}")

    def file(self, path: str, *, follow: bool = False) -> File | None:
        """Return a regular file; None if there is none. A symlink is followed only with `follow`.

        Raises HostError if the file is there and cannot be read.
        """
        where = self.path(self._target(path) if follow else path)
        try:
            if (directory := os.path.dirname(path)) in OUR_DIRECTORIES:
                check_ours(directory, os.lstat(self.path(directory)))  # we trust the files in it
            if not stat.S_ISREG(os.lstat(where).st_mode):
                return None  # opening a device may already have an effect
            descriptor = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    return None
                content = stream.read(_FILE_LIMIT + 1)
        except OSError as e:
            if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                return None
            raise cannot("read", path, e) from e
        if len(content) > _FILE_LIMIT:
            raise TooLarge(f"{path} is larger than {_FILE_LIMIT} bytes", "look at it: our files are smaller")
        return File(content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def _target(self, path: str) -> str:
        """Return the path on the host to which a symlink leads; `path` itself if it is not a symlink."""
        for _ in range(40):  # as many as the kernel follows
            try:
                link = os.readlink(self.path(path))
            except OSError:
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), link))
        return path

    def read(self, path: str, *, follow: bool = False) -> str | None:
        """Return the text of a regular file; None if there is none. Raises HostError, as `file`."""
        found = self.file(path, follow=follow)
        return None if found is None else found.content.decode("utf-8", "replace")

    def names(self, directory: str) -> list[str]:
        """Return the sorted names in a directory; an absent one is empty. Raises HostError."""
        try:
            return sorted(os.listdir(self.path(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as e:
            raise cannot("list", directory, e) from e

    def present(self, path: str) -> bool:
        """Return whether anything is at `path`, also a dangling symlink."""
        return os.path.lexists(self.path(path))

    def written(self, path: str) -> float | None:
        """Return when what is at `path` was last written, as Unix time; None if there is nothing."""
        try:
            return os.lstat(self.path(path)).st_mtime
        except OSError:
            return None

    def directory(self, path: str) -> str:
        """Make a directory of the host if it is missing, and return the path by which we reach it.

        Our own directories, and all directories below another root, must be real ones to which no other user
        may write: else our files could end up elsewhere. Raises HostError.
        """
        try:
            self._walk(path, make=True)
        except OSError as e:
            raise cannot("make", path, e) from e
        return self.path(path)

    def _walk(self, path: str, *, make: bool) -> None:
        """Check a directory and all above it, and with `make` make them. Raises HostError and OSError."""
        if self.root != "/":
            if make:
                make_directory(self.root, 0o755)
            check_root(self.root)
        below = ""
        for name in path.strip("/").split("/"):
            below = f"{below}/{name}"
            if make:
                make_directory(self.path(below), OUR_DIRECTORIES.get(below, 0o755))
            if self.root != "/" or below in OUR_DIRECTORIES:
                check_ours(below, os.lstat(self.path(below)))

    def write(self, path: str, content: str | bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Replace a file atomically and durably; a symlink or hard link at `path` is never written through.

        Missing directories are made. Raises HostError.
        """
        data = content.encode() if isinstance(content, str) else content
        target = self.path(path)
        # Hidden, and with an ending that no program reads: a file that a killed run left does no harm.
        directory, name = os.path.split(target)
        scratch = os.path.join(directory, f".{name}.{os.urandom(4).hex()}{UNFINISHED}")
        with self.effect(f"write {path}"):
            try:
                self._walk(os.path.dirname(path), make=True)
                descriptor = os.open(
                    scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
                )
                try:
                    with os.fdopen(descriptor, "wb") as stream:
                        stream.write(data)
                        stream.flush()
                        if owner is not None and owner != (os.geteuid(), os.getegid()):
                            os.fchown(stream.fileno(), *owner)
                        os.fchmod(stream.fileno(), mode)
                        os.fsync(stream.fileno())
                    os.replace(scratch, target)
                except BaseException:
                    if os.path.lexists(scratch):
                        os.unlink(scratch)
                    raise
                sync_directory(directory)
            except OSError as e:
                raise cannot("write", path, e) from e

    def remove(self, path: str) -> None:
        """Remove a file or symlink durably; an absent one is fine. Raises HostError.

        A directory of drop-ins for one file of networkd goes with the last of them.
        """
        target = self.path(path)
        with self.effect(f"remove {path}"):
            try:
                self._walk(os.path.dirname(path), make=False)
                try:
                    if os.path.lexists(target):  # on a read-only file system unlink fails even for no file
                        os.unlink(target)
                except FileNotFoundError:
                    pass
                # An absent file may not be gone durably yet: the run that removed it may have been killed.
                sync_directory(os.path.dirname(target))
                if os.path.dirname(target).endswith(_DROP_INS):
                    remove_if_empty(os.path.dirname(target))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as e:
                raise cannot("remove", path, e) from e

    def remove_directory(self, path: str) -> None:
        """Remove a directory if it is empty. Raises HostError."""
        with self.effect(f"remove {path}"):
            try:
                remove_if_empty(self.path(path))
            except OSError as e:
                raise cannot("remove", path, e) from e

    def rename(self, path: str, new: str) -> None:
        """Rename a file durably; it replaces a file at `new`. Raises HostError."""
        with self.effect(f"rename {path} to {new}"):
            try:
                for directory in {os.path.dirname(path), os.path.dirname(new)}:
                    self._walk(directory, make=False)
                os.replace(self.path(path), self.path(new))
                sync_directory(os.path.dirname(self.path(new)))
            except OSError as e:
                raise cannot("rename", f"{path} to {new}", e) from e

    def sysctl(self, path: str, value: str) -> None:
        """Set a kernel variable of this network namespace if it differs. Raises HostError."""
        variable = self._variable(path)
        try:
            with open(variable, encoding="ascii") as stream:
                if stream.read().strip() == value:
                    return
            with self.effect(f"set {path} to {value}"), open(variable, "w", encoding="ascii") as stream:
                stream.write(value)
        except FileNotFoundError:
            return  # a kernel without IPv6, or without this variable, does nothing that it could prevent
        except OSError as e:
            raise cannot("set", path, e) from e

    def _variable(self, path: str) -> str:
        """Return the path by which this process may write a kernel variable.

        The /proc/sys of a container is read-only. That of the host is not, and shows the same network
        namespace, because the kernel goes by the process that opens it.
        """
        below = self.path(path)
        return below if os.path.exists(below) else path

    def restore(self, path: str, before: File | None) -> None:
        """Restore a file as it was, with mode and owner; None removes it. Raises HostError."""
        if before is None:
            self.remove(path)
        elif self.file(path) != before:
            self.write(path, before.content, before.mode, (before.uid, before.gid))

    def boot_id(self) -> str:
        """Return the identifier of this boot of the kernel; "" if it cannot be read."""
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
                return stream.read().strip()
        except OSError:
            return ""

    def run(self, *argv: str, timeout: float | None = None, changes: bool = True, stdin: str = "") -> str:
        """Run a command on the host and return its stdout.

        After `timeout` seconds (by default `command_timeout`) its whole process group is killed.
        `changes`: whether the command changes the host; `stdin`: the text that it reads. Raises
        CommandFailed.
        """
        limit = self.command_timeout if timeout is None else timeout
        if not changes:
            return self._outputs_of(argv, limit, stdin)[0]
        with self.effect(f"run {' '.join(argv)}"):
            return self._outputs_of(argv, limit, stdin)[0]

    def outputs_of(self, *argv: str) -> tuple[str, str]:
        """Run a command that changes nothing; return its stdout and stderr. Raises CommandFailed."""
        return self._outputs_of(argv, self.command_timeout)

    def _outputs_of(self, argv: tuple[str, ...], limit: float, stdin: str = "") -> tuple[str, str]:
        from multinic.host import command  # not imported by a pass that runs no command

        return command.run(self.prefix, argv, limit, stdin=stdin, inherited=self.inherited)


_CANNOT = {
    "read": "cannot read {}: {}",
    "list": "cannot list {}: {}",
    "make": "cannot make {}: {}",
    "write": "cannot write {}: {}",
    "remove": "cannot remove {}: {}",
    "rename": "cannot rename {}: {}",
    "set": "cannot set {}: {}",
}
"""Whole sentences: each has a translation of its own."""


def cannot(verb: str, path: str, error: OSError) -> HostError:
    """Return the error for what could not be done to a path, with what to do where the reason says it.

    `verb` is one of those above.
    """
    hint = {
        errno.EACCES: "run as root",
        errno.EPERM: "run as root",
        errno.EROFS: "the file system is mounted read-only",
        errno.ENOSPC: "the file system is full",
    }.get(error.errno or 0, "")
    return HostError(_CANNOT[verb].format(path, error.strerror), hint)
