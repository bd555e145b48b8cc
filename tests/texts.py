"""What of the command line is not in its catalogue yet: `make texts`, or python -m tests.texts [LANGUAGE].

Prints the missing texts as entries to be filled in, and those that no text of the program needs any more.

A text of the program that looks like a sentence may reach a person's terminal, so it must be in the
catalogue, unless only a program or a log gets it. What takes such texts is in ENGLISH; a sentence that cannot
be told by that is in EXCEPTIONS.
"""

from __future__ import annotations

import ast
import json
import re
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
ENGLISH = {
    *("debug", "info", "warning", "error", "ready", "status"),  # logs, and what systemd shows
    *("effect", "probe", "Case", "Described", "AssertionError", "AttributeError"),  # for tests and scrapers
    *("compile", "findall", "fullmatch", "match", "search", "split", "sub", "startswith", "get"),
    *("option", "version_option"),  # help, which of_help has
}
"""Functions whose texts are for no person at a terminal."""
WORD = re.compile(r"[(`'\"-]*[A-Z]?[a-z]{2,}[)`'\",;:.?]*")
"""What a sentence has more than one of; most of SQL, and of what goes over a wire, has not."""
COMMAND = re.compile(
    r"\s*(?:systemctl|systemd-analyze|journalctl|chmod|chown|pip|openssl) "
    r"|(?:SELECT|CREATE|DELETE|ALTER|ON|INSERT INTO|UPDATE \S+ SET|CASE WHEN|import) "
)
"""How texts begin that are for a shell or a database."""
EXCEPTIONS = {
    # Of the log alone
    "a change was interrupted; its interfaces are restored as they were",
    "cannot ask by ARP whether another machine has an address: {}",
    "changed by its row",
    "could not restore everything: unexpected error: {}: {}",
    "others may read or write the password file {} (mode {}): chmod 0600 it",
    "others may write to {} (mode {}): chmod go-w it",
    "repaired drift",
    "the pass was broken off ({}); the next one begins in {} s",
    "the settings were not read again: {}; the old ones stay",
    "this cannot be read of the record, and is made anew: {}",
    "{} of another program went as the link was set up, and is given back",
    # Caught where they are raised
    "a netmask is not a prefix length",
    "a zone is no part of a network",
    "not a shape: {}",
    # In which a file of ours is damaged
    "{} is missing",
    "{} is no dict",
    "{} is no {}",
    # Written into files, sent, or printed as SQL
    "# Part of multinic; ",
    "'choose a password'",
    "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
    "Connection: close\r\n{}\r\n",
    "Managed by multinic. Changes here are undone: change the database, or /etc/multinic/templates.",
    "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reading the settings",
    "a dashboard: it reads",
    "an administrator, who runs `multinic db init` or `multinic db migrate` now",
    "the hosts, once the tables are there: they read, and write two columns and our own tables",
    # Words of others: of ip, of MySQL, of rich; names
    "(not shown)",
    "(using password: NO)",
    "bold green",
    "bold red",
    "from all",
    "mysql {} on {}",
    "on link",
    "{}{} table {} priority {}",
}
"""Sentences that need no translation."""
ELSEWHERE = ("database/tables.py", "demo/fleet.py", "demo/nodes.py", "demo/story.py", "flow/looked.py")
"""Modules whose sentences are SQL, for pages of the dashboard or the log, or translated by their name."""
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
    for tree in _modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in TRANSLATORS:
                texts = node.args[: TRANSLATORS[_name(node.func)]]
                found |= {str(text.value) for text in texts if isinstance(text, ast.Constant)}
    return found


def templates() -> set[str]:
    """Every text in the program, with {} for each value in it: messages are translated by these."""
    found = set()
    for tree in _modules().values():
        for node in ast.walk(tree):
            if (text := _template(node)) is not None:
                found.add(text)
            elif isinstance(node, ast.Call) and _name(node.func) == "counted":
                found |= _counted(node)
    return found


def sentences() -> set[str]:
    """Every text in the program that looks like a sentence for a person, with {} for each value in it."""
    trees = (tree for path, tree in _modules().items() if path not in ELSEWHERE)
    return {text for tree in trees for text in _sentences(tree)} - EXCEPTIONS


def _sentences(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.Compare) and isinstance(child, ast.Constant):
            continue  # looked for in the words of another
        if isinstance(child, ast.Call) and _name(child.func) in ENGLISH:
            continue
        text = _template(child)
        if text is not None and _is_sentence(text):
            yield text
        elif isinstance(child, ast.Call) and _name(child.func) == "counted":
            yield from _counted(child)
            continue
        parts = child.values if isinstance(child, ast.JoinedStr) else [child]
        for part in parts:
            yield from _sentences(part)


def _is_sentence(text: str) -> bool:
    words = [word for word in text.split() if WORD.fullmatch(word)]
    return len(words) > 1 and not COMMAND.match(text)


def _counted(call: ast.Call) -> set[str]:
    """Return the texts of a number with what it counts."""
    one, *several = [str(word.value) for word in call.args[1:] if isinstance(word, ast.Constant)]
    return {f"{{}} {word}" for word in (one, *(several or [f"{one}s"]))}


def _template(node: ast.AST) -> str | None:
    """Return the text of a constant or of a text with values in it; None for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


@cache
def _modules() -> dict[str, ast.Module]:
    paths = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    # The pages of the dashboard have a catalogue of their own; what keeps it from starting is for a terminal.
    return {
        str(path): ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
        for path in paths
        if path.parts[0] != "dashboard" or path.name in ("options.py", "run.py")
    }


def missing(known: dict[str, str]) -> list[str]:
    """Return the texts that a catalogue lacks."""
    return sorted((of_help() | of_calls() | sentences()) - set(known))


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
