"""The locked libraries of the dashboard, as wheels for a host without a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement

from tests.hosts import CHECKOUT, run


def fetch(chosen: Path, wheels: Path) -> None:
    """Fetch the locked libraries for the Python of Debian 13, which may be another than that of the tests."""
    text = (CHECKOUT / "requirements/dashboard.txt").read_text().replace("\\\n", " ")
    there = {"python_version": "3.13", "python_full_version": "3.13.5"}
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    wanted = [line for line in lines if _is_for(line.partition(" --hash")[0], there)]
    chosen.write_text("\n".join(re.sub(r" ;.*?(?= --hash)", "", line) for line in wanted))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
    run(*command, "--only-binary=:all:", "--python-version=3.13", "--dest", wheels, "--requirement", chosen)


def _is_for(requirement: str, there: dict[str, str]) -> bool:
    marker = Requirement(requirement.strip()).marker
    return marker is None or marker.evaluate(there)
