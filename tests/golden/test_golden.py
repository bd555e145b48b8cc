"""The files that each backend writes, compared with files that were reviewed.

A case is a directory `tests/golden/<backend>/<case>/`. In it are `input.json` (a row of multi_interface as
the database gives it, its options, the slot that its MAC has, and the subnet's cidr) and, below `etc/`,
every file that must be rendered for it, at its path on the host. Both directions count: a file too many
fails like one too few.

To add a case, make the directory with its `input.json`, run `make golden` (`pytest tests/golden
--update-golden`) and read what was written as if someone else had. To change a template, do the same and
read the diff: it is what every host gets.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from multinic.backend.base import Backend
from multinic.backend.choice import named
from multinic.backend.render import Renderer
from multinic.database.rows import parse
from multinic.decide.naming import name_of
from multinic.decide.routing import resolved
from multinic.values.desired import DesiredLink
from multinic.values.settings import BACKENDS

HERE = Path(__file__).parent
CASES = sorted(path.parent.relative_to(HERE) for path in HERE.glob("*/*/input.json"))


def backend_of(case: Path) -> Backend:
    return named(case.parts[0])


def slot_of_case(case: Path) -> int:
    return int(_given(case)["slot"])


def _given(case: Path) -> dict[str, Any]:
    return dict(json.loads((HERE / case / "input.json").read_text(encoding="utf-8")))


def desired_of(case: Path) -> DesiredLink:
    given = _given(case)
    row = {"id": 1, "port_id": "2f6c7d2a-5e8c-4f0e-9d0e-3a1b6f1c9b11", **given["row"]}
    if "options" in given:
        row["options"] = json.dumps(given["options"])
    link = parse(row, {"cidr": given.get("cidr")})
    assert isinstance(link, DesiredLink), link
    return resolved(link, given["slot"], 1000)


def rendered(case: Path) -> dict[str, str]:
    name, link = name_of(slot_of_case(case)), desired_of(case)
    return dict(backend_of(case).files(name, link, Renderer("/nonexistent")))


def golden(case: Path) -> dict[str, str]:
    root = HERE / case
    return {
        f"/{path.relative_to(root)}": path.read_text(encoding="utf-8")
        for path in sorted((root / "etc").rglob("*"))
        if path.is_file()
    }


def update(case: Path, files: dict[str, str]) -> None:
    root = HERE / case
    for path in golden(case).keys() - files.keys():
        (root / path.lstrip("/")).unlink()
    for path, text in files.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_rendered_is_what_was_reviewed(case: Path, request: pytest.FixtureRequest) -> None:
    files = rendered(case)
    if request.config.getoption("--update-golden", default=False):
        update(case, files)
    assert files == golden(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_rendered_is_recognised_as_ours(case: Path) -> None:
    backend = backend_of(case)
    for path, text in golden(case).items():
        assert backend.slot_of_file(path) == slot_of_case(case)
        assert "multinic" in text.splitlines()[0], "the first line says who owns the file"
        assert text.endswith("\n")


def test_every_backend_that_writes_files_has_cases() -> None:
    assert {case.parts[0] for case in CASES} == set(BACKENDS) - {"auto", "netlink"}
