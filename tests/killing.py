"""Run the program and end it at a chosen moment: before or after the N-th thing that it does to the host.

    python -m tests.killing -- --root DIR reconcile                   # list the moments of a whole run
    python -m tests.killing --at 7 -- --root DIR reconcile            # SIGKILL at the seventh
    python -m tests.killing --at 7 --signal TERM --again -- …         # SIGTERM then, and at each moment after

The moments are those that `Host.effect` tells its probe; the program has no other part in this. Everything
is forked off a process that has imported the program already, so that a run costs milliseconds.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import pkgutil
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import multinic
from multinic import cli
from multinic.cli import base
from multinic.host.host import Host
from multinic.values.settings import Settings

LIMIT = 60.0  # seconds after which a run counts as hanging


@dataclass
class Moments:
    """The probe: write each moment to `stream`, and send `signal` to this process at number `at`."""

    stream: int
    at: int = 0
    """From 1; 0 for a run that nothing disturbs."""
    signal: int = signal.SIGKILL
    again: bool = False
    """Send it at every later moment, too."""
    note: Callable[[], str] | None = None
    """What to add to each line, after a tab."""
    seen: int = 0

    def __call__(self, what: str) -> None:
        self.seen += 1
        line = f"{what}\t{self.note()}" if self.note else what
        os.write(self.stream, f"{line}\n".encode())  # unbuffered: it is read after SIGKILL
        if self.at and (self.seen == self.at or (self.again and self.seen > self.at)):
            os.kill(os.getpid(), self.signal)


@dataclass(frozen=True)
class Run:
    """How a run ended: `status` is negative for a signal, as with subprocess."""

    status: int
    moments: tuple[str, ...]
    notes: tuple[str, ...]
    said: str
    """What it wrote to standard output and standard error."""


@dataclass(frozen=True)
class End:
    """When and how a run is to end."""

    at: int = 0
    signal: int = signal.SIGKILL
    again: bool = False


WHOLE = End()


def warm_up() -> None:
    """Import everything that a run on a host may import, once for all runs."""
    for module in pkgutil.walk_packages(multinic.__path__, "multinic."):
        if not module.name.endswith("__main__") and not module.name.startswith("multinic.dashboard."):
            importlib.import_module(module.name)
    for name in ("jinja2", "pyroute2", "rich.table", "sqlite3", "subprocess", "shlex", "random", "signal"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def run(
    arguments: Sequence[str],
    end: End = WHOLE,
    environment: Mapping[str, str] | None = None,
    note: Callable[[], str] | None = None,
    prefix: tuple[str, ...] = (),
) -> Run:
    """Run `multinic ARGUMENTS` in a child of this process and return how it ended.

    `note` is asked at every moment for what to add to it; `prefix` is put before the host's commands.
    """
    said, moments = os.memfd_create("said"), os.memfd_create("moments")
    child = os.fork()
    if not child:
        probe = Moments(moments, end.at, end.signal, end.again, note)
        _be_the_program(arguments, probe, prefix, said, environment or {})
    try:
        watched = os.pidfd_open(child)
        try:
            ready, _, _ = select.select([watched], [], [], LIMIT)
        finally:
            os.close(watched)
        if not ready:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        lines = [line.partition("\t")[::2] for line in _text(moments).splitlines()]
        if not ready:
            raise TimeoutError(f"still running after {LIMIT:g} s, at {lines[-1:]}: {_text(said)}")
        notes = tuple(note for _, note in lines)
        return Run(os.waitstatus_to_exitcode(status), tuple(what for what, _ in lines), notes, _text(said))
    finally:
        os.close(said)
        os.close(moments)


def _be_the_program(
    arguments: Sequence[str],
    probe: Moments,
    prefix: tuple[str, ...],
    said: int,
    environment: Mapping[str, str],
) -> None:
    status = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - a parent may have replaced it
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.environ.update(environment)
        with probed(probe, prefix):
            cli.main(list(arguments), prog_name="multinic")
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing may go on as if it were the parent
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status)


class _Probed(base.Context):
    """What commands know, with a host that tells a probe of every effect."""

    probe: ClassVar[Callable[[str], object]]
    prefix: ClassVar[tuple[str, ...]]

    def host(self, settings: Settings | None = None) -> Host:
        host = super().host(settings).probed(self.probe)
        host.prefix = self.prefix
        return host


@contextmanager
def probed(probe: Moments, prefix: tuple[str, ...] = ()) -> Iterator[None]:
    """Let the command line work on a host that tells `probe` of every effect."""
    _Probed.probe, _Probed.prefix = probe, prefix
    whole, base.Context = base.Context, _Probed
    try:
        yield
    finally:
        base.Context = whole


def _text(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")


def main() -> None:
    """Run the program once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--at", type=int, default=0, help="the number of the moment; 0 lists them all")
    parser.add_argument("--signal", default="KILL", choices=["KILL", "TERM", "INT", "HUP"])
    parser.add_argument("--again", action="store_true", help="send the signal at every later moment, too")
    parser.add_argument("arguments", nargs="+", help="what to give to multinic")
    given = parser.parse_args()
    done = run(given.arguments, End(given.at, signal.Signals[f"SIG{given.signal}"], given.again))
    for number, moment in enumerate(done.moments, 1):
        print(f"{number:4} {moment}")
    print(done.said, end="", file=sys.stderr)
    sys.exit(done.status if done.status >= 0 else 128 - done.status)


if __name__ == "__main__":
    main()
