"""What is asked of the database. Every statement has a limit, and an index or one small table.

Only names of ours are put into them (S608); what comes from outside is a parameter.
"""

# ruff: noqa: S608

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from multinic.dashboard.conditions import Words, all_of, of_filter, place
from multinic.dashboard.filters import Filter
from multinic.dashboard.listings import INTERFACES
from multinic.database.connection import Incomparable, Missing
from multinic.database.session import Session
from multinic.database.status import NOW
from multinic.database.tables import EVENT, INTERFACE, NODE
from multinic.values.errors import SourceRejected

Row = dict[str, Any]
"""Column → value: a text, a number or None; times as 2026-01-31T12:00:00Z."""

COUNTED_MAX = 100_000
"""So many rows are counted; of more it is only said that there are more."""
GROUPS_MAX = 500
OF_NODE_MAX = 200
"""Interfaces, rows and events on the page of a node."""
OF_SUBNET_MAX = 200
"""Rows on one page of a subnet."""


class Page(NamedTuple):
    """Some rows of a list."""

    rows: list[Row]
    first: tuple[Any, ...] = ()
    """The place of the first row in the order, if there are rows before it."""
    last: tuple[Any, ...] = ()
    """The place of the last row, if there are rows after it."""


class Counts(NamedTuple):
    """How many rows a list has, and how many it would have with each value of a facet instead."""

    total: int
    capped: bool
    """Whether there are more than were counted."""
    facets: dict[str, dict[str, int]]


def rows(database: Session, text: str, values: Sequence[Any] = ()) -> list[Row]:
    """Return the rows of one statement. Raises Missing and SourceError."""
    names, found, _ = database.execute(text, values)
    return [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in found]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, int | float | str):
        return value
    return int(value) if str(value).lstrip("-").isdigit() else str(value)  # MySQL's SUM is a Decimal


_TIMES = frozenset({"last_seen", "since", "changed", "at", "now", "created_at", "modified_at", "deleted_at"})


