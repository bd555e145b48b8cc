"""All rows of a table, a page at a time, so that a table of any size fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from multinic.database import statement
from multinic.database.connection import Incomparable, Missing, TooLong
from multinic.database.session import Session
from multinic.database.statement import Answer
from multinic.values.errors import SourceRejected

PAGE = 2000
"""Rows of an answer: with the usual columns a sixteenth of what we read at most."""


def interfaces(database: Session, too_long: Callable[[Any], object]) -> Iterator[Answer]:
    """Yield all rows of multi_interface with their subnets and the names of their nodes.

    `too_long` gets the id of a row that is longer than we read. Raises SourceError.
    """

    def read(after: Any, rows: int) -> Answer:
        while True:
            shape = database.shape
            text = statement.page(shape, database.placeholder, rows, first=after is None)
            try:
                names, found, _ = database.execute(text, () if after is None else (after,))
                return database.read(names, found)
            except Missing as e:
                database.shape = database.without(str(e))
            except Incomparable as e:
                if shape.collations:
                    raise SourceRejected(f"{database.where}: {e}", "give the tables one collation") from None
                database.shape = shape._replace(collations=True)

    after: Any = None
    while True:
        answer, after = _page(database, "multi_interface", read, after, too_long)
        if answer is None:
            continue
        if not answer.rows:
            return
        yield answer
        after = answer.rows[-1][answer.columns.index("id")]
        if after is None:
            return


def others(database: Session, table: str) -> Iterator[Mapping[str, Any]]:
    """Yield all rows of multi_subnet or node_table; none without the table. Raises SourceError."""

    def read(after: Any, rows: int) -> Answer:
        where = "" if after is None else f" WHERE id > {database.placeholder}"
        text = f"SELECT * FROM {table}{where} ORDER BY id LIMIT {rows}"  # noqa: S608 - one of the two
        names, found, _ = database.execute(text, () if after is None else (after,))
        return Answer(tuple(name.lower() for name in names), tuple(map(tuple, found)))

    after: Any = None
    while True:
        try:
            answer, after = _page(database, table, read, after, lambda _: None)
        except Missing:
            return
        if answer is None:
            continue
        if not answer.rows:
            return
        yield from (dict(zip(answer.columns, row, strict=True)) for row in answer.rows)
        after = answer.rows[-1][answer.columns.index("id")]
        if after is None:
            return


def _page(
    database: Session,
    table: str,
    read: Callable[[Any, int], Answer],
    after: Any,
    too_long: Callable[[Any], object],
) -> tuple[Answer | None, Any]:
    """Return the rows that follow an id, fewer where they are long; None and the next id for one too long."""
    rows = PAGE
    while rows:
        try:
            return database.carry_out(lambda rows=rows: read(after, rows)), after  # type: ignore[misc]
        except TooLong:  # noqa: PERF203 - seldom
            rows //= 8
    where = "" if after is None else f" WHERE id > {database.placeholder}"
    text = f"SELECT id FROM {table}{where} ORDER BY id LIMIT 1"  # noqa: S608
    parameters = () if after is None else (after,)
    _, found, _ = database.carry_out(lambda: database.execute(text, parameters))
    ((skipped,),) = found
    too_long(skipped)
    return None, skipped
