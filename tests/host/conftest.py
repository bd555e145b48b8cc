"""A booted host for the tests of this tier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.host.kinds import KINDS
from tests.host.nspawn import Box
from tests.mariadb import PrivateMariaDB
from tests.node import database_server


@pytest.fixture(scope="session")
def boxes() -> Iterator[Callable[[str], Box]]:
    """The hosts that the tests of a run share, one of each kind, booted when a test first asks for it.

    A host is in whatever state the last test left it.
    """
    with ExitStack() as stack:

        @cache
        def booted(kind: str) -> Box:
            return stack.enter_context(Box(KINDS[kind], coverage=coverage_file()))

        yield booted


@pytest.fixture(scope="session")
def box(boxes: Callable[[str], Box]) -> Box:
    """The shared host with netplan, of the newest kind."""
    return boxes("netplan")


@pytest.fixture(scope="session")
def server(box: Box) -> Iterator[PrivateMariaDB]:
    """A database server in the cloud around the host."""
    with database_server(box.cloud_prefix, box.gateway) as server:
        yield server


@pytest.fixture
def clean(box: Box) -> Box:
    """The shared host with its eth0 alone, and nothing of the program on it."""
    box.clean()
    return box


def coverage_file() -> Path | None:
    """Return the data file of the coverage measurement that we run under, if we do."""
    try:
        from coverage import Coverage
    except ImportError:
        return None
    measured = Coverage.current()
    return Path(str(measured.get_option("run:data_file"))).absolute() if measured else None
