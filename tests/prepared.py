"""Runs of the program that are forked off a process which has imported it: the same, without the import.

Each is a process of its own, with its own environment, directory and namespaces. What a start of the
interpreter decides cannot be told to it; such a run, and one beside another, is the caller's to start.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tests import terminal

ROOT = Path(__file__).parents[1]
DECIDED_AT_START = ("PYTHON", "LANG", "LC_", "TZ", "COVERAGE_", "COV_")
"""How the names of variables begin that are read when an interpreter starts."""
_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespaces: Iterable[str]) -> None:
    """Enter namespaces, given as files in /proc or /run; os.setns came with Python 3.12.

    All files are opened first: in another mount namespace /proc may have other processes under these numbers.
    """
    with ExitStack() as opened:
        for file in [opened.enter_context(open(path)) for path in namespaces]:
            if _libc.setns(file.fileno(), 0):
                raise OSError(ctypes.get_errno(), f"setns: {file.name}")


class Prepared:
    """The process that has imported the program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._decided = _decided(environment)
        self._lock = threading.Lock()
        self._null = open(os.devnull)  # noqa: SIM115 - until close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.prepared", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=dict(environment),
                cwd=ROOT,
                start_new_session=True,
            )
        self._socket = ours

    def close(self) -> None:
        """End it; it ends by itself with the tests, too."""
        self._socket.close()
        self._null.close()
        self._process.wait(30)

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        where: tuple[Sequence[str], str],
        timeout: float,
        *,
        on_terminal: bool = False,
    ) -> subprocess.CompletedProcess[str] | None:
        """Run `multinic ARGUMENTS` in these namespaces, below that root; None where that takes a real start.

        `environment` is the whole of it. All that is written to a terminal is in `stdout`.
        """
        if _decided(environment) != self._decided or not self._lock.acquire(blocking=False):
            return None
        try:
            with _Terminal() if on_terminal else _Output() as stdout, _Output() as stderr:
                umask = os.umask(0)
                os.umask(umask)
                order = {
                    "arguments": arguments,
                    "environment": dict(environment),
                    "directory": os.getcwd(),
                    "umask": umask,
                    "namespaces": where[0],
                    "root": where[1],
                }
                files = [stdout.file] * 3 if on_terminal else [self._null.fileno(), stdout.file, stderr.file]
                self._socket.settimeout(timeout)
                socket.send_fds(self._socket, [json.dumps(order).encode()], files)
                try:
                    status = int(self._socket.recv(100))
                except TimeoutError:
                    os.killpg(self._process.pid, signal.SIGKILL)
                    close()
                    raise subprocess.TimeoutExpired(list(arguments), timeout) from None
                return subprocess.CompletedProcess(
                    ["multinic", *arguments], status, stdout.text(), stderr.text()
                )
        finally:
            self._lock.release()


@cache
def prepared() -> Prepared:
    """Return the one of this process, started when it is first needed."""
    return Prepared({**os.environ, "PYTHONPATH": str(ROOT)})


def close() -> None:
    """End that one, if there is one."""
    if prepared.cache_info().currsize:
        prepared().close()
        prepared.cache_clear()


class _Output:
    """What a process writes, in memory."""

    def __enter__(self) -> _Output:
        self.file = os.memfd_create("output")
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self.file)

    def text(self) -> str:
        return os.pread(self.file, os.fstat(self.file).st_size, 0).decode()


class _Terminal:
    """What a process writes to a terminal."""

    def __enter__(self) -> _Terminal:
        self._screen, self.file = terminal.opened()
        self._written = b""
        self._reader = threading.Thread(target=self._read)  # a terminal holds 4 KiB that nobody has read
        self._reader.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.file >= 0:
            os.close(self.file)
        self._reader.join()
        os.close(self._screen)

    def _read(self) -> None:
        while found := terminal.read(self._screen):
            self._written += found

    def text(self) -> str:
        os.close(self.file)
        self.file = -1
        self._reader.join()
        return self._written.decode()


def _decided(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name.startswith(DECIDED_AT_START)}


def serve(orders: socket.socket) -> None:
    """Carry out one order after the other; each run is a child."""
    from tests.killing import warm_up

    warm_up()
    while True:
        message, files, _, _ = socket.recv_fds(orders, 1 << 18, 3)
        if not message:
            return
        child = os.fork()
        if not child:
            orders.close()
            _be_the_program(json.loads(message), files)
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        orders.send(str(os.waitstatus_to_exitcode(status)).encode())


def _be_the_program(order: dict[str, Any], files: list[int]) -> NoReturn:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.umask(order["umask"])
    root = os.open(order["root"], os.O_PATH)
    enter(order["namespaces"])
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    os.chdir(order["directory"])
    sys.argv = ["multinic", *order["arguments"]]
    status: Any = 0
    try:
        runpy.run_module("multinic", run_name="__main__", alter_sys=True)
    except SystemExit as e:
        status = e.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        status = 1
    atexit._run_exitfuncs()  # coverage writes there
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))  # to tear all modules down takes longer than most runs


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        serve(listening)
