"""The one seam to the host: its files and its commands.

`Host` is this machine, another root (`--root`), or the node around our container: the difference
is a value, never an `if`. Whatever changes the host happens inside `Host.effect`, so that tests
can stop the process before and after every single one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from multinic.directories import check_ours, check_root, make_directory, sync_directory
from multinic.errors import HostError, TooLarge
from multinic.paths import OWN, SCRATCH, UNFINISHED

_FILE_LIMIT = 16 * 1024 * 1024  # bytes; ours stay below it even with 1,000 interfaces (record.py)


def _nothing(_: str) -> None: ...


@dataclass(frozen=True)
class File:
    """A regular file as it is on disk, to be put back exactly."""

    content: bytes
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Host:
    """Where the managed host is, and how to run a command there.

    `probe` is called before and after every effect with a line that describes it.
    """

    root: str = "/"
    prefix: tuple[str, ...] = ()
    probe: Callable[[str], None] = _nothing
    command_timeout: float = 60.0
    """How long a command of the host may take, in seconds."""

    def path(self, path: str) -> str:
        """Return where the host's absolute `path` is for this process."""
        return path if self.root == "/" else os.path.join(self.root, path.lstrip("/"))

    @contextmanager
    def effect(self, what: str) -> Iterator[None]:
        """Mark the block as one change of the host."""
        self.probe(f"before {what}")
        yield
        self.probe(f"after {what}")

    def file(self, path: str, *, follow: bool = False) -> File | None:
        """Return a regular file, or None where there is none; a symlink is not followed unless `follow`.

        Raises HostError if the file is there and cannot be read.
        """
        where = self.path(self._target(path) if follow else path)
        try:
            if (directory := os.path.dirname(path)) in OWN:
                check_ours(directory, os.lstat(self.path(directory)))  # what is read there is believed
            if not stat.S_ISREG(os.lstat(where).st_mode):
                return None  # to open a device may already do something
            descriptor = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    return None
                content = stream.read(_FILE_LIMIT + 1)
        except OSError as e:
            if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                return None
            raise _cannot("read", path, e) from e
        if len(content) > _FILE_LIMIT:
            raise TooLarge(f"{path} is larger than {_FILE_LIMIT} bytes", "look at it: no file of ours is")
        return File(content, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def _target(self, path: str) -> str:
        """Return where a symlink leads on the host, below our root; `path` itself where it is none."""
        for _ in range(40):  # as many as the kernel follows
            try:
                link = os.readlink(self.path(path))
            except OSError:
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), link))
        return path

    def read(self, path: str, *, follow: bool = False) -> str | None:
        """Return the text of a regular file, or None where there is none."""
        found = self.file(path, follow=follow)
        return None if found is None else found.content.decode("utf-8", "replace")

    def names(self, directory: str) -> list[str]:
        """Return the sorted names in a directory; an absent one is empty."""
        try:
            return sorted(os.listdir(self.path(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as e:
            raise _cannot("list", directory, e) from e

    def present(self, path: str) -> bool:
        """Return whether anything, even a dangling symlink, is at `path`."""
        return os.path.lexists(self.path(path))

    def directory(self, path: str) -> str:
        """Return where one of the host's directories is for this process, made where it is missing.

        Our own directories, and below another root all of them, must be real ones that nobody
        else may write: nothing of ours may end up elsewhere. Raises HostError.
        """
        try:
            self._walk(path, make=True)
        except OSError as e:
            raise _cannot("make", path, e) from e
        return self.path(path)

    def _walk(self, path: str, *, make: bool) -> None:
        """Look at a directory and all above it. Raises HostError and OSError."""
        if self.root != "/":
            if make:
                make_directory(self.root, 0o755)
            check_root(self.root)
        below = ""
        for name in path.strip("/").split("/"):
            below = f"{below}/{name}"
            if make:
                make_directory(self.path(below), OWN.get(below, 0o755))
            if self.root != "/" or below in OWN:
                check_ours(below, os.lstat(self.path(below)))

    def write(self, path: str, content: str | bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
        """Replace a file atomically and durably; whatever was at `path` is never written through.

        Missing directories are made. Raises HostError.
        """
        data = content.encode() if isinstance(content, str) else content
        target = self.path(path)
        # Hidden and with an ending no tool reads, so that a left-over of a killed run does no harm.
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
                raise _cannot("write", path, e) from e

    def remove(self, path: str) -> None:
        """Remove a file or symlink durably; an absent one is fine. Raises HostError."""
        target = self.path(path)
        with self.effect(f"remove {path}"):
            try:
                self._walk(os.path.dirname(path), make=False)
                try:
                    if os.path.lexists(target):  # of what is read-only the kernel would not say so
                        os.unlink(target)
                except FileNotFoundError:
                    pass
                # What is absent is perhaps not so for good yet: whoever removed it may have been killed.
                sync_directory(os.path.dirname(target))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as e:
                raise _cannot("remove", path, e) from e

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory; one that holds something stays. Raises HostError."""
        with self.effect(f"remove {path}"):
            try:
                os.rmdir(self.path(path))
                sync_directory(os.path.dirname(self.path(path)))
            except OSError as e:
                if e.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                    raise _cannot("remove", path, e) from e

    def rename(self, path: str, new: str) -> None:
        """Rename a file durably, over whatever is at `new`. Raises HostError."""
        with self.effect(f"rename {path} to {new}"):
            try:
                for directory in {os.path.dirname(path), os.path.dirname(new)}:
                    self._walk(directory, make=False)
                os.replace(self.path(path), self.path(new))
                sync_directory(os.path.dirname(self.path(new)))
            except OSError as e:
                raise _cannot("rename", f"{path} to {new}", e) from e

    def sysctl(self, path: str, value: str) -> None:
        """Set a kernel variable of this network namespace, where it differs. Raises HostError."""
        try:
            with open(path, encoding="ascii") as variable:
                if variable.read().strip() == value:
                    return
            with self.effect(f"set {path} to {value}"), open(path, "w", encoding="ascii") as variable:
                variable.write(value)
        except FileNotFoundError:
            return  # a kernel without IPv6, or without this variable, has nothing to be kept from
        except OSError as e:
            raise _cannot("set", path, e) from e

    def restore(self, path: str, before: File | None) -> None:
        """Put a file back as it was: content, mode and owner, or its absence."""
        if before is None:
            self.remove(path)
        elif self.file(path) != before:
            self.write(path, before.content, before.mode, (before.uid, before.gid))

    def tidy(self, directory: str) -> None:
        """Remove what runs that were killed left unfinished in a directory. Raises HostError."""
        for name in self.names(directory):
            if name.endswith(UNFINISHED):
                path = self.path(f"{directory}/{name}")
                with self.effect(f"remove {directory}/{name}"):
                    try:
                        if stat.S_ISDIR(os.lstat(path).st_mode):
                            import shutil  # seldom needed

                            shutil.rmtree(path)
                        else:
                            os.unlink(path)
                    except OSError as e:
                        raise _cannot("remove", f"{directory}/{name}", e) from e

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """Yield the path of an empty directory in the host's /run, gone after the block. Raises HostError."""
        import shutil  # seldom needed
        import tempfile

        directory = ""
        try:
            directory = tempfile.mkdtemp(UNFINISHED, "scratch-", self.directory(SCRATCH))
            yield f"{SCRATCH}/{os.path.basename(directory)}"
        except OSError as e:
            raise _cannot("write", SCRATCH, e) from e
        finally:
            if directory:
                shutil.rmtree(directory, ignore_errors=True)

    def run(self, *argv: str, timeout: float | None = None, changes: bool = True, given: str = "") -> str:
        """Run a command on the host and return its stdout.

        After `timeout` seconds (by default `command_timeout`) its whole process group is killed.
        `changes` says whether the command changes the host; it reads `given`. Raises CommandFailed.
        """
        from multinic import command  # a pass that runs no command needs none of it

        limit = self.command_timeout if timeout is None else timeout
        if not changes:
            return command.run(self.prefix, argv, limit, given=given)
        with self.effect(f"run {' '.join(argv)}"):
            return command.run(self.prefix, argv, limit, given=given)

    def complaints(self, *argv: str) -> str:
        """Run a command that changes nothing on the host and return its stderr. Raises CommandFailed."""
        from multinic import command

        return command.run(self.prefix, argv, self.command_timeout, complaints=True)


def _cannot(verb: str, path: str, error: OSError) -> HostError:
    hint = {
        errno.EACCES: "run as root",
        errno.EPERM: "run as root",
        errno.EROFS: "the file system is mounted read-only",
        errno.ENOSPC: "the file system is full",
    }.get(error.errno or 0, "")
    return HostError(f"cannot {verb} {path}: {error.strerror}", hint)
