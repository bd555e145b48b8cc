"""One subnet for each row: the join gives a row several times where multi_subnet has its subnet_id twice.

That is so where a subnet was deleted softly and made again, and the table has no key that forbids it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multinic.database.columns import BadColumn, as_text

Row = Mapping[str, Any]

# What the controller writes into `status` of a row that is on its way out; every other word is desired.
NOT_DESIRED = frozenset({"deleted", "deleting", "inactive"})
_READ = ("cidr", "options", "gateway", "gateway_ip")


def is_desired(row: Row, *, ignore_deleted_at: bool) -> bool:
    """Return whether a row is not on its way out."""
    deleted_at = as_text(row.get("deleted_at"))
    # MySQL's zero date means "never"; PyMySQL hands it over as text.
    deleted = bool(deleted_at) and not deleted_at.startswith("0000-00-00")
    if deleted and not ignore_deleted_at:
        return False
    return as_text(row.get("status")).strip().lower() not in NOT_DESIRED


def with_one_subnet(found: Sequence[tuple[Row, Row]]) -> list[tuple[Row, Row, BadColumn | None]]:
    """Return every row once, with its subnet, and why it has none that is certain."""
    subnets: dict[Any, list[Row]] = {}
    for row, subnet in found:
        subnets.setdefault(_key(row), []).append(subnet)
    rows = {_key(row): row for row, _ in found}
    return [(row, *_chosen(row, subnets[key])) for key, row in rows.items()]


def _key(row: Row) -> str:
    return repr(row.get("id"))


def _chosen(row: Row, subnets: Sequence[Row]) -> tuple[Row, BadColumn | None]:
    if len(subnets) == 1:  # deleted or not: it is the row that says whether the interface is desired
        return subnets[0], None
    present = [subnet for subnet in subnets if is_desired(subnet, ignore_deleted_at=False)]
    if len({tuple(as_text(subnet.get(name)) for name in _READ) for subnet in present}) > 1:
        words = f"has {len(present)} rows in multi_subnet, which differ"
        return {}, BadColumn("subnet_id", row.get("subnet_id"), words, "ambiguous-subnet")
    return (present or sorted(subnets, key=lambda subnet: as_text(subnet.get("deleted_at"))))[-1], None
