"""A check of our own tables: whether they are there, and whether this user may write to them."""

from __future__ import annotations

from collections.abc import Iterator

from multinic.database.connection import Missing
from multinic.database.status import is_denied
from multinic.database.tables import EVENT, INTERFACE, NODE, WRITTEN
from multinic.doctor.finding import Examination, Finding, Level
from multinic.values.errors import SourceError, SourceRejected

_MAKE = "`multinic db migrate` makes them"
_WITHOUT = "the state of this node is not written to the database, and there is no fleet brake"
_GRANTS = "`multinic db grants` prints the statements that grant what is needed"
# Of no row. An INSERT cannot be tried without one; who may delete may insert, as the grants have it.
_WRITES = (
    f"UPDATE {NODE} SET last_seen = last_seen WHERE node IN ('')",  # noqa: S608 - tables of ours
    f"UPDATE {INTERFACE} SET changed = changed WHERE id IN (-1)",  # noqa: S608
    *(f"DELETE FROM {table} WHERE node IN ('')" for table in WRITTEN),  # noqa: S608
)


def tables(seen: Examination) -> Iterator[Finding]:
    """Look for the status tables, and try to write to them."""
    if seen.settings is None or seen.database is None or seen.answer is None:
        return
    try:
        for table in WRITTEN:
            seen.database.execute(f"SELECT 1 FROM {table} WHERE 1 = 0", ())  # noqa: S608 - one of ours
    except Missing:
        yield Finding("tables", Level.NOTE, f"there are no status tables: {_WITHOUT}", _MAKE)
        return
    except SourceRejected as e:
        if not is_denied(e):
            raise
        words = f"this user may not read the status tables, if there are any: {_WITHOUT}"
        yield Finding("tables", Level.NOTE, words, f"{_MAKE}; {_GRANTS}")
        return
    try:
        for statement in _WRITES:
            seen.database.execute(statement, ())
    except SourceError as e:
        yield Finding("tables", Level.WARNING, f"the status tables cannot be written: {e}", _GRANTS)
        return
    yield Finding("tables", Level.OK, f"the status tables are there ({NODE}, {INTERFACE}, {EVENT})")
