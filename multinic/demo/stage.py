"""The stage of the demo: print to the reader, run the real commands, and check promises."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from multinic.demo import namespace
from multinic.host.language import translated
from multinic.values.errors import Exit, HostError

_LIMIT = 60.0  # seconds; a command of the demo takes less than one


class Stage:
    """A directory for all files, and the namespace that this process is in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.promises = 0
        self._steps = 0
        self._environment = namespace.environment() | {
            "PYTHONUNBUFFERED": "1",
            "MULTINIC_CONFIG": str(directory / "etc/multinic/multinic.toml"),  # not that of the machine
        }
        self._out = Console(highlight=False, markup=False, emoji=False)

    def say(self, sentence: str, style: str = "") -> None:
        """Print a paragraph."""
        self._out.print(Text(translated(sentence), style=style))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows of the database."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, no_wrap=True)
        for row in rows:
            table.add_row(*("NULL" if value is None else str(value) for value in row))
        self._out.print()
        self._out.print(table)

    def command(self, line: str) -> None:
        """Print a command line; its output comes next."""
        self.say(f"\n$ {line}", "cyan")

    def step(self, title: str, *sentences: str) -> None:
        """Begin a step."""
        self._steps += 1
        self.say(f"\n{self._steps}  {translated(title)}", "bold")
        for sentence in sentences:
            self.say(sentence)

    def promise(self, sentence: str, kept: bool) -> None:
        """Print a promise that is kept. Raises HostError if it is not."""
        if not kept:
            raise HostError(
                f"a promise of the demo was not kept: {sentence}",
                "this is a fault of multinic, or a kernel that it does not know: please report it",
            )
        self.promises += 1
        self._out.print(Text.assemble(("✓ ", "green"), translated(sentence)))

    def multinic(self, *arguments: str, exit: Exit = Exit.OK, quiet: bool = False) -> None:  # noqa: A002
        """Run the program as its users do, and show its output. Raises HostError for another exit status.

        `quiet`: the program must also print nothing.
        """
        command = ["multinic", "--root", ".", *arguments]
        self.command(shlex.join(command))
        sys.stdout.flush()
        try:
            done = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if quiet else None,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            raise HostError(f"`{shlex.join(command)}` did not end within {_LIMIT:g} s") from e
        if quiet:
            self.say(done.stdout.rstrip() or translated("(prints nothing)"), "" if done.stdout else "dim")
        if done.returncode:
            self.say(translated("(exit status {status})").format(status=done.returncode), "dim")
        if done.returncode != exit or (quiet and done.stdout):
            wanted = f"exit status {int(exit)} and no output" if quiet else f"exit status {int(exit)}"
            raise HostError(f"`{shlex.join(command)}` should have ended with {wanted}")

    def shell(self) -> None:
        """Open a shell in the namespace, in the directory of the demo."""
        self.say(
            "\nA shell in the namespace. Try `multinic --root . plan` or `ip address`; "
            "`exit` ends it and removes everything."
        )
        sys.stdout.flush()
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        shell = os.environ.get("SHELL") or "/bin/sh"
        subprocess.run([shell], cwd=self.directory, env=self._environment | {"PATH": programs}, check=False)
