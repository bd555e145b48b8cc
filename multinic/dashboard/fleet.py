"""What the first page asks of the database: sums, and short lists of what is not as desired.

Only names of ours are put into the statements (S608); what comes from outside is a parameter.
"""

# ruff: noqa: S608

from __future__ import annotations

from collections import Counter
from typing import Any

from multinic.dashboard.conditions import Condition, Words, all_of
from multinic.dashboard.past import Changed, Happened
from multinic.dashboard.statements import GROUPS_MAX, Row, if_there, rows, subnets, with_times
from multinic.database.session import Session
from multinic.database.status import AGO, NOW
from multinic.database.tables import EVENT, INTERFACE, NODE
from multinic.values.counts import NOT_AS_DESIRED, STATES

TOP = 10
"""Rows of a short list on the first page."""
EVENTS_MAX = 20_000
"""So many of the newest events are counted by hour."""
DELETED_MAX = 150
"""So many deleted nodes are left out: each is a parameter, five times in the longest statement."""
HOURS = 24
CHANGED_MAX = 2_000
"""So many interfaces of each state, those that changed last, are looked at for the hours before."""
PAST_MAX = 10_000
"""So many of the newest events are read for that."""

_BAD = ", ".join(f"'{state}'" for state in NOT_AS_DESIRED)


def nodes_in_groups(database: Session, words: Words) -> list[Row]:
    """Return how many nodes and interfaces are how, by result, version, backend and silence; and when."""
    condition = all_of(words.present())
    sums = ", ".join(f"SUM({state}) AS {state}" for state in STATES)
    text = (
        f"SELECT {NOW[words.product]} AS now, last_result AS result, version, backend, "
        f"{words.silent} AS silent, COUNT(*) AS nodes, "
        f"SUM(interfaces) AS interfaces, {sums} FROM {NODE} WHERE {condition.text} "
        f"GROUP BY last_result, version, backend, {words.silent} LIMIT {GROUPS_MAX}"
    )
    return with_times(rows(database, text, condition.values))


def reasons(database: Session, words: Words) -> list[Row]:
    """Return why interfaces are not as desired, the most frequent reason first."""
    condition = all_of([*words.present(), Condition(f"state IN ({_BAD})")])
    text = (
        "SELECT state, reason, COUNT(*) AS interfaces, COUNT(DISTINCT node) AS nodes, MIN(since) AS since "
        f"FROM {INTERFACE} WHERE {condition.text} GROUP BY state, reason ORDER BY interfaces DESC LIMIT 20"
    )
    return with_times(rows(database, text, condition.values))


def worst_nodes(database: Session, words: Words) -> list[Row]:
    """Return the nodes with most interfaces that are not as desired."""
    condition = all_of([*words.present(), Condition("last_result IN ('partial', 'blocked', 'error')")])
    text = (
        "SELECT node, last_result AS result, failed, invalid, blocked, interfaces, since, error "
        f"FROM {NODE} WHERE {condition.text} ORDER BY failed + invalid + blocked DESC, node LIMIT {TOP}"
    )
    return with_times(rows(database, text, condition.values))


def newest_failures(database: Session, words: Words) -> list[Row]:
    """Return the interfaces that are not as desired since the shortest time."""
    parts: list[str] = []
    values: list[Any] = []
    for state in NOT_AS_DESIRED:
        condition = all_of([*words.present(), Condition(f"state = {words.mark}", (state,))])
        parts.append(
            "SELECT * FROM (SELECT id, node, name, mac, state, reason, message, since "
            f"FROM {INTERFACE} WHERE {condition.text} "
            f"ORDER BY state DESC, since DESC, id DESC LIMIT {TOP}) AS {state}_ones"
        )
        values += condition.values
    text = f"{' UNION ALL '.join(parts)} ORDER BY since DESC, id DESC LIMIT {TOP}"
    return with_times(rows(database, text, values))


def silent_nodes(database: Session, words: Words) -> list[Row]:
    """Return the nodes that are silent since the longest time."""
    limit = AGO[words.product].format(words.silent_after)
    condition = all_of([*words.present(), Condition(f"last_seen < {limit}")])
    text = (
        f"SELECT node, last_seen, version FROM {NODE} WHERE {condition.text} "
        f"ORDER BY last_seen, node LIMIT {TOP}"
    )
    return with_times(rows(database, text, condition.values))


