"""The files in requirements/ are what pyproject.toml says: `make lock` was not forgotten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text()
# "name[extra]>=1.2; marker": every requirement of this project has a lower bound and no other, or none.
REQUIREMENT = re.compile(r'"([A-Za-z][\w-]*)(?:\[\w+\])?(?:>=([\d.]+))?(?:;[^"]*)?"[],\n]')


def required(name: str) -> dict[str, str]:
    """Return the requirements of one list in pyproject.toml and their lower bounds."""
    (body,) = re.findall(rf"^{name} = \[(.*?)\]\s*(?:#.*)?$", PROJECT, re.MULTILINE | re.DOTALL)
    return {found[1].lower(): found[2] or "" for found in REQUIREMENT.finditer(body + "\n")}


def pinned(name: str) -> dict[str, str]:
    """Return what one of the files installs."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.MULTILINE))


def version(text: str) -> list[int]:
    """Return a version in a form that compares; 3.0 and 3.0.0 are the same."""
    numbers = [int(part) for part in text.split(".")]
    while numbers[-1:] == [0]:
        numbers.pop()
    return numbers


@pytest.mark.parametrize(
    ("group", "file"),
    [
        ("dependencies", "run"),
        ("metrics", "run"),
        ("build", "run"),
        ("test", "test"),
        ("lint", "lint"),
        ("dashboard", "dashboard"),
        ("web", "web"),
        ("fleet", "fleet"),
        ("docs", "docs"),
    ],
)
def test_what_is_required_is_pinned_to_a_version_that_is_allowed(group, file):
    wanted, used = required(group), pinned(file)
    assert wanted
    for name, lowest in wanted.items():
        assert version(used[name]) >= version(lowest or "0")


@pytest.mark.parametrize("group", ["dependencies", "metrics", "build"])
def test_the_lowest_versions_are_the_ones_that_are_tried(group):
    used = pinned("lowest")
    assert {name: version(used[name]) for name in required(group)} == {
        name: version(lowest) for name, lowest in required(group).items()
    }


@pytest.mark.parametrize("file", sorted((ROOT / "requirements").iterdir()), ids=lambda path: path.name)
def test_the_files_name_no_registry(file):
    assert "://" not in file.read_text()
    assert "index-url" not in file.read_text()
