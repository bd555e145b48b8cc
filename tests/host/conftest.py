"""A booted host for the tests of this tier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.nspawn import Box
from tests.mariadb import PrivateMariaDB


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    """One host that the tests of a run share, in whatever state the last one left it."""
    with Box(coverage=coverage_file()) as box:
        yield box


@pytest.fixture(scope="session")
def server(box: Box) -> Iterator[PrivateMariaDB]:
    """A database server in the cloud around the host."""
    with PrivateMariaDB() as server:
        server.start(box.cloud_prefix, address=box.gateway)
        server.execute("CREATE USER multinic@'%' IDENTIFIED BY 'hush-hush'")
        server.execute("GRANT SELECT, UPDATE ON *.* TO multinic@'%'")
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
