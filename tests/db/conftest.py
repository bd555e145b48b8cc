"""The db tier: the same promises on a real MariaDB and on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from multinic.database import source
from multinic.database.session import Session
from multinic.values.settings import DatabaseSettings, Secret
from tests.schemas import execute


def settings(url: str, password: str = "", **changes: Any) -> DatabaseSettings:
    """Return settings for a URL, with the default limits unless changed."""
    made = DatabaseSettings(url, Secret(password), connect_timeout=3, read_timeout=5, ignore_deleted_at=False)
    return made._replace(**changes)


@dataclass
class Store:
    """An empty database: `connection` is the controller's, `open()` is ours."""

    product: str
    url: str
    connection: Any

    def open(self, **changes: Any) -> Session:
        """Return our own open connection."""
        return source.connect(settings(self.url, **changes))

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run one statement as the controller would; values are marked by %s."""
        return [dict(row) for row in execute(self.connection, statement, *values).fetchall()]


@pytest.fixture(params=["mariadb", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Store]:
    """An empty database of either product, reached as root."""
    if request.param == "sqlite":
        path = tmp_path / "multinic.db"
        connection: Any = sqlite3.connect(path, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("VACUUM")  # so that the file exists
        url = f"sqlite:///{path}"
    else:
        server, name = request.getfixturevalue("mariadb"), request.getfixturevalue("database")
        connection = server.connect(database=name)
        url = server.url(database=name)
    yield Store(request.param, url, connection)
    connection.close()
