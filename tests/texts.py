"""What of the command line is not in its catalogue yet: `make texts`, or python -m tests.texts [LANGUAGE].

Prints the missing texts as entries to be filled in, and those that no text of the program needs any more.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import click
from click.testing import CliRunner

import multinic
from multinic.cli import main
from multinic.doctor.finding import Level
from multinic.host import language

PACKAGE = Path(multinic.__file__).parent
TRANSLATORS = {"_": 1, "translated": 1, "asked": 1, "say": 1, "promise": 1, "Column": 1, "step": None}
"""Functions that take texts to be translated, and how many: None for all arguments."""
MARK = "·"


class Recorder(dict[str, str]):
    """A catalogue that has every text, marked, and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__({"": ""})
        self.asked: set[str] = set()

    def get(self, text: str, _: object = None) -> str:  # type: ignore[override]
        if not text.startswith(MARK):
            self.asked.add(text)
        return MARK + text


def of_help() -> set[str]:
    """Every text of the help of every command."""
    recorder = Recorder()
    with mock.patch.object(language, "_texts", return_value=recorder):
        for name in commands():
            assert CliRunner().invoke(main, [*name, "--help"]).exit_code == 0
    return recorder.asked


def commands(command: click.Command = main, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield name
    for word, found in getattr(command, "commands", {}).items():
        yield from commands(found, (*name, word))


def of_calls() -> set[str]:
    """Every text that the program translates by its name, and the words of doctor."""
    found = {str(level) for level in Level}
    for tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in TRANSLATORS:
                texts = node.args[: TRANSLATORS[_name(node.func)]]
                found |= {str(text.value) for text in texts if isinstance(text, ast.Constant)}
    return found


def templates() -> set[str]:
    """Every text in the program, with {} for each value in it: messages are translated by these."""
    found = set()
    for tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.add("".join(str(getattr(part, "value", "")) if isinstance(part, ast.Constant) else "{}"
                                  for part in node.values))  # fmt: skip
    return found


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


@cache
def _modules() -> list[ast.Module]:
    paths = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    # The pages of the dashboard have a catalogue of their own.
    return [
        ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
        for path in paths
        if path.parts[0] != "dashboard"
    ]


def missing(known: dict[str, str]) -> list[str]:
    """Return the texts that a catalogue lacks."""
    return sorted((of_help() | of_calls()) - set(known))


def unused(known: dict[str, str]) -> list[str]:
    """Return the entries of a catalogue that the program does not have."""
    return sorted(set(known) - of_help() - of_calls() - templates())


def run(name: str = "ko") -> None:
    known = language.catalogue(name)
    for text in missing(known):
        print(f'msgid {json.dumps(text, ensure_ascii=False)}\nmsgstr ""\n')
    for text in unused(known):
        print(f"# not in the program: {text}", file=sys.stderr)


if __name__ == "__main__":
    run(*sys.argv[1:])
