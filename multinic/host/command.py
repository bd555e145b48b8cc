"""Run one command: no shell, no inherited secrets, and a limit for every wait."""

from __future__ import annotations

import os
import resource
import select
import shlex
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from multinic.values.errors import CommandFailed

if TYPE_CHECKING:
    from typing import BinaryIO

_OUTPUT_LIMIT = 64 * 1024  # bytes of output that are read: enough for an error and its context
_WRITE_LIMIT = 64 * 1024 * 1024  # bytes of output, and of any file: the output is kept in memory
_DETAIL_LIMIT = 1000  # characters of output in a message


def run(
    prefix: Sequence[str], argv: Sequence[str], timeout: float, *, stdin: str, inherited: Iterable[int]
) -> tuple[str, str]:
    """Run `argv` after `prefix` and return its stdout and its stderr.

    `stdin` is the text that the command reads, `inherited` are descriptors that it gets from us.
    After `timeout` seconds its whole process group is killed. Raises CommandFailed.
    """
    shown = shlex.join(argv)
    # Output goes to files in memory: a grandchild that keeps a pipe open could hang us.
    with (
        os.fdopen(os.memfd_create("stdin"), "w+b") as source,
        os.fdopen(os.memfd_create("stdout"), "w+b") as out,
        os.fdopen(os.memfd_create("stderr"), "w+b") as err,
    ):
        source.write(stdin.encode())
        source.seek(0)
        try:
            process = subprocess.Popen(
                [*prefix, *argv],
                stdin=source,
                stdout=out,
                stderr=err,
                env=_environment(),
                umask=0o022,  # networkd must be able to read the files that netplan's generator writes for it
                start_new_session=True,
                pass_fds=tuple(inherited),
            )
        except OSError as e:
            raise CommandFailed(f"cannot run {shown}: {e.strerror}", status=None) from e
        with suppress(OSError):  # it has ended already
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_WRITE_LIMIT, _WRITE_LIMIT))
        status = _wait(process, timeout, shown)
        stdout, stderr = _head(out), _tail(err)
    if status:
        raise _failed(shown, status, stdout, stderr)
    return stdout, stderr


def _wait(process: subprocess.Popen[bytes], timeout: float, shown: str) -> int:
    """Return the exit status. Kills the whole process group if it takes too long, or for any exception."""
    try:
        return process.wait(0 if _awaited(process.pid, timeout) else timeout)
    except BaseException as e:
        _kill_group(process.pid)
        process.wait()
        if not isinstance(e, subprocess.TimeoutExpired):
            raise
        raise CommandFailed(f"{shown} did not end within {timeout:g} s and was killed", status=None) from e


def _awaited(pid: int, timeout: float) -> bool:
    """Wait until a child has ended, at most `timeout` seconds; False if the kernel cannot be asked.

    subprocess itself looks for the end now and then if the time is limited, with up to 50 ms in between.
    """
    try:
        child = os.pidfd_open(pid)
    # Before Linux 5.3, or a sandbox that does not know it; a Python that was built on an old system.
    except (OSError, AttributeError):
        return False
    try:
        poll = select.poll()
        poll.register(child, select.POLLIN)
        poll.poll(1000 * timeout)
    finally:
        os.close(child)
    return True


def _failed(shown: str, status: int, stdout: str, stderr: str) -> CommandFailed:
    if status == -signal.SIGXFSZ:
        words = f"{shown} printed or wrote more than {_WRITE_LIMIT >> 20} MiB and was killed"
    elif status < 0:
        words = f"{shown} was killed by signal {-status}"
    else:
        words = f"{shown} ended with status {status}"
    if detail := (stderr.strip() or stdout.strip())[-_DETAIL_LIMIT:]:
        words += f": {detail}"
    return CommandFailed(words, status=status, stdout=stdout, stderr=stderr)


def _environment() -> dict[str, str]:
    """Return the environment of commands: without our secrets, and without the caller's locale."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}


def _head(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read(_OUTPUT_LIMIT).decode("utf-8", "replace")


def _tail(stream: BinaryIO) -> str:
    """Return the end of the output: there a command says why it failed."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _OUTPUT_LIMIT))
    return stream.read().decode("utf-8", "replace")


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
