"""A booted host for the tests of this tier."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.host.nspawn import Box


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """One host that the tests of a run share, in whatever state the last one left it."""
    with Box(coverage=coverage_file()) as box:
        yield box


@pytest.fixture
def clean(box: Box) -> Box:
    """The shared host with its eth0 alone, and nothing of the program on it."""
    box.clean()
    return box


def coverage_file() -> str | None:
    """Return the data file of the coverage measurement that we run under, if we do."""
    try:
        from coverage import Coverage
    except ImportError:
        return None
    measured = Coverage.current()
    return os.path.abspath(str(measured.get_option("run:data_file"))) if measured else None  # noqa: PTH100
