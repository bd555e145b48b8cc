"""The statements that write `netplan_success`: 1 only for a row that still asks for what was done. Pure.

MySQL and SQLite take the same. The values are those that came with the rows, before anything was parsed: so
any change counts, also one that asks for the same in other words. The next pass sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from multinic.database.statement import Answer

AsRead = Mapping[int, Mapping[str, Any]]
"""Row id → column → value, as the database gave it."""

_AT_ONCE = 40
"""So many rows are compared in one statement: SQLite may take no more than 999 parameters."""

# What a row asks for, and of which node. `attached_node_name` is apart: it may come from node_table.
_COLUMNS = (
    *("macaddress", "port_id", "subnet_id", "address", "mtu", "options", "gateway", "gateway_ip"),
    *("status", "deleted_at", "attached_node_id"),
)
_NAME = "attached_node_name"
# As text, byte for byte: the collation of a column may take two texts for one, and MySQL compares a column of
# the type JSON with no text. `<=>` and `IS` differ between the products; NULL has a condition of its own.
_TEXT = {"mysql": "CONVERT({} USING utf8mb4) COLLATE utf8mb4_bin", "sqlite": "{}"}


def as_read(answer: Answer) -> AsRead:
    """Return the rows of an answer by their id, without the columns of the subnet."""
    columns = answer.columns[: answer.columns.index("_subnet")]
    rows = (dict(zip(columns, row, strict=False)) for row in answer.rows)
    return {row["id"]: row for row in rows if isinstance(row.get("id"), int)}


def updates(
    success: Mapping[int, bool], read: AsRead, *, product: str, mark: str, dated: bool
) -> Iterator[tuple[str, list[Any]]]:
    """Yield the statements that write flags by row id, with their parameters.

    `read`: the rows as they were read; a row in it gets a 1 only while it is so. `mark`: the placeholder of a
    parameter. `dated`: the table has `modified_at`.
    """
    good = sorted(row_id for row_id, flag in success.items() if flag)
    if bad := sorted(row_id for row_id, flag in success.items() if not flag):
        yield _update(False, bad, mark, dated=dated), bad
    if unread := [row_id for row_id in good if row_id not in read]:
        yield _update(True, unread, mark, dated=dated), unread
    rest = [row_id for row_id in good if row_id in read]
    for at in range(0, len(rest), _AT_ONCE):
        some = rest[at : at + _AT_ONCE]
        conditions = [unchanged(read[row_id], product, mark) for row_id in some]
        words = [f"(id = {row_id} AND {text})" for row_id, (text, _) in zip(some, conditions, strict=True)]
        text = f"{_update(True, some, mark, dated=dated)} AND ({' OR '.join(words)})"
        yield text, [*some, *(value for _, values in conditions for value in values)]


def _update(value: bool, ids: Sequence[int], mark: str, *, dated: bool) -> str:
    modified = ", modified_at = CURRENT_TIMESTAMP" if dated else ""
    marks = ", ".join([mark] * len(ids))
    return f"UPDATE multi_interface SET netplan_success = {int(value)}{modified} WHERE id IN ({marks})"  # noqa: S608


def unchanged(row: Mapping[str, Any], product: str, mark: str) -> tuple[str, list[Any]]:
    """Return a condition that holds while a row is as it was read, and its parameters."""
    conditions, parameters = ["1 = 1"], []
    for column in _COLUMNS:
        if column in row and (found := _same(column, row[column], product, mark)):
            conditions.append(found[0])
            parameters += found[1]
    if isinstance(name := row.get(_NAME), str) and (found := _same(_NAME, name, product, mark)):
        conditions.append(f"({found[0]} OR {_NAME} IS NULL OR {_NAME} = '')")
        parameters += found[1]
    return " AND ".join(conditions), parameters


def _same(column: str, value: Any, product: str, mark: str) -> tuple[str, list[Any]] | None:
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