def bad_subnets(database: Session, words: Words) -> list[Row]:
    """Return the subnets with most interfaces that are not as desired; [] without the controller's tables."""
    condition = all_of([*words.present(), Condition(f"state IN ({_BAD})")])
    some = f"SELECT row_id, node FROM {INTERFACE} WHERE {condition.text} LIMIT 5000"
    text = (
        "SELECT i.subnet_id AS subnet_id, COUNT(*) AS interfaces, COUNT(DISTINCT bad.node) AS nodes "
        f"FROM ({some}) AS bad JOIN multi_interface i ON i.id = bad.row_id "
        f"GROUP BY i.subnet_id ORDER BY interfaces DESC LIMIT {TOP}"
    )
    found = if_there(database, text, condition.values)
    named = {row["subnet_id"]: row for row in subnets(database, [row["subnet_id"] for row in found])}
    return [{"subnet_name": "", "cidr": "", **named.get(row["subnet_id"], {}), **row} for row in found]


def events_by_hour(database: Session, words: Words) -> list[Row]:
    """Return how many events of each kind each of the last hours had; among the newest ones."""
    condition = all_of([*words.present(), Condition(f"at >= {AGO[words.product].format(HOURS * 3600)}")])
    text = (
        "SELECT SUBSTR(at, 1, 13) AS hour, kind, COUNT(*) AS number FROM "
        f"(SELECT at, kind FROM {EVENT} WHERE {condition.text} "
        f"ORDER BY at DESC LIMIT {EVENTS_MAX}) AS newest "
        f"GROUP BY SUBSTR(at, 1, 13), kind LIMIT {GROUPS_MAX}"
    )
    return rows(database, text, condition.values)


def changed_interfaces(database: Session, words: Words, hours: int) -> tuple[list[Changed], str]:
    """Return the interfaces whose state began in the last hours, and since when all of them are there."""
    parts: list[str] = []
    values: list[Any] = []
    for state in STATES:
        own = Condition(f"state = {words.mark}", (state,))
        recent = Condition(f"since >= {AGO[words.product].format(hours * 3600)}")
        condition = all_of([*words.present(), own, recent])
        parts.append(
            f"SELECT * FROM (SELECT node, port_id, mac, state, since FROM {INTERFACE} WHERE {condition.text} "
            f"ORDER BY state DESC, since DESC, id DESC LIMIT {CHANGED_MAX}) AS {state}_ones"
        )
        values += condition.values
    _, found, _ = database.execute(" UNION ALL ".join(parts), values)
    changed = [
        Changed((node, port or mac), state, str(since)[:19]) for node, port, mac, state, since in found
    ]
    counts = Counter(one.state for one in changed)
    cut = [
        min(one.since for one in changed if one.state == state)
        for state in STATES
        if counts[state] == CHANGED_MAX
    ]
    return changed, max(cut, default="")


def newest_events(database: Session, words: Words) -> tuple[list[Happened], str]:
    """Return the newest events of interfaces, the oldest first, and since when all of them are there."""
    condition = all_of(words.present())
    text = (
        f"SELECT at, node, port_id, mac, kind FROM {EVENT} WHERE {condition.text} "
        f"ORDER BY at DESC, id DESC LIMIT {PAST_MAX}"
    )
    _, found, _ = database.execute(text, condition.values)
    events = [Happened(str(at)[:19], (node, port or mac), kind) for at, node, port, mac, kind in found][::-1]
    return events, events[0].at if len(events) == PAST_MAX else ""


def deleted_nodes(database: Session) -> list[str]:
    """Return the nodes in our table that the controller has deleted; [] where it has no table of nodes.

    A time of 0000-00-00 is none, as in its other tables.
    """
    deleted = "CASE WHEN t.deleted_at > '1970-01-01' THEN 1 ELSE 0 END"
    text = (
        f"SELECT n.node AS node FROM {NODE} n JOIN node_table t ON t.attached_node_name = n.node "
        f"GROUP BY n.node HAVING MIN({deleted}) = 1 LIMIT {DELETED_MAX}"
    )
    return [str(row["node"]) for row in if_there(database, text, ())]
