"""Programs for single tests, installed or unpacked by scripts/unpack.sh."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

_BUILD = Path(__file__).resolve().parent.parent / "build"


def program(path: str, *, package: str, tier: str, hint: str) -> str:
    """Return the path of a program that is at `path` in a package; without it the test ends."""
    name, unpacked = Path(path).name, _BUILD / package / path
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else "")
    if not found:
        end_without(f"{name} not found ({hint})", tier)
    return found


def end_without(words: str, tier: str) -> NoReturn:
    """End a test that lacks something: it fails if its tier is required, else it is skipped."""
    required = os.environ.get("MULTINIC_TEST_REQUIRE", "").replace(",", " ").split()
    if {"all", tier} & set(required):
        pytest.fail(words)
    pytest.skip(words)
