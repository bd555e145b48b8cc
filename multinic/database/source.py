"""Where the desired state comes from: MySQL/MariaDB or SQLite, the same queries on both."""

from __future__ import annotations

from multinic.errors import ConfigError
from multinic.settings import DatabaseSettings
from multinic.source.database import Database
from multinic.source.limit import deadline

__all__ = ["Database", "connect", "deadline"]


def connect(settings: DatabaseSettings) -> Database:
    """Return an open database.

    Raises ConfigError for a URL that cannot be meant, SourceError when nothing answers and
    SourceRejected when the answer is no.
    """
    scheme = settings.url.partition(":")[0]
    if scheme == "mysql":
        from multinic.source import mysql  # one of the two is needed

        return mysql.connect(settings)
    if scheme == "sqlite":
        from multinic.source import sqlite

        return sqlite.connect(settings)
    if not settings.url:
        raise ConfigError(
            "no database is configured",
            "set database.url in /etc/multinic/multinic.toml, or MULTINIC_DATABASE_URL, or --database-url",
        )
    raise ConfigError(
        "database.url is neither of MySQL nor of SQLite",
        "use mysql://user@host:3306/multinic or sqlite:////var/lib/multinic/multinic.db",
    )
