"""Where the desired state comes from: MySQL/MariaDB or SQLite, the same queries on both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multinic.database.dial import Allowed, anywhere
from multinic.database.session import Session
from multinic.values.errors import ConfigError
from multinic.values.settings import DatabaseSettings

if TYPE_CHECKING:
    from multinic.values.addresses import IPAddress

__all__ = ["Session", "connect", "identity"]


def identity(settings: DatabaseSettings) -> str:
    """Return what tells this database from others: product, name and hosts. Raises ConfigError."""
    if settings.url.startswith("sqlite:"):
        from multinic.database import sqlite

        return f"sqlite {os.path.abspath(sqlite.path_of(settings.url))}"
    from multinic.database.url import parse_url

    target = parse_url(settings.url)
    hosts = (
        [target.parameters["unix_socket"]]
        if "unix_socket" in target.parameters
        else [f"{host}:{port}" for host, port in target.hosts]
    )
    return f"mysql {target.name} on {', '.join(hosts)}"


def addresses(settings: DatabaseSettings) -> tuple[IPAddress, ...]:
    """Return the hosts of the database that are given as addresses; none for a URL that cannot be meant."""
    from contextlib import suppress
    from ipaddress import ip_address

    from multinic.database.url import parse_url

    found: list[IPAddress] = []
    with suppress(ConfigError):
        for host, _ in parse_url(settings.url).hosts if settings.url.startswith("mysql:") else ():
            with suppress(ValueError):  # a name
                found.append(ip_address(host))
    return tuple(found)


def connect(settings: DatabaseSettings, allowed: Allowed = anywhere) -> Session:
    """Return an open session, with a host at an address that is allowed.

    Raises ConfigError for a URL that cannot be meant, SourceError when nothing answers and
    SourceRejected when the answer is no.
    """
    scheme = settings.url.partition(":")[0]
    if scheme == "mysql":
        from multinic.database import mysql  # one of the two is needed

        return mysql.connect(settings, allowed)
    if scheme == "sqlite":
        from multinic.database import sqlite

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