def with_times(found: list[Row]) -> list[Row]:
    """Return rows whose times are written alike, whichever product they come from."""
    return [
        {
            name: f"{value[:10]}T{value[11:19]}Z" if name in _TIMES and isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in found
    ]


def now(database: Session) -> str:
    """Return the time of the database's clock."""
    (found,) = with_times(rows(database, f"SELECT {NOW[database.product]} AS now"))
    return str(found["now"])


def page(database: Session, listed: Filter, words: Words) -> Page:
    """Return one page of a list. Raises Missing and SourceError."""
    at, backwards = listed.before or listed.after, bool(listed.before)
    conditions = [of_filter(listed, words)]
    if at:
        conditions.append(place(listed, words, _as_stored(at, listed.keys), beyond=not backwards))
    condition = all_of(conditions)
    direction = "DESC" if listed.descending is not backwards else "ASC"
    order = ", ".join(f"{key} {direction}" for key in listed.keys)
    columns = {name: words.column(listed, name) for name in listed.listing.columns}
    text = (
        f"SELECT {', '.join(f'{expression} AS {name}' for name, expression in columns.items())} "
        f"FROM {listed.listing.table} WHERE {condition.text} ORDER BY {order} LIMIT {listed.size + 1}"
    )
    found = with_times(rows(database, text, condition.values))
    more, found = len(found) > listed.size, found[: listed.size]
    if backwards:
        found.reverse()
    return Page(
        found,
        _place_of(found[0], listed) if found and (more if backwards else bool(at)) else (),
        _place_of(found[-1], listed) if found and (more or backwards) else (),
    )


def _place_of(row: Row, listed: Filter) -> tuple[Any, ...]:
    names = {expression: name for name, expression in listed.listing.columns.items()}
    return tuple(row[names[key]] for key in listed.keys)


def _as_stored(at: Sequence[Any], keys: Sequence[str]) -> list[Any]:
    """Return a place with its times as both products store and compare them."""
    return [
        str(value).replace("T", " ").rstrip("Z") if key in _TIMES else value
        for key, value in zip(keys, at, strict=True)
    ]


def counts(database: Session, listed: Filter, words: Words) -> Counts:
    """Count a list, and the values of its facets, in one statement. Raises Missing and SourceError.

    Of the rows that the search leaves, groups by all facets together are counted; the rest is arithmetic.
    """
    facets = list(listed.listing.facets)
    whole = listed.listing is INTERFACES and not listed.search
    found = _all_interfaces(database, words) if whole else _grouped(database, listed, words)
    groups = [
        ({name: _word(name, row[f"f{n}"]) for n, name in enumerate(facets)}, row["number"]) for row in found
    ]
    all_counted = sum(number for _, number in groups)
    return Counts(
        sum(number for group, number in groups if _fits(group, listed, "")),
        all_counted > COUNTED_MAX,
        {name: _facet(groups, listed, name) for name in facets},
    )


def _grouped(database: Session, listed: Filter, words: Words) -> list[Row]:
    facets = list(listed.listing.facets)
    condition = of_filter(listed, words, without=facets)
    columns = ", ".join(f"{words.column(listed, name)} AS f{n}" for n, name in enumerate(facets))
    names = ", ".join(f"f{n}" for n in range(len(facets)))
    source = f"SELECT {columns} FROM {listed.listing.table} WHERE {condition.text}"
    text = (
        f"SELECT {names}, COUNT(*) AS number FROM ({source} LIMIT {COUNTED_MAX + 1}) AS counted "
        f"GROUP BY {names} ORDER BY number DESC LIMIT {GROUPS_MAX}"
    )
    return rows(database, text, condition.values)


def _all_interfaces(database: Session, words: Words) -> list[Row]:
    """Return the same for all interfaces: nearly all of 100,000 are as desired, and their nodes count those.

    150 ms became 10.
    """
    present = all_of(words.present())
    text = (
        f"SELECT state AS f0, reason AS f1, COUNT(*) AS number FROM {INTERFACE} "
        f"WHERE {present.text} AND (state < 'converged' OR state > 'converged') GROUP BY state, reason "
        f"UNION ALL SELECT 'converged', 'converged', COALESCE(SUM(converged), 0) FROM {NODE} "
        f"WHERE {present.text} ORDER BY number DESC LIMIT {GROUPS_MAX}"
    )
    return rows(database, text, present.values * 2)


def _facet(groups: list[tuple[dict[str, str], int]], listed: Filter, name: str) -> dict[str, int]:
    found = dict.fromkeys(listed.listing.facets[name], 0)
    for group, number in groups:
        if _fits(group, listed, name):
            found[group[name]] = found.get(group[name], 0) + number
    return {value: number for value, number in found.items() if value}


def _fits(group: dict[str, str], listed: Filter, but: str) -> bool:
    return all(_allowed(group[name], values) for name, values in listed.wanted.items() if name != but)


def _allowed(value: str, values: Sequence[str]) -> bool:
    wanted = [word for word in values if not word.startswith("!")]
    return f"!{value}" not in values and (not wanted or value in wanted)


def _word(facet: str, value: Any) -> str:
    return ("yes" if value else "no") if facet == "silent" else str(value)


def after(listed: Filter, row: Row, size: int) -> Filter:
    """Return the filter for the rows after this one."""
    return replace(listed, after=_place_of(row, listed), before=(), size=size)


# One node, one subnet.


def subnets(database: Session, ids: Sequence[str]) -> list[Row]:
    """Return name and CIDR of some subnets; [] without the controller's tables."""
    if not ids:
        return []
    marks = ", ".join([database.placeholder] * len(ids))
    text = f"SELECT subnet_id, subnet_name, cidr FROM multi_subnet WHERE subnet_id IN ({marks}) LIMIT 500"
    return if_there(database, text, ids)


def node(database: Session, name: str, words: Words) -> Row | None:
    """Return the row of one node."""
    text = f"SELECT {NODE}.*, {words.silent} AS silent FROM {NODE} WHERE node = {words.mark}"
    found = with_times(rows(database, text, (name,)))
    return found[0] if found else None


def interfaces_of(database: Session, name: str, words: Words) -> list[Row]:
    """Return the interfaces of one node."""
    text = f"SELECT * FROM {INTERFACE} WHERE node = {words.mark} ORDER BY id LIMIT {OF_NODE_MAX}"
    return with_times(rows(database, text, (name,)))


def events_of(database: Session, name: str, words: Words) -> list[Row]:
    """Return what happened on one node, the newest first."""
    text = (
        f"SELECT id, at, kind, name, mac, reason, message, changes FROM {EVENT} "
        f"WHERE node = {words.mark} ORDER BY at DESC, id DESC LIMIT 100"
    )
    return with_times(rows(database, text, (name,)))


def desired_of(database: Session, ids: Sequence[int]) -> list[Row]:
    """Return the controller's rows with these ids; [] without its table."""
    if not ids:
        return []
    marks = ", ".join([database.placeholder] * len(ids))
    text = f"SELECT * FROM multi_interface WHERE id IN ({marks})"
    return if_there(database, text, ids)


def subnet(database: Session, subnet_id: str, words: Words) -> Row | None:
    """Return one subnet; None where there is none, or no such table."""
    text = f"SELECT * FROM multi_subnet WHERE subnet_id = {words.mark} LIMIT 1"
    found = with_times(if_there(database, text, (subnet_id,)))
    return found[0] if found else None


def rows_of_subnet(database: Session, subnet_id: str, after_id: int, words: Words) -> list[Row]:
    """Return some of the controller's rows of one subnet, and what the hosts say of each."""
    text = (
        f"SELECT * FROM multi_interface WHERE subnet_id = {words.mark} AND id > {words.mark} "
        f"ORDER BY id LIMIT {OF_SUBNET_MAX + 1}"
    )
    found = with_times(if_there(database, text, (subnet_id, after_id)))
    told = {row["port_id"]: row for row in _told(database, [row["port_id"] for row in found])}
    nothing = {"state": "", "reason": "", "message": "", "addresses": "", "name": ""}
    return [{**row, **told.get(row["port_id"], nothing)} for row in found]


def _told(database: Session, ports: Sequence[str]) -> list[Row]:
    if not ports:
        return []
    marks = ", ".join([database.placeholder] * len(ports))
    columns = "port_id, node, name, state, reason, message, addresses, since"
    text = f"SELECT {columns} FROM {INTERFACE} WHERE port_id IN ({marks})"
    return with_times(rows(database, text, ports))


def node_with(database: Session, column: str, value: str) -> str:
    """Return the node that has an interface with this MAC address or port; "" for none."""
    text = f"SELECT node FROM {INTERFACE} WHERE {column} = {database.placeholder} LIMIT 1"
    found = rows(database, text, (value,))
    return str(found[0]["node"]) if found else ""


def if_there(database: Session, text: str, values: Sequence[Any]) -> list[Row]:
    """Return rows of the controller's tables; [] where it has none, or does not let us read them."""
    try:
        return rows(database, text, values)
    except (Missing, Incomparable):
        return []
    except SourceRejected as e:
        if "denied" in str(e) or "column" in str(e).lower():
            return []
        raise
