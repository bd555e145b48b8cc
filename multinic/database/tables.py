"""Our own tables, in which the hosts tell how they fare. docs/reference.md explains every column.

Times are those of the database's own clock, in UTC. Text is compared byte for byte: two nodes whose names a
collation takes for one must not write to one row. What a statement sorts by is never NULL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

INTERFACE, NODE, EVENT, RELEASE = "multinic_interface", "multinic_node", "multinic_event", "multinic_release"
OURS = (NODE, INTERFACE, EVENT, RELEASE)
"""Our tables. The hosts write to all but the last one."""
WRITTEN = (NODE, INTERFACE, EVENT)
"""The tables to which hosts write."""

NODE_MAX = 253
"""Characters of a node's name: the longest name that DNS has."""
LENGTHS = {
    "node": NODE_MAX,
    "version": 64,
    "backend": 32,
    "boot_id": 64,
    "last_result": 16,
    "error_code": 64,
    "error": 1024,
    "interface_key": 64,
    "port_id": 64,
    "name": 64,
    "mac": 64,
    "state": 16,
    "reason": 64,
    "message": 1024,
    "addresses": 2048,
    "operational": 16,
    "kind": 16,
    "attempt": 16,
    "fields": 255,
    "changes": 4096,
    "by_whom": 255,
}
"""Text column → how many characters it holds; what is longer is cut."""


class _Table(NamedTuple):
    columns: tuple[str, ...]
    """In words of both products, with {id} for a key that counts up by itself."""
    unique: tuple[str, ...] = ()
    indexes: tuple[tuple[str, str], ...] = ()
    """Name (after the table's) and columns."""


_TABLES = {
    NODE: _Table(
        columns=(
            f"node VARCHAR({NODE_MAX}) NOT NULL PRIMARY KEY",
            *(f"{name} VARCHAR({LENGTHS[name]}) NOT NULL DEFAULT ''" for name in ("version", "backend")),
            f"boot_id VARCHAR({LENGTHS['boot_id']}) NOT NULL DEFAULT ''",
            "last_seen DATETIME NOT NULL",
            f"last_result VARCHAR({LENGTHS['last_result']}) NOT NULL DEFAULT ''",
            "exit_status INT NOT NULL DEFAULT 0",
            *(
                f"{name} INT NOT NULL DEFAULT 0"
                for name in ("interfaces", "converged", "waiting", "blocked", "invalid", "failed")
            ),
            *(f"{name} VARCHAR({LENGTHS[name]}) NOT NULL DEFAULT ''" for name in ("error_code", "error")),
            "since DATETIME NOT NULL",
            "changed DATETIME NOT NULL",
        ),
        indexes=(
            ("last_seen", "last_seen, node"),
            ("result", "last_result, since, node"),
            ("changed", "changed"),
        ),
    ),
    INTERFACE: _Table(
        columns=(
            "id {id}",
            f"node VARCHAR({NODE_MAX}) NOT NULL",
            f"interface_key VARCHAR({LENGTHS['interface_key']}) NOT NULL",
            "row_id BIGINT NULL",
            *(
                f"{name} VARCHAR({LENGTHS[name]}) NOT NULL DEFAULT ''"
                for name in ("port_id", "name", "mac", "state", "reason", "message", "addresses")
            ),
            "mtu INT NULL",
            f"operational VARCHAR({LENGTHS['operational']}) NOT NULL DEFAULT ''",
            "since DATETIME NOT NULL",
            "changed DATETIME NOT NULL",
        ),
        unique=("node, interface_key",),
        indexes=(
            ("node", "node, id"),
            ("state", "state, since, id"),
            ("reason", "reason, id"),
            ("changed", "changed"),
            ("port", "port_id"),
            ("mac", "mac"),
        ),
    ),
    EVENT: _Table(
        columns=(
            "id {id}",
            f"node VARCHAR({NODE_MAX}) NOT NULL",
            "number BIGINT NOT NULL",
            "at DATETIME NOT NULL",
            *(f"{name} VARCHAR({LENGTHS[name]}) NOT NULL" for name in ("kind", "attempt", "fields")),
            "row_id BIGINT NULL",
            *(
                f"{name} VARCHAR({LENGTHS[name]}) NOT NULL DEFAULT ''"
                for name in ("port_id", "name", "mac", "reason", "message", "changes")
            ),
        ),
        unique=("node, number",),
        indexes=(("node", "node, at, id"), ("at", "at, id"), ("attempt", "attempt, at, id")),
    ),
    RELEASE: _Table(
        columns=(
            "id {id}",
            "at DATETIME NOT NULL",
            f"by_whom VARCHAR({LENGTHS['by_whom']}) NOT NULL DEFAULT ''",
        ),
        indexes=(("at", "at, id"),),
    ),
}
_ID = {"mysql": "BIGINT AUTO_INCREMENT PRIMARY KEY", "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT"}
# DYNAMIC: keys of 3,072 bytes, where a server's default of old (COMPACT) allows 767 a column.
_MYSQL = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


def statements(table: str, product: str) -> Iterator[str]:
    """Yield the statements that make a table: one on MySQL, where each is a transaction of its own."""
    shape = _TABLES[table]
    parts = [column.format(id=_ID[product]) for column in shape.columns]
    parts += [f"UNIQUE ({columns})" for columns in shape.unique]
    if product == "mysql":
        parts += [f"INDEX {table}_{name} ({columns})" for name, columns in shape.indexes]
    end = _MYSQL if product == "mysql" else ""
    yield "CREATE TABLE {} (\n    {}\n) {}".format(table, ",\n    ".join(parts), end).rstrip()
    if product == "sqlite":
        for name, columns in shape.indexes:
            yield f"CREATE INDEX {table}_{name} ON {table} ({columns})"
