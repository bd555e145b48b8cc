"""Fixtures that more than one tier uses, and the tiers themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.mariadb import PrivateMariaDB
from tests.tiers import (
    pytest_addoption,
    pytest_configure,
    pytest_report_header,
    pytest_xdist_make_scheduler,
)

__all__ = ["pytest_addoption", "pytest_configure", "pytest_report_header", "pytest_xdist_make_scheduler"]

# A property holds on a busy machine, too: no limit of 200 ms for an example, none for finding one. And a
# directory that examples share (tmp_path) is meant to be shared.
settings.register_profile(
    "multinic",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("multinic")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[PrivateMariaDB]:
    """A real MariaDB of this run alone, on the loopback address."""
    with PrivateMariaDB() as server:
        server.start()
        yield server


@pytest.fixture
def database(mariadb: PrivateMariaDB) -> Iterator[str]:
    """A fresh, empty database of that server: its name."""
    name = mariadb.fresh_database()
    yield name
    mariadb.execute(f"DROP DATABASE `{name}`")
