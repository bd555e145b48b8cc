"""Standard output and standard error, which may fail at any time: a full disk, a reader that went away."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class _Descriptor(io.FileIO):
    """A file descriptor that takes everything; what could not be written is gone, and `lost` says why."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as e:
            self.lost = e
            return memoryview(data).nbytes


class _Output(io.TextIOWrapper):
    """Standard output or standard error, where writing never raises.

    An exception would end a change in the middle. And what is left in a buffer that cannot be flushed makes
    the interpreter end with 120, whatever the exit status was to be.
    """

    def __init__(self, opened: io.TextIOWrapper) -> None:
        self._descriptor = _Descriptor(opened.fileno(), "w", closefd=False)
        super().__init__(
            io.BufferedWriter(self._descriptor),
            encoding=opened.encoding,
            errors="replace",  # a terminal that has no → is no reason to fail
            line_buffering=opened.line_buffering or opened.write_through,
        )

    def loss(self) -> OSError | None:
        self.flush()
        lost, self._descriptor.lost = self._descriptor.lost, None
        return lost


def prepare() -> None:
    """Replace standard streams that are closed by /dev/null, and make writing to the others safe."""
    for number in range(3):  # or the next file or socket would have the number of one that is closed
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203 - three times
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - to the end
    sys.stdout, sys.stderr = _safe(sys.stdout), _safe(sys.stderr)


def _safe(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, _Output):
        with suppress(io.UnsupportedOperation):  # no file: a test reads it
            return _Output(stream)
    return stream


def flush() -> None:
    """Write what is still in buffers; what cannot be written is lost."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a closed one
            stream.flush()


def loss() -> OSError | None:
    """Return why some of what was printed on standard output is lost, once; None if nothing is."""
    return sys.stdout.loss() if isinstance(sys.stdout, _Output) else None
