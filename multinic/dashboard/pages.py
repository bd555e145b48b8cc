"""One function for each page: from the query of its URL to what is on it, for HTML and JSON alike."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from multinic.dashboard import beside, filters, fleet, past, statements
from multinic.dashboard.conditions import Words
from multinic.dashboard.filters import Invalid, Pairs
from multinic.dashboard.listings import INTERFACES, LISTINGS, NODES, RESULTS
from multinic.dashboard.options import Options
from multinic.dashboard.statements import Row
from multinic.database.session import Session
from multinic.values.counts import NOT_AS_DESIRED, STATES

Data = dict[str, Any]


class NotThere(Exception):
    """There is no such thing; the text names it."""


class Asking(NamedTuple):
    """What a page is made from."""

    database: Session
    options: Options
    pairs: Pairs
    deleted: Sequence[str] = ()
    """The nodes that the controller has deleted."""

    @property
    def words(self) -> Words:
        """How the database spells things."""
        options = self.options
        mark, product = self.database.placeholder, self.database.product
        return Words(product, mark, options.silent_after, options.retired, self.deleted)


class PageOf(NamedTuple):
    """A page."""

    make: Callable[[Asking], Data]
    template: str
    about: str
    """What it answers, for the description of the API."""
    seconds: int
    """After how many seconds it is asked for again."""


def overview(asking: Asking) -> Data:
    """Return how the fleet is: counts, what fails grouped by what it may have in common, who is silent."""
    span = filters.choice(asking.pairs, "span", tuple(past.SPANS))
    database, words = asking.database, asking.words
    groups = fleet.nodes_in_groups(database, words)
    now, totals = _now(groups, database), _totals(groups)
    return {
        "as_of": now,
        **totals,
        "span": span,
        "states": _states(asking, now, totals["interfaces"], past.SPANS[span]),
        "reasons": fleet.reasons(database, words),
        "subnets": fleet.bad_subnets(database, words),
        "versions": _grouped(groups, "version"),
        "backends": _grouped(groups, "backend"),
        "worst": fleet.worst_nodes(database, words),
        "newest": fleet.newest_failures(database, words),
        "silent": fleet.silent_nodes(database, words),
        "hours": _hours(now, fleet.events_by_hour(database, words)),
    }


def wall(asking: Asking) -> Data:
    """Return the same in few words and large figures."""
    filters.none(asking.pairs)
    database, words = asking.database, asking.words
    groups = fleet.nodes_in_groups(database, words)
    return {
        "as_of": _now(groups, database),
        **_totals(groups),
        "reasons": fleet.reasons(database, words)[:6],
        "worst": fleet.worst_nodes(database, words)[:6],
    }


def _now(groups: list[Row], database: Session) -> str:
    return str(groups[0]["now"]) if groups else statements.now(database)


def _totals(groups: list[Row]) -> Data:
    nodes: Counter[str] = Counter()
    interfaces: Counter[str] = Counter()
    for group in groups:
        nodes[group["result"] or "error"] += group["nodes"]
        nodes["total"] += group["nodes"]
        nodes["silent"] += group["nodes"] * group["silent"]
        interfaces["total"] += group["interfaces"] or 0
        interfaces.update({state: group[state] or 0 for state in STATES})
    return {
        "nodes": {name: nodes[name] for name in ("total", *RESULTS, "silent")},
        "interfaces": {name: interfaces[name] for name in ("total", *STATES)},
        "bad": sum(interfaces[state] for state in NOT_AS_DESIRED),
    }


def _grouped(groups: list[Row], by: str) -> list[Row]:
    found: dict[str, Counter[str]] = {}
    for group in groups:
        counts = found.setdefault(group[by] or "", Counter())
        counts["nodes"] += group["nodes"]
        counts["bad_nodes"] += 0 if group["result"] == "ok" else group["nodes"]
        counts["interfaces"] += group["interfaces"] or 0
        counts["bad"] += sum(group[state] or 0 for state in NOT_AS_DESIRED)
        counts["silent"] += group["nodes"] * group["silent"]
    names = ("nodes", "bad_nodes", "interfaces", "bad", "silent")
    rows = [{by: value, **{name: counts[name] for name in names}} for value, counts in found.items()]
    return sorted(rows, key=lambda row: -row["nodes"])


def _states(asking: Asking, now: str, interfaces: Mapping[str, int], hours: int) -> list[Row]:
    """Return how many interfaces were in which state when each of the last hours ended, the oldest first."""
    changed, changed_since = fleet.changed_interfaces(asking.database, asking.words, hours)
    happened, happened_since = fleet.newest_events(asking.database, asking.words)
    at = past.ends(now[:19].replace("T", " "), hours)
    counted = {state: interfaces[state] for state in STATES}
    found = past.by_hour(at, counted, changed, happened, max(changed_since, happened_since))
    nothing = dict.fromkeys((*STATES, past.UNKNOWN))
    return [
        {"at": f"{time.replace(' ', 'T')}Z", **(counts or nothing)}
        for time, counts in zip(at, found, strict=True)
    ]


_TROUBLE = frozenset({"failed", "rolled-back", "blocked", "invalid", "outage", "unfinished"})
_CHANGES = frozenset({"created", "changed", "repaired", "removed"})


def _hours(now: str, counted: list[Row]) -> list[Row]:
    """Return the last hours, the oldest first, with how often there was trouble, a change, and neither."""
    last = datetime.strptime(now[:13], "%Y-%m-%dT%H")
    hours = [last - timedelta(hours=ago) for ago in range(fleet.HOURS - 1, -1, -1)]
    found = {f"{hour:%Y-%m-%d %H}": Counter[str]() for hour in hours}
    for row in counted:
        kind = "trouble" if row["kind"] in _TROUBLE else "changes" if row["kind"] in _CHANGES else "other"
        if (hour := row["hour"].replace("T", " ")) in found:
            found[hour][kind] += row["number"]
    return [
        {
            "hour": f"{hour.replace(' ', 'T')}:00:00Z",
            **{k: counts[k] for k in ("trouble", "changes", "other")},
        }
        for hour, counts in found.items()
    ]


def _listed(name: str) -> Callable[[Asking], Data]:
    def make(asking: Asking) -> Data:
        listed = filters.parse(LISTINGS[name], asking.pairs)
        page = statements.page(asking.database, listed, asking.words)
        counts = statements.counts(asking.database, listed, asking.words)
        return {
            "as_of": statements.now(asking.database),
            "total": counts.total,
            "total_capped": counts.capped,
            "facets": counts.facets,
            "rows": page.rows,
            "next": listed.query(after=page.last, before=()) if page.last else None,
            "previous": listed.query(before=page.first, after=()) if page.first else None,
        }

    return make


def node(asking: Asking) -> Data:
    """Return one node: its interfaces as desired and as observed, and what happened on it."""
    name = filters.one(asking.pairs, "name")
    database, words = asking.database, asking.words
    found = statements.node(database, name, words)
    if found is None:
        raise NotThere(f"no node {name!r} has written to the status tables")
    interfaces = statements.interfaces_of(database, name, words)
    ids = [row["row_id"] for row in interfaces if row["row_id"] is not None]
    desired = {row["id"]: row for row in statements.desired_of(database, ids)}
    subnet_ids = sorted({str(row["subnet_id"]) for row in desired.values() if row.get("subnet_id")})
    subnets = {row["subnet_id"]: row for row in statements.subnets(database, subnet_ids)}
    return {
        "as_of": statements.now(database),
        "node": found,
        "interfaces": [_with_desired(row, desired.get(row["row_id"]), subnets) for row in interfaces],
        "events": [_event(row) for row in statements.events_of(database, name, words)],
        "links": asking.options.links_of(name),
    }


def _with_desired(row: Row, desired: Row | None, subnets: Mapping[str, Row]) -> Row:
    subnet = subnets.get(str(desired.get("subnet_id")), {}) if desired else {}
    return {
        **row,
        "subnet": {"subnet_name": "", "cidr": "", **subnet} if subnet else None,
        "fields": beside.compared(row, desired, str(subnet.get("cidr") or "")),
    }


def _event(row: Row) -> Row:
    try:
        changes = json.loads(row["changes"] or "[]")
    except ValueError:
        changes = []
    good = isinstance(changes, list) and all(isinstance(change, dict) for change in changes)
    return {**row, "changes": changes if good else []}


def subnet(asking: Asking) -> Data:
    """Return one subnet: the rows of the controller, the addresses that are taken, and what the hosts say."""
    pairs = list(asking.pairs)
    after = [value for name, value in pairs if name == "after"]
    subnet_id = filters.one([(name, value) for name, value in pairs if name != "after"], "id")
    if len(after) > 1 or not all(re.fullmatch(r"\d{1,18}", word) for word in after):
        raise Invalid("after must be the id of a row")
    database, words = asking.database, asking.words
    rows = statements.rows_of_subnet(database, subnet_id, int(after[0]) if after else 0, words)
    found = statements.subnet(database, subnet_id, words)
    if found is None and not rows:
        raise NotThere(f"no subnet {subnet_id!r} is in the controller's tables")
    shown = rows[: statements.OF_SUBNET_MAX]
    return {
        "as_of": statements.now(database),
        "subnet": {"subnet_id": subnet_id, "subnet_name": "", "cidr": "", **(found or {})},
        "rows": [
            {**row, "taken": beside.words(row.get("address")) or beside.words(row["addresses"])}
            for row in shown
        ],
        "next": shown[-1]["id"] if len(rows) > len(shown) else None,
    }


def jump(asking: Asking) -> str:
    """Return the path that a search leads to: the page of one node, or a list."""
    text = filters.one(asking.pairs, "q").strip()
    low = text.lower().replace("-", ":")
    named = ""
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", low):
        named = statements.node_with(asking.database, "mac", low)
    elif re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text.lower()):
        named = statements.node_with(asking.database, "port_id", text.lower())
    elif statements.node(asking.database, text, asking.words):
        named = text
    if named:
        return f"/node?{urlencode({'name': named})}"
    listing = NODES if _has_nodes(asking, text) else INTERFACES
    return f"/{listing.name}?{urlencode({'q': text})}"


def _has_nodes(asking: Asking, text: str) -> bool:
    listed = filters.Filter(NODES, search=text, size=1)
    return bool(statements.page(asking.database, listed, asking.words).rows)


PAGES: Mapping[str, PageOf] = {
    "overview": PageOf(overview, "overview.html", "How the fleet is, and what may be the cause", 10),
    "nodes": PageOf(_listed("nodes"), "list.html", "The nodes, filtered, sorted and in pages", 10),
    "interfaces": PageOf(_listed("interfaces"), "list.html", "The interfaces, in the same way", 10),
    "node": PageOf(node, "node.html", "One node, what it should have and what it has", 10),
    "subnet": PageOf(subnet, "subnet.html", "One subnet and the addresses that are taken", 15),
    "wall": PageOf(wall, "wall.html", "The fleet in few words and large figures", 5),
}
