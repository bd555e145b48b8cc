"""The two long lists, nodes and interfaces: what they show, and what they are sorted and filtered by.

They are sorted only by what has an index (database/tables.py), and the last column of each order is unique.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from multinic.database.tables import INTERFACE, NODE
from multinic.values.counts import STATES

RESULTS = ("ok", "partial", "blocked", "error")
SIZES = (50, 100, 200, 500)
"""Rows on a page; the first is the usual one."""


class Listing(NamedTuple):
    """One list."""

    name: str
    table: str
    key: str
    """The column that names a row."""
    columns: Mapping[str, str]
    """Name → expression of SQL; {silent} stands for whether nothing has come for too long."""
    usual: tuple[str, ...]
    """The columns that are shown unless others are chosen."""
    orders: Mapping[str, tuple[str, ...]]
    """Name → the columns of an index."""
    facets: Mapping[str, tuple[str, ...]]
    """What is filtered by a choice of values → the values that always have a place; the others are found."""


NODES = Listing(
    name="nodes",
    table=NODE,
    key="node",
    columns={
        "node": "node",
        "result": "last_result",
        "silent": "{silent}",
        "interfaces": "interfaces",
        **{state: state for state in STATES},
        "version": "version",
        "backend": "backend",
        "last_seen": "last_seen",
        "since": "since",
        "changed": "changed",
        "error_code": "error_code",
        "error": "error",
    },
    usual=("node", "result", "interfaces", *STATES, "version", "backend", "last_seen", "since", "error"),
    orders={
        "node": ("node",),
        "result": ("last_result", "since", "node"),
        "last_seen": ("last_seen", "node"),
        "changed": ("changed", "node"),
    },
    facets={"result": RESULTS, "silent": ("yes", "no"), "backend": (), "version": ()},
)
INTERFACES = Listing(
    name="interfaces",
    table=INTERFACE,
    key="id",
    columns={
        name: name
        for name in (
            *("node", "name", "state", "reason", "message", "mac", "addresses", "mtu", "operational"),
            *("port_id", "row_id", "since", "changed", "id"),
        )
    },
    usual=("node", "name", "state", "reason", "message", "mac", "addresses", "since"),
    orders={
        "node": ("node", "id"),
        "state": ("state", "since", "id"),
        "reason": ("reason", "id"),
        "changed": ("changed", "id"),
    },
    facets={"state": STATES, "reason": ()},
)
LISTINGS = {listing.name: listing for listing in (NODES, INTERFACES)}
