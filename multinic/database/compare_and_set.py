"""The statements that write `netplan_success`: 1 only for a row that still asks for what was done. Pure.

MySQL and SQLite take the same. The values are those that came with the rows, before anything was parsed: so
any change counts, also one that asks for the same in other words. The next pass sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from multinic.database.statement import Answer, Shape, of_subnet

Columns = Mapping[str, Any]
"""Column → value, as the database gave it."""


class Read(NamedTuple):
    """A row as it was read."""

    row: Columns
    subnets: tuple[Columns, ...] | None
    """The rows of multi_subnet that belong to it; None where that table was not asked."""


AsRead = Mapping[int, Read]
"""By row id."""

_Condition = tuple[str, list[Any]]
"""The text of a condition, and its parameters."""

_PARAMETERS_MAX = 900
"""Of one statement: SQLite before 3.32 takes no more than 999."""

# What a row asks for, and of which node. `attached_node_name` is apart: it may come from node_table.
_COLUMNS = (
    *("macaddress", "port_id", "subnet_id", "address", "mtu", "options", "gateway", "gateway_ip"),
    *("status", "deleted_at", "attached_node_id"),
)
_NAME = "attached_node_name"
# What a subnet adds to its rows; of several with one subnet_id, the last two decide which one counts.
_OF_SUBNET = ("cidr", "options", "gateway", "gateway_ip", "status", "deleted_at")
# As text, byte for byte: the collation of a column may take two texts for one, and MySQL compares a column of
# the type JSON with no text. `<=>` and `IS` differ between the products; NULL has a condition of its own.
_TEXT = {"mysql": "CONVERT({} USING utf8mb4) COLLATE utf8mb4_bin", "sqlite": "{}"}


def as_read(answer: Answer) -> AsRead:
    """Return the rows of an answer by their id, each with its subnets."""
    marker = answer.columns.index("_subnet")
    of_row, of_the_subnet = answer.columns[:marker], answer.columns[marker + 1 :]
    found: dict[int, Read] = {}
    for values in answer.rows:
        row = dict(zip(of_row, values, strict=False))
        if isinstance(row.get("id"), int):
            before = found.get(row["id"], Read(row, ())).subnets or ()
            subnet = dict(zip(of_the_subnet, values[marker + 1 :], strict=True))
            joined = () if subnet.get("subnet_id") is None else (subnet,)
            found[row["id"]] = Read(row, (*before, *joined) if of_the_subnet else None)
    return found


def updates(
    success: Mapping[int, bool], read: AsRead, *, product: str, mark: str, shape: Shape, dated: bool
) -> Iterator[tuple[str, list[Any]]]:
    """Yield the statements that write flags by row id, with their parameters.

    `read`: the rows as they were read; a row in it gets a 1 only while it is so. `mark`: the placeholder of a
    parameter. `shape`: what is believed of the tables. `dated`: multi_interface has `modified_at`.
    """
    good = sorted(row_id for row_id, flag in success.items() if flag)
    if bad := sorted(row_id for row_id, flag in success.items() if not flag):
        yield _update(False, bad, mark, dated=dated), bad
    if unread := [row_id for row_id in good if row_id not in read]:
        yield _update(True, unread, mark, dated=dated), unread
    compared = ((row_id, unchanged(read[row_id], product, mark, shape)) for row_id in good if row_id in read)
    for some in _batches(compared):
        words = [f"(id = {row_id} AND {text})" for row_id, (text, _) in some]
        ids = [row_id for row_id, _ in some]
        text = f"{_update(True, ids, mark, dated=dated)} AND ({' OR '.join(words)})"
        yield text, [*ids, *(value for _, (_, values) in some for value in values)]


def _batches(conditions: Iterable[tuple[int, _Condition]]) -> Iterator[list[tuple[int, _Condition]]]:
    some: list[tuple[int, _Condition]] = []
    used = 0
    for row_id, condition in conditions:
        more = 1 + len(condition[1])
        if some and used + more > _PARAMETERS_MAX:
            yield some
            some, used = [], 0
        some.append((row_id, condition))
        used += more
    if some:
        yield some


def _update(value: bool, ids: Sequence[int], mark: str, *, dated: bool) -> str:
    modified = ", modified_at = CURRENT_TIMESTAMP" if dated else ""
    marks = ", ".join([mark] * len(ids))
    return f"UPDATE multi_interface SET netplan_success = {int(value)}{modified} WHERE id IN ({marks})"  # noqa: S608


def unchanged(read: Read, product: str, mark: str, shape: Shape) -> _Condition:
    """Return a condition that holds while a row and its subnets are as they were read."""
    text, parameters = _all_same(_COLUMNS, read.row, "", product, mark)
    conditions = [text]
    if isinstance(name := read.row.get(_NAME), str) and (found := _same(_NAME, name, product, mark)):
        conditions.append(f"({found[0]} OR {_NAME} IS NULL OR {_NAME} = '')")
        parameters += found[1]
    if read.subnets is not None and shape.subnets:
        text, more = _same_subnets(read.subnets, product, mark, shape)
        conditions.append(text)
        parameters += more
    return " AND ".join(conditions), parameters


def _same_subnets(subnets: Sequence[Columns], product: str, mark: str, shape: Shape) -> _Condition:
    """Return a condition that a row has just these subnets: none less, none more, none that has changed."""
    count = f"(SELECT COUNT(*) FROM multi_subnet s WHERE {of_subnet('multi_interface', shape)}"  # noqa: S608
    each = [_all_same(_OF_SUBNET, subnet, "s.", product, mark) for subnet in subnets]
    conditions = [f"{count}) = {len(subnets)}"]
    if each:
        either = " OR ".join(f"({text})" for text, _ in each)
        conditions.append(f"{count} AND ({either})) = {len(subnets)}")
    return " AND ".join(conditions), [value for _, values in each for value in values]


def _all_same(names: Iterable[str], row: Columns, table: str, product: str, mark: str) -> _Condition:
    conditions, parameters = ["1 = 1"], []
    for name in names:
        if name in row and (found := _same(f"{table}{name}", row[name], product, mark)):
            conditions.append(found[0])
            parameters += found[1]
    return " AND ".join(conditions), parameters


def _same(column: str, value: Any, product: str, mark: str) -> _Condition | None:
    """Return a condition on one column; None for a value that does not come back as it was read."""
    if value is None:
        return f"{column} IS NULL", []
    if isinstance(value, str) and "\N{REPLACEMENT CHARACTER}" not in value:
        return f"{_TEXT[product].format(column)} = {mark}", [value]
    if isinstance(value, bytes):
        return f"CAST({column} AS {'BINARY' if product == 'mysql' else 'BLOB'}) = {mark}", [value]
    if isinstance(value, int | float | Decimal):
        return f"{column} = {mark}", [value]
    return None  # a time, or a text that is not UTF-8
