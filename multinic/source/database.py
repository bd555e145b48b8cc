"""The statements that multinic speaks, portable between MySQL/MariaDB and SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from multinic.errors import SourceRejected
from multinic.model import Desired, IPAddress
from multinic.source import rows

Row = dict[str, Any]

# One statement a pass. `i.*` rather than names: a column that an older database lacks is simply
# not there, and one that is added later is seen at once, without asking for the schema.
# LIKE, because MySQL's and SQLite's `=` differ in case, and a node name has none. The marker
# column parts the columns of the two tables, many of which share their names.
_SELECT = """\
SELECT i.*, NULL AS _subnet{subnet_columns} FROM multi_interface i{join}
WHERE i.attached_node_name LIKE {p} ESCAPE '!' OR i.attached_node_name LIKE {p} ESCAPE '!'
OR i.attached_node_name LIKE {p} ESCAPE '!' ORDER BY i.id"""
_JOIN = " LEFT JOIN multi_subnet s ON s.subnet_id = i.subnet_id"


class MissingTable(Exception):
    """A statement named a table that the database lacks."""


@dataclass
class Database:
    """An open connection, whichever product is behind it.

    `execute` runs one statement and returns column names, rows and the count of changed rows;
    it raises MissingTable, SourceError or SourceRejected, nothing else.
    """

    execute: Callable[[str, Sequence[Any]], tuple[list[str], Iterable[Sequence[Any]], int]]
    close: Callable[[], None]
    transaction: Callable[[], AbstractContextManager[None]]
    """A context that commits its statements together, or none of them."""
    placeholder: str
    product: str
    """"mysql" or "sqlite": for the few statements that differ (`db init`)."""
    where: str
    """The database for messages: product, host and name, never a password."""
    address: IPAddress | None = None
    """The address that answered; None for a socket or a file."""
    subnets: bool = True
    """Whether a table multi_subnet is believed to exist."""
    columns: frozenset[str] = field(default=frozenset())
    """The columns of multi_interface, known after `read`."""

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, node: str, *, ignore_deleted_at: bool = False) -> Desired:
        """Return everything desired of one node.

        Raises SourceError, SourceRejected, and ConfigError when the node name is ambiguous.
        """
        names = rows.node_patterns(node)
        try:
            found = self._select(names)
        except MissingTable:
            self.subnets = not self.subnets  # what we believed of the schema is out of date
            try:
                found = self._select(names)
            except MissingTable:
                raise SourceRejected(
                    f"{self.where}: there is no table multi_interface",
                    "create the tables with `multinic db init`, or correct the database name in database.url",
                ) from None
        desired = rows.desired(node, found, ignore_deleted_at=ignore_deleted_at)
        return Desired(desired.node, desired.links, desired.invalid, desired.flags, self.address)

    def _select(self, names: Sequence[str]) -> list[tuple[Row, Row]]:
        statement = _SELECT.format(
            p=self.placeholder,
            subnet_columns=", s.*" if self.subnets else "",
            join=_JOIN if self.subnets else "",
        )
        columns, found, _ = self.execute(statement, names)
        marker = columns.index("_subnet")
        names_of_row = [name.lower() for name in columns[:marker]]
        names_of_subnet = [name.lower() for name in columns[marker + 1 :]]
        self.columns = frozenset(names_of_row)
        if missing := {"id", "port_id", "macaddress", "netplan_success"} - self.columns:
            raise SourceRejected(
                f"{self.where}: table multi_interface has no column {', '.join(sorted(missing))}",
                "this is not the table of the MultiNIC controller; correct the database name in database.url",
            )
        return [
            (
                dict(zip(names_of_row, row[:marker], strict=True)),
                dict(zip(names_of_subnet, row[marker + 1 :], strict=True)),
            )
            for row in found
        ]

    def report_success(self, success: Mapping[int, bool]) -> None:
        """Write `netplan_success` (and `modified_at` where it exists) of rows, by row id.

        The id is the right key: a row that was replaced since it was read has a new one, and
        our word was not about that row. Raises SourceError.
        """
        modified = ", modified_at = CURRENT_TIMESTAMP" if "modified_at" in self.columns else ""
        with self.transaction():
            for value in (True, False):
                ids = sorted(row_id for row_id, flag in success.items() if flag is value)
                if not ids:
                    continue
                marks = ", ".join([self.placeholder] * len(ids))
                self.execute(
                    f"UPDATE multi_interface SET netplan_success = {int(value)}{modified} "  # noqa: S608
                    f"WHERE id IN ({marks})",
                    ids,
                )
