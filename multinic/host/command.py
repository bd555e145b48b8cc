"""Run one command: no shell, no inherited secrets, and an end to every wait."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from multinic.errors import CommandFailed

if TYPE_CHECKING:
    from typing import BinaryIO

_OUTPUT_LIMIT = 64 * 1024  # bytes of a command's output worth keeping: an error and its context
_DETAIL_LIMIT = 1000  # characters of it in a message


def run(
    prefix: Sequence[str], argv: Sequence[str], timeout: float, *, given: str = "", complaints: bool = False
) -> str:
    """Run `argv` behind `prefix`, return its stdout; after `timeout` seconds its whole group is killed.

    It reads `given`. With `complaints`, return its stderr instead. Raises CommandFailed.
    """
    shown = shlex.join(argv)
    # Output goes to files in memory: a grandchild that keeps a pipe open could hang us.
    with (
        os.fdopen(os.memfd_create("stdin"), "w+b") as read,
        os.fdopen(os.memfd_create("stdout"), "w+b") as out,
        os.fdopen(os.memfd_create("stderr"), "w+b") as err,
    ):
        read.write(given.encode())
        read.seek(0)
        try:
            process = subprocess.Popen(
                [*prefix, *argv],
                stdin=read,
                stdout=out,
                stderr=err,
                env=_environment(),
                umask=0o022,  # of what netplan's generator makes, networkd must be able to read its part
                start_new_session=True,
            )
        except OSError as e:
            raise CommandFailed(f"cannot run {shown}: {e.strerror}", status=None) from e
        try:
            status = process.wait(timeout)
        except BaseException as e:
            _kill_group(process.pid)
            process.wait()
            if not isinstance(e, subprocess.TimeoutExpired):
                raise
            raise CommandFailed(
                f"{shown} did not end within {timeout:g} s and was killed", status=None
            ) from e
        stdout, stderr = _head(out), _tail(err)
    if status:
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        detail = (stderr.strip() or stdout.strip())[-_DETAIL_LIMIT:]
        raise CommandFailed(
            f"{shown} {ended}" + (f": {detail}" if detail else ""),
            status=status,
            stdout=stdout,
            stderr=stderr,
        )
    return stderr if complaints else stdout


def _environment() -> dict[str, str]:
    """Return the environment of children: no secret of ours, no locale of the caller's."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}


def _head(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read(_OUTPUT_LIMIT).decode("utf-8", "replace")


def _tail(stream: BinaryIO) -> str:
    """Return the end of what a command said: there stands why it failed."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _OUTPUT_LIMIT))
    return stream.read().decode("utf-8", "replace")


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
