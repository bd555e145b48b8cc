"""A whole filtered list as CSV or JSON, sent as it is read; cut at a limit, which is said at the end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from multinic.dashboard.filters import Filter
from multinic.dashboard.statements import Row

ROWS_MAX = 200_000
"""Rows of an export."""
AT_ONCE = 1000
"""Rows of one statement."""
Read = Callable[[Filter], Awaitable[tuple[list[Row], Filter | None]]]
"""Returns some rows, and the filter for those after them; None if there are none."""


async def as_json(listed: Filter, read: Read) -> AsyncIterator[str]:
    """Yield a document: {"rows": [...], "cut": false}; cut: there are more."""
    comma, cut = "", False
    yield '{"rows": ['
    async for rows, over in _all(listed, read):
        for row in rows:
            yield f"{comma}\n{json.dumps({name: row[name] for name in listed.shown})}"
            comma = ","
        cut = over
    yield f'\n], "cut": {json.dumps(cut)}}}\n'


async def as_csv(listed: Filter, read: Read) -> AsyncIterator[str]:
    """Yield lines; if there are more rows, the last line says so."""
    cut = False
    yield _line(listed.shown)
    async for rows, over in _all(listed, read):
        yield "".join(_line([row[name] for name in listed.shown]) for row in rows)
        cut = over
    if cut:
        yield _line([f"# cut after {ROWS_MAX} rows: filter for less"])


async def _all(listed: Filter, read: Read) -> AsyncIterator[tuple[list[Row], bool]]:
    """Yield rows, and whether they are the last ones that we send though there are more."""
    number, following = 0, listed
    while True:
        rows, after = await read(following)
        number += len(rows)
        over = after is not None and number >= ROWS_MAX
        yield rows, over
        if after is None or over:
            return
        following = after


def _line(cells: Sequence[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerow([_safe(cell) for cell in cells])
    return stream.getvalue()


def _safe(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell
