"""The statements that multinic speaks, portable between MySQL/MariaDB and SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from multinic.errors import SourceRejected

# One statement a pass. `i.*` rather than names: a column that an older database lacks is simply
# not there, and one that is added later is seen at once, without asking for the schema.
# LIKE, because MySQL's and SQLite's `=` differ in case, and a node name has none. The marker
# column parts the columns of the two tables, many of which share their names.
_SELECT = """\
SELECT i.*, NULL AS _subnet{subnet_columns} FROM multi_interface i{join}
WHERE i.attached_node_name LIKE {p} ESCAPE '!' OR i.attached_node_name LIKE {p} ESCAPE '!'
OR i.attached_node_name LIKE {p} ESCAPE '!' ORDER BY i.id LIMIT {limit}"""
_JOIN = " LEFT JOIN multi_subnet s ON s.subnet_id = i.subnet_id"

# What is deleted may stay in the table, marked as such. An answer that was cut is not looked at: a row that
# is not in it would look like one that was removed.
ROWS_MAX = 10_000
ANSWER_MAX = 16 * 1024 * 1024
"""Bytes of an answer: 1,000 rows of the longest addresses are a third of it."""


NEEDED = frozenset({"id", "port_id", "macaddress", "netplan_success"})
"""Columns of multi_interface that every controller's table has."""


class MissingTable(Exception):
    """A statement named a table that the database lacks."""


class Answer(NamedTuple):
    """What the database says of one node, as it came; `columns` has the marker `_subnet` in it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Database:
    """An open connection, whichever product is behind it."""

    def __init__(
        self,
        *,
        execute: Callable[[str, Sequence[Any]], tuple[list[str], Iterable[Sequence[Any]], int]],
        close: Callable[[], None],
        transaction: Callable[[], AbstractContextManager[None]],
        placeholder: str,
        product: str,
        where: str,
        address: str = "",
    ) -> None:
        self.execute = execute
        """Run one statement; return column names, rows and the count of changed rows.

        Raises MissingTable, SourceError or SourceRejected, nothing else."""
        self.close = close
        self.transaction = transaction
        """A context that commits its statements together, or none of them."""
        self.placeholder = placeholder
        self.product = product
        """"mysql" or "sqlite": for the few statements that differ (`db init`)."""
        self.where = where
        """The database for messages: product, host and name, never a password."""
        self.address = address
        """The address that answered; "" for a socket or a file."""
        self.subnets = True
        """Whether a table multi_subnet is believed to exist."""
        self.columns: frozenset[str] = frozenset()
        """The columns of multi_interface, known after `ask`."""

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, node: str) -> Answer:
        """Return all rows that may be of one node. Raises SourceError and SourceRejected."""
        names = node_patterns(node)
        try:
            return self._select(names)
        except MissingTable:
            self.subnets = not self.subnets  # what we believed of the schema is out of date
            try:
                return self._select(names)
            except MissingTable:
                raise SourceRejected(
                    f"{self.where}: there is no table multi_interface",
                    "create the tables with `multinic db init`, or correct the database name in database.url",
                ) from None

    def _select(self, names: Sequence[str]) -> Answer:
        statement = _SELECT.format(
            p=self.placeholder,
            subnet_columns=", s.*" if self.subnets else "",
            join=_JOIN if self.subnets else "",
            limit=ROWS_MAX + 1,
        )
        found, answer, _ = self.execute(statement, names)
        rows = tuple(tuple(row) for row in answer)
        columns = tuple(name.lower() for name in found)
        self.columns = frozenset(columns[: columns.index("_subnet")])
        if missing := NEEDED - self.columns:
            raise SourceRejected(
                f"{self.where}: table multi_interface has no column {', '.join(sorted(missing))}",
                "this is not the table of the MultiNIC controller; correct the database name in database.url",
            )
        if len(rows) > ROWS_MAX:
            raise SourceRejected(
                f"{self.where}: more than {ROWS_MAX} rows are of a node of this name",
                "remove those that were deleted long ago, and look at what writes so many",
            )
        return Answer(columns, rows)

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


def node_patterns(node: str) -> tuple[str, str, str]:
    """Return the LIKE patterns that find a node's rows: full name, short name, short name with a domain."""
    full, short = (
        name.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        for name in (node, node.partition(".")[0])
    )
    return full, short, f"{short}.%"


def too_much(where: str) -> SourceRejected:
    """Return the error for an answer that is longer than we read."""
    return SourceRejected(
        f"{where}: the answer is longer than {ANSWER_MAX >> 20} MiB",
        "look for a column with a very long text, and at what wrote it",
    )
