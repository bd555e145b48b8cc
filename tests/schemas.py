"""The tables that nodes meet in the field, in their variants, for MariaDB and SQLite alike.

`BASE` is the one table that the first agent documented; `CONTROLLER` is what the public controller creates.
Each is seen with and without the later columns `address`, `mtu` and `options`.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, replace
from typing import Any

INTERFACE = """
CREATE TABLE multi_interface (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    port_id VARCHAR(36) NOT NULL,
    subnet_id VARCHAR(36) NOT NULL,
    macaddress VARCHAR(17) NOT NULL,
    attached_node_name VARCHAR(255),
    netplan_success TINYINT(1) DEFAULT 0{more}
)"""

CONTROLLER_COLUMNS = """
    attached_node_id VARCHAR(36),
    cr_namespace VARCHAR(255) NOT NULL,
    cr_name VARCHAR(255) NOT NULL,
    status VARCHAR(50) DEFAULT 'active',
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    modified_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_at TIMESTAMP NULL,
    UNIQUE (port_id),
    UNIQUE (cr_namespace, cr_name, port_id),
    FOREIGN KEY (subnet_id) REFERENCES multi_subnet (subnet_id),
    FOREIGN KEY (attached_node_id) REFERENCES node_table (attached_node_id)"""

SUBNET = """
CREATE TABLE multi_subnet (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    subnet_id VARCHAR(36) NOT NULL UNIQUE,
    subnet_name VARCHAR(255) NOT NULL,
    cidr VARCHAR(255) NOT NULL,
    network_id VARCHAR(36),
    status VARCHAR(50) DEFAULT 'active',
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    modified_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_at TIMESTAMP NULL{more}
)"""

NODE = """
CREATE TABLE node_table (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    attached_node_id VARCHAR(36) NOT NULL UNIQUE,
    attached_node_name VARCHAR(255) NOT NULL UNIQUE,
    status VARCHAR(50) DEFAULT 'active',
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    modified_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_at TIMESTAMP NULL
)"""


@dataclass(frozen=True)
class Schema:
    """One variant: `create(connection)` makes its tables, `attach(connection, mac)` fills them."""

    controller: bool = False
    """The controller's tables, not the base table alone."""
    address: bool = True
    mtu: bool = True
    options: bool = True

    def __str__(self) -> str:
        words = ["controller" if self.controller else "base"]
        return "+".join(words + ["address"] * self.address + ["mtu"] * self.mtu + ["options"] * self.options)

    @property
    def statements(self) -> list[str]:
        """The CREATE TABLE statements, in MariaDB's words."""
        columns = ["\n    address VARCHAR(255)"] * self.address + ["\n    mtu INT"] * self.mtu
        options = ["\n    options TEXT"] * self.options
        columns += options
        columns += [CONTROLLER_COLUMNS] * self.controller  # last: it ends with the keys
        interface = INTERFACE.format(more="".join(f",{column}" for column in columns))
        subnet = SUBNET.format(more="".join(f",{column}" for column in options))
        return [subnet, NODE, interface] if self.controller else [interface]

    def create(self, connection: Any) -> None:
        """Create the tables in the database of a PyMySQL or sqlite3 connection."""
        for statement in self.statements:
            execute(connection, _for_sqlite(statement) if _is_sqlite(connection) else statement)

    def attach(
        self,
        connection: Any,
        macaddress: str | None,
        *,
        node: str = "node1",
        port_id: str | None = None,
        subnet_id: str = "subnet-1",
        cidr: str = "10.0.0.0/24",
        **values: Any,
    ) -> int:
        """Insert what the controller writes when it attaches a port, and return the row's id.

        The rows of the subnet and the node are made when they are not there yet; `values` are further
        columns, also ones that overwrite the usual value.
        """
        row: dict[str, Any] = {
            "port_id": port_id or f"port-{macaddress}",
            "subnet_id": subnet_id,
            "macaddress": macaddress,
            "attached_node_name": node,
        }
        if self.controller:
            _once(connection, "multi_subnet", "subnet_id", subnet_id, subnet_name=subnet_id, cidr=cidr)
            _once(connection, "node_table", "attached_node_id", f"id-{node}", attached_node_name=node)
            row |= {"attached_node_id": f"id-{node}", "cr_namespace": "default", "cr_name": "multinic"}
        return insert(connection, "multi_interface", **(row | values))


BASE = Schema()
CONTROLLER = Schema(controller=True)
VARIANTS = [
    replace(schema, address=extra, mtu=extra, options=extra)
    for schema in (BASE, CONTROLLER)
    for extra in (False, True)
]
"""For `@pytest.mark.parametrize("schema", VARIANTS, ids=str)`."""


def insert(connection: Any, table: str, **values: Any) -> int:
    """Insert one row and return its id. The caller's transaction is left as it is."""
    columns = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    cursor = execute(connection, f"INSERT INTO {table} ({columns}) VALUES ({marks})", *values.values())
    return int(cursor.lastrowid)


def execute(connection: Any, statement: str, *values: Any) -> Any:
    """Run one statement, its values marked by %s, on either kind of connection and return the cursor."""
    cursor = connection.cursor()
    if _is_sqlite(connection):
        cursor.execute(statement.replace("%s", "?"), values)
    else:
        cursor.execute(statement, values or None)
    return cursor


def _once(connection: Any, table: str, key: str, value: str, **values: Any) -> None:
    if not execute(connection, f"SELECT 1 FROM {table} WHERE {key} = %s", value).fetchall():
        insert(connection, table, **{key: value}, **values)


def _is_sqlite(connection: Any) -> bool:
    return isinstance(connection, sqlite3.Connection)


def _for_sqlite(statement: str) -> str:
    return re.sub(r"INT NOT NULL AUTO_INCREMENT PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT", statement)
