"""The rooms of the program: the picture, the rule and the packages say the same."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path for path in (ROOT / "multinic").iterdir() if (path / "__init__.py").exists())


def layers() -> list[str]:
    """Return the layers that `make lint` checks, the highest first."""
    rule = configparser.ConfigParser()
    rule.read(ROOT / ".importlinter", encoding="utf-8")
    return rule["importlinter:contract:layers"]["layers"].split("\n")[1:]


def test_the_picture_in_contributing_is_the_rule_that_is_checked() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = text.partition("## Rooms")[2].split("```")[1].strip("\n").splitlines()
    assert [re.split(r" {2,}", line)[0] for line in picture] == layers()


def test_every_room_is_in_the_rule_and_in_parentheses_only_while_it_is_missing() -> None:
    rooms = {word for layer in layers() for word in layer.split(" | ")}
    there = {path.name for path in PACKAGES}
    assert {word for word in rooms if not word.startswith("(")} == there
    assert {word.strip("()") for word in rooms if word.startswith("(")} & there == set()


def test_every_module_is_in_a_room() -> None:
    loose = {path.name for path in (ROOT / "multinic").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py"}


def test_a_room_says_what_belongs_into_it_and_holds_nothing_else_there() -> None:
    for package in PACKAGES:
        tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
        statement = ast.get_docstring(tree) or ""
        assert 2 <= len([line for line in statement.splitlines() if line]) <= 3, package.name
        if package.name != "cli":  # it gives `main` when that is asked for
            assert len(tree.body) == 1, package.name
