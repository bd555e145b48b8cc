"""The benchmarks of bench/ as tests: each still runs and yields its figures. None is judged by them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench.every import BENCHES
from tests.hosts import CHECKOUT, run


def benchmarks(*needs: str) -> pytest.MarkDecorator:
    """Run a test with each benchmark that needs one of these, but for those that take long."""
    names = [bench.name for bench in BENCHES.values() if bench.needs in needs and not bench.long]
    return pytest.mark.parametrize("name", names)


def check_yield(name: str, results: Path, python: str) -> None:
    """Run a benchmark at its smallest size, as `make bench` would."""
    command = (python, "bench/every.py", "--smallest", "--results", results, name)
    done = run("env", f"--chdir={CHECKOUT}", *command, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((results / "figures.json").read_text())["figures"]
    assert figures
    assert {figure["bench"] for figure in figures} == {name}
    assert all(math.isfinite(figure["value"]) for figure in figures)
    rows = [line.split("|")[1].strip() for line in (results / "table.md").read_text().splitlines()[2:]]
    assert sorted(rows) == sorted(figure["what"] for figure in figures)
