"""Tables for a database that has none (`multinic db init`), columns for one that has (`multinic db migrate`).

The tables are those of the MultiNIC controller, with the columns `address` and `mtu` of its later
versions, our `options`, and indexes for the one statement that every host sends and for the dashboard. Our
own tables beside them are in tables.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from multinic.database import peers, source, tables
from multinic.database.connection import Missing
from multinic.database.session import NEEDED, Session
from multinic.values.errors import ConfigError, NoSuchDatabase, SourceError, SourceRejected
from multinic.values.settings import DatabaseSettings

# {id}: a key that counts up by itself, {json}: the type for JSON, both spelled as the product wants them.
_TABLES = {
    "multi_subnet": """\
CREATE TABLE multi_subnet (
    id {id},
    subnet_id VARCHAR(36) NOT NULL UNIQUE,
    subnet_name VARCHAR(255),
    cidr VARCHAR(255) NOT NULL,
    options {json},
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
    options {json},
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
_INDEXES = (
    "CREATE INDEX multi_interface_node ON multi_interface (attached_node_name)",
    "CREATE INDEX multi_interface_node_id ON multi_interface (attached_node_id)",
    "CREATE INDEX multi_interface_subnet ON multi_interface (subnet_id)",
)
_TYPES = {
    "mysql": {"id": "INT AUTO_INCREMENT PRIMARY KEY", "json": "JSON"},
    "sqlite": {"id": "INTEGER PRIMARY KEY AUTOINCREMENT", "json": "TEXT"},
}

# What an older table may lack, in the words of _TABLES.
_OPTIONAL = {
    "multi_interface": {"address": "VARCHAR(255)", "mtu": "INT", "options": "{json}"},
    "multi_subnet": {"options": "{json}"},
}
_CREATE = (
    "run it once as a user who may CREATE and INSERT: with --user NAME --ask-password; "
    "`multinic db grants` prints the statements that make such a user"
)
_ALTER_TIMEOUT = 60.0  # seconds: an older server writes the whole table anew


def init(settings: DatabaseSettings) -> Iterator[str]:
    """Create what is missing and yield a line about each table. Raises SourceError and ConfigError."""
    with _connect(settings) as database:
        for table, statement in _TABLES.items():
            if _exists(database, table):
                yield f"{database.where}: table {table} exists already; left as it is"
                continue
            with _as_administrator():
                database.execute(statement.format(**_TYPES[database.product]), ())
                for index in _INDEXES if table == "multi_interface" else ():
                    database.execute(index, ())
            yield f"{database.where}: table {table} created"
        yield from _ours(database)


def migrate(settings: DatabaseSettings) -> Iterator[str]:
    """Add the optional columns and the tables of ours that are missing; yield a line about each.

    Alters and drops nothing else. Raises SourceError and ConfigError; what was added before that stays.
    """
    with source.connect(settings._replace(read_timeout=_ALTER_TIMEOUT)) as database:
        if database.product == "mysql":
            # While a change of a table waits for a transaction, every host's SELECT waits behind it.
            limit = max(1, round(settings.read_timeout))
            database.execute(f"SET SESSION lock_wait_timeout = {limit}", ())
        for table, optional in _OPTIONAL.items():
            try:
                present = _columns(database, table)
            except Missing:
                if table == "multi_interface":
                    raise SourceRejected(
                        f"{database.where}: there is no table multi_interface",
                        "create the tables with `multinic db init`, or correct the name in database.url",
                    ) from None
                yield f"{database.where}: there is no table {table}; it is not needed"
                continue
            if table == "multi_interface" and (missing := NEEDED - present):
                raise SourceRejected(
                    f"{database.where}: table multi_interface has no column {', '.join(sorted(missing))}",
                    "this is not the table of the MultiNIC controller; correct the name in database.url",
                )
            for column, kind in optional.items():
                spelled = kind.format(**_TYPES[database.product])
                added = column not in present and _add(database, table, column, spelled)
                words = f"added ({spelled})" if added else "exists already; left as it is"
                yield f"{database.where}: column {table}.{column} {words}"
        yield from _ours(database)


def release_brake(settings: DatabaseSettings, by_whom: str) -> Iterator[str]:
    """Let what failed on many nodes until now not hold the others any more. Raises SourceError."""
    with source.connect(settings) as database:
        try:
            with _as_administrator():
                peers.release(database, by_whom)
        except Missing:
            raise SourceRejected(
                f"{database.where}: there is no table multinic_release", "make it with `multinic db migrate`"
            ) from None
        yield f"{database.where}: the fleet brake is released: failures before now do not count"


def _ours(database: Session) -> Iterator[str]:
    """Create those of our own tables that do not exist, and yield a line about each. Raises SourceError."""
    for table in tables.OURS:
        made = not _exists(database, table) and _make(database, table)
        yield f"{database.where}: table {table} {'created' if made else 'exists already; left as it is'}"


def _make(database: Session, table: str) -> bool:
    """Create one of our tables; return False when somebody else has just done so. Raises SourceError."""
    whole = database.transaction() if database.product == "sqlite" else nullcontext()  # with its indexes
    try:
        with _as_administrator(), whole:
            for statement in tables.statements(table, database.product):
                database.execute(statement, ())
    except SourceError:
        if not _exists(database, table):
            raise
        return False
    return True


def _add(database: Session, table: str, column: str, kind: str) -> bool:
    """Add a column; return False when somebody else has just done so. Raises SourceError."""
    statement = f"ALTER TABLE {table} ADD COLUMN {column} {kind}"
    try:
        database.execute(statement, ())
    except SourceRejected as e:
        raise SourceRejected(
            str(e),
            f"run it as a user who may ALTER the table (`multinic db grants`), or have it done: {statement}",
        ) from None
    except SourceError as e:
        if column in _columns(database, table):
            return False
        raise type(e)(
            str(e), f"{table}.{column} was not added; try again when nobody uses the table"
        ) from None
    return True


def _connect(settings: DatabaseSettings) -> Session:
    scheme = settings.url.partition(":")[0]
    if scheme == "sqlite":
        from multinic.database import sqlite

        return sqlite.connect(settings, create=True)
    if scheme == "mysql":
        from multinic.database import mysql

        try:
            return mysql.connect(settings)
        except NoSuchDatabase:
            with _as_administrator():
                mysql.create_database(settings)
            return mysql.connect(settings)
    raise ConfigError(
        "no database is configured",
        "give --database-url mysql://user@host/name or sqlite:////path/to/file.db",
    )


@contextmanager
def _as_administrator() -> Iterator[None]:
    """Say who may create tables where the server says that this user may not."""
    try:
        yield
    except SourceRejected as e:
        if "denied" not in str(e):
            raise
        raise SourceRejected(str(e), _CREATE) from None


def _exists(database: Session, table: str) -> bool:
    try:
        _columns(database, table)
    except Missing:
        return False
    return True


def _columns(database: Session, table: str) -> frozenset[str]:
    """Return the names of a table's columns, in lower case. Raises Missing and SourceError."""
    names, _, _ = database.execute(f"SELECT * FROM {table} WHERE 1 = 0", ())  # noqa: S608 - one of the above
    return frozenset(name.lower() for name in names)
