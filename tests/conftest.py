"""Fixtures that more than one tier uses, and the tiers themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.mariadb import PrivateMariaDB
from tests.tiers import pytest_addoption, pytest_configure, pytest_xdist_make_scheduler

# A shell that starts us in the background has us ignore it, and so would everything that we start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["pytest_addoption", "pytest_configure", "pytest_xdist_make_scheduler"]


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
