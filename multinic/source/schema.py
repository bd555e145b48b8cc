"""Tables for a database that has none: `multinic db init`.

They are those of the MultiNIC controller, with the columns `address` and `mtu` of its later
versions, and an index for the one statement that every host sends.
"""

from __future__ import annotations

from collections.abc import Iterator

from multinic.config import DatabaseSettings
from multinic.errors import ConfigError, NoSuchDatabase
from multinic.source.database import Database, MissingTable

# {id}: a key that counts up by itself, spelled as the product wants it.
_TABLES = {
    "multi_subnet": """\
CREATE TABLE multi_subnet (
    id {id},
    subnet_id VARCHAR(36) NOT NULL UNIQUE,
    subnet_name VARCHAR(255),
    cidr VARCHAR(255) NOT NULL,
    network_id VARCHAR(36),
    status VARCHAR(50) DEFAULT 'active',
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    modified_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_at TIMESTAMP NULL DEFAULT NULL
)""",
    "node_table": """\
CREATE TABLE node_table (
    id {id},
    attached_node_id VARCHAR(36) NOT NULL UNIQUE,
    attached_node_name VARCHAR(255) NOT NULL UNIQUE,
    status VARCHAR(50) DEFAULT 'active',
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    modified_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_at TIMESTAMP NULL DEFAULT NULL
)""",
    "multi_interface": """\
CREATE TABLE multi_interface (
    id {id},
    port_id VARCHAR(36) NOT NULL UNIQUE,
    subnet_id VARCHAR(36) NOT NULL,
    macaddress VARCHAR(17) NOT NULL,
    address VARCHAR(255),
    mtu INT,
    attached_node_id VARCHAR(36),
    attached_node_name VARCHAR(255),
    cr_namespace VARCHAR(255),
    cr_name VARCHAR(255),
    status VARCHAR(50) DEFAULT 'active',
    netplan_success TINYINT(1) DEFAULT 0,
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    modified_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_at TIMESTAMP NULL DEFAULT NULL
)""",
}
_INDEX = "CREATE INDEX multi_interface_node ON multi_interface (attached_node_name)"
_ID = {"mysql": "INT AUTO_INCREMENT PRIMARY KEY", "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT"}


def init(settings: DatabaseSettings) -> Iterator[str]:
    """Create what is missing and yield a line about each table. Raises SourceError and ConfigError."""
    with _connect(settings) as database:
        for table, statement in _TABLES.items():
            if _exists(database, table):
                yield f"{database.where}: table {table} exists already; left as it is"
                continue
            database.execute(statement.format(id=_ID[database.product]), ())
            if table == "multi_interface":
                database.execute(_INDEX, ())
            yield f"{database.where}: table {table} created"


def _connect(settings: DatabaseSettings) -> Database:
    scheme = settings.url.partition(":")[0]
    if scheme == "sqlite":
        from multinic.source import sqlite

        return sqlite.connect(settings, create=True)
    if scheme == "mysql":
        from multinic.source import mysql

        try:
            return mysql.connect(settings)
        except NoSuchDatabase:
            mysql.create_database(settings)
            return mysql.connect(settings)
    raise ConfigError(
        "no database is configured",
        "give --database-url mysql://user@host/name or sqlite:////path/to/file.db",
    )


def _exists(database: Database, table: str) -> bool:
    try:
        database.execute(f"SELECT 1 FROM {table} WHERE 1 = 0", ())  # noqa: S608 - one of the names above
    except MissingTable:
        return False
    return True
