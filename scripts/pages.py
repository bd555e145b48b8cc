"""Write the pages that say what the program says of itself: docs/commands.md and docs/settings.md.

    python scripts/pages.py [DIRECTORY]

`make pages` runs it; a test compares what it writes with the pages that are there.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# A terminal of 80 columns, and English.
os.environ.update({"COLUMNS": "80", "LC_ALL": "C.UTF-8", "LANGUAGE": "en", "NO_COLOR": "1"})
os.environ.pop("MULTINIC_CONFIG", None)

import click  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from multinic.cli import main  # noqa: E402
from multinic.values.settings import KEYS, Key  # noqa: E402

COMMANDS = """\
# Commands

This is what each command says with `--help`. [The reference](reference.md#commands) says more of every
option, and names the exit statuses. `make pages` writes this page.
"""
SETTINGS = """\
# Settings

Every setting has a default, except `database.url`. Write into `/etc/multinic/multinic.toml` what shall
differ. A variable of the environment beats the file, an option of the command line beats both. A setting
with a dot in its name is in a table: `database.url` is `url` below `[database]`.

[The reference](reference.md#configuration) has all of them in one table, the parameters of `database.url`,
and where the password may be. On a host, `multinic.toml(5)` says the same. `make pages` writes this page.
"""


def commands() -> str:
    """Return the page of the commands: the help of the program, then that of each command."""
    parts = [COMMANDS, _help("multinic")]
    for line in _commands(main, "multinic"):
        more = f"[More about `{line}`](reference.md#{line.replace(' ', '-')})"
        parts += [f"## {line}\n", _help(line), f"{more}\n"]
    return "\n".join(parts)


def _commands(group: click.Group, before: str) -> Iterator[str]:
    """Yield the command lines of all commands, in the order of their names."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before} {name}")
        elif not command.hidden:
            yield f"{before} {name}"


def _help(line: str) -> str:
    """Return the help of a command as it is on a terminal."""
    done = CliRunner().invoke(main, [*line.split()[1:], "--help"], prog_name="multinic")
    if done.exit_code:
        raise SystemExit(f"{line}: {done.output}")
    return f"```text\n$ {line} --help\n{done.output.rstrip()}\n```\n"


def settings() -> str:
    """Return the page of the settings: each with the words of the file that packages install."""
    words = dict(_words((ROOT / "packaging/multinic.toml").read_text(encoding="utf-8")))
    parts, table = [SETTINGS], None
    for key in KEYS:
        before, _, _ = key.name.rpartition(".")
        if before != table:
            table = before
            parts.append(f"## [{table}]\n" if table else "## Without a table\n")
        parts.append(f"### {key.name}\n\n{words[key.name]}\n\n{_known(key)}\n")
    return "\n".join(parts)


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield each setting of the file and the comment above it; settings below one comment share it."""
    table, comment = "", []
    for line in text.splitlines():
        if found := re.match(r"\[(\w+)\]$", line):
            table = f"{found[1]}."
        elif found := re.match(r"#(\w+) = ", line):
            yield f"{table}{found[1]}", _code(" ".join(comment))
        elif line.startswith("# "):
            comment.append(line.removeprefix("# "))
        else:
            comment.clear()


def _code(words: str) -> str:
    """Set quoted values as code, and keep Markdown from reading the rest as its own."""
    quoted = re.sub(r'"([^"`]*)"', r"`\1`", words)
    return re.sub(r"(`[^`]*`)|([<>*])", lambda found: found[1] or f"\\{found[2]}", quoted)


def _known(key: Key) -> str:
    default = key.default
    shown = f"{default:g}s" if isinstance(default, float) else str(default)
    if isinstance(default, bool):
        shown = shown.lower()
    variables = " or ".join(f"`{name}`" for name in (key.variable, *key.variables))
    return f"Default: {f'`{shown}`' if shown else 'empty'}. Environment: {variables}."


if __name__ == "__main__":
    place = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs"
    for title, text in (("commands", commands()), ("settings", settings())):
        (place / f"{title}.md").write_text(text, encoding="utf-8")
