"""Judge all rows of all nodes as their hosts will, without any host: `multinic db check`.

Every node's rows go through the very function that a host's pass uses (rows.py); there is no second copy of
a rule. Only what no host can see is found here: what is there twice in the fleet, and what lacks rows.
A file that SQLite makes and removes by itself keeps what was read until all of it is, so memory is bounded.
"""

from __future__ import annotations

import marshal
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from multinic.database import pages, source
from multinic.database.columns import BadColumn, as_text, network_of
from multinic.database.rows import desired
from multinic.database.statement import ROWS_MAX, Answer
from multinic.database.subnets import is_desired
from multinic.values.desired import Desired, DesiredLink, InvalidRow
from multinic.values.errors import Exit, SourceError, SourceRejected
from multinic.values.settings import DatabaseSettings
from multinic.values.text import counted, shown

VERSION = 1
"""The version of the document: it changes when a field changes its meaning or is removed."""
PROBLEM, NOTE = "problem", "note"
_LISTED = 5  # rows in a message
_TABLES = """\
CREATE TABLE rows (short TEXT, row BLOB);
CREATE TABLE nodes (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE macs (mac TEXT, node TEXT, row_id TEXT);
CREATE TABLE addresses (network TEXT, address TEXT, node TEXT, row_id TEXT);
"""


class Finding(NamedTuple):
    """One thing that is wrong, or good to know."""

    level: str
    reason: str
    message: str
    node: str = ""
    row_id: int | None = None
    mac: str = ""


def check(settings: DatabaseSettings, *, max_interfaces: int, limit: int) -> dict[str, Any]:
    """Return the document; it has the first `limit` findings. Raises ConfigError and SourceError."""
    with source.connect(settings) as database:
        checked = _Check(database, settings, max_interfaces)
        kept: list[Finding] = []
        counts: Counter[str] = Counter()
        for finding in checked.findings():
            counts[finding.level] += 1
            if len(kept) < limit:
                kept.append(finding)
        return {
            "version": VERSION,
            "database": database.where,
            "rows": checked.rows,
            "desired": checked.desired,
            "nodes": checked.nodes,
            "findings": [finding._asdict() for finding in kept],
            "left_out": counts.total() - len(kept),
            "summary": dict(sorted(counts.items())),
            "exit": int(Exit.PARTIAL if counts[PROBLEM] else Exit.OK),
        }


class _Check:
    """One reading of the whole database."""

    def __init__(self, database: source.Session, settings: DatabaseSettings, max_interfaces: int) -> None:
        self._database, self._settings, self._max_interfaces = database, settings, max_interfaces
        self.rows = self.desired = self.nodes = 0
        self._columns: tuple[str, ...] = ()
        self._kept = sqlite3.connect("", isolation_level=None)  # a file of its own, gone with the connection
        self._kept.executescript(_TABLES)
        self._kept.execute("BEGIN")
        self._too_long: list[Any] = []

    def findings(self) -> Iterator[Finding]:
        """Yield everything that is found: node by node, then what is there twice, then nodes and subnets."""
        self._read()
        for row_id in self._too_long:
            words = f"row {shown(row_id)}: it is longer than any row can be; look for a very long text in it"
            yield Finding(PROBLEM, "too-long", words, row_id=row_id if isinstance(row_id, int) else None)
        for group in self._groups():
            yield from self._of_group(group)
        yield from self._twice()
        yield from self._without_rows()
        yield from self._subnets()

    def _read(self) -> None:
        """Keep all rows by the short name of their node: a host looks at all spellings of its name."""
        for answer in pages.interfaces(self._database, self._too_long.append):
            self._columns = self._columns or answer.columns
            if answer.columns != self._columns:
                words = f"{self._database.where}: its tables have been changed while they were read"
                raise SourceError(words, "run it again")
            name = answer.columns.index("attached_node_name")
            self.rows += len({repr(row[answer.columns.index("id")]) for row in answer.rows})
            self._kept.executemany(
                "INSERT INTO rows VALUES (?, ?)",
                (
                    (_short(as_text(row[name])), marshal.dumps(tuple(map(_plain, row))))
                    for row in answer.rows
                    if as_text(row[name])  # a port that is attached to no node is nobody's
                ),
            )

    def _groups(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of each short name; of absurdly many no more than show that."""
        group: list[tuple[Any, ...]] = []
        before = None
        for short, row in self._kept.execute("SELECT short, row FROM rows ORDER BY short, rowid"):
            if short != before and group:
                yield group
                group = []
            before = short
            if len(group) <= ROWS_MAX:
                group.append(marshal.loads(row))  # noqa: S302 - written above
        if group:
            yield group

    def _of_group(self, group: Sequence[tuple[Any, ...]]) -> Iterator[Finding]:
        at = self._columns.index("attached_node_name")
        names = {as_text(row[at]).casefold(): as_text(row[at]) for row in group}
        for name in sorted(names.values()):
            self.nodes += 1
            if len(group) > ROWS_MAX:
                words = f"more than {ROWS_MAX} rows are of a node of this name: its host reads none of them"
                yield Finding(PROBLEM, "too-many-rows", words, name)
                continue
            try:
                found = desired(
                    name,
                    Answer(self._columns, tuple(group)),
                    ignore_deleted_at=self._settings.ignore_deleted_at,
                    database="",
                )
            except SourceRejected as e:
                yield Finding(PROBLEM, "too-many-rows", str(e), name)
                continue
            self._note(name, found, group)
            yield from self._of_node(name, found)

    def _of_node(self, name: str, found: Desired) -> Iterator[Finding]:
        """Yield what the host of one node would refuse, and what it may not do."""
        for row in found.invalid:
            yield Finding(PROBLEM, row.reason, row.message, name, row.row_id, row.mac_text)
        if found.elsewhere:
            spelled = ", ".join(sorted({shown(row.node) for row in found.elsewhere})[:_LISTED])
            rows = counted(len(found.elsewhere), "row")
            words = f"{rows} under another spelling of this name: {spelled}"
            yield Finding(NOTE, "ambiguous-node", words, name)
        if len(found.links) > self._max_interfaces:
            words = (
                f"{len(found.links)} interfaces are desired; max_interfaces is {self._max_interfaces} here"
            )
            yield Finding(NOTE, "no-free-slot", words, name)

    def _note(self, name: str, found: Desired, group: Sequence[tuple[Any, ...]]) -> None:
        """Remember what must be there once in the whole fleet."""
        count = len(found.links) + len(found.invalid)
        self.desired += count
        if count:
            self._kept.execute("INSERT OR IGNORE INTO nodes VALUES (?)", (name.casefold(),))
        rows: tuple[DesiredLink | InvalidRow, ...] = (*found.links, *found.invalid)
        macs = [(str(row.mac), name, str(row.row_id)) for row in rows if row.mac]
        self._kept.executemany("INSERT INTO macs VALUES (?, ?, ?)", macs)
        networks = self._networks(group)
        self._kept.executemany(
            "INSERT INTO addresses VALUES (?, ?, ?, ?)",
            [
                (networks[link.row_id], str(address.ip), name, str(link.row_id))
                for link in found.links
                for address in link.addresses
                if networks.get(link.row_id)
            ],
        )

    def _networks(self, group: Sequence[tuple[Any, ...]]) -> dict[Any, str]:
        """Return in which network each row is: that of its subnet, else the subnet itself; "" if none is."""
        marker = self._columns.index("_subnet")
        found = {}
        for row in group:
            mine = dict(zip(self._columns[:marker], row[:marker], strict=True))
            subnet = dict(zip(self._columns[marker + 1 :], row[marker + 1 :], strict=True))
            found[mine["id"]] = as_text(subnet.get("network_id")) or as_text(mine.get("subnet_id"))
        return found

    def _twice(self) -> Iterator[Finding]:
        """Yield what rows of several nodes have; what two rows of one node have, its host refuses."""
        macs = self._kept.execute("SELECT mac, row_id, node FROM macs ORDER BY mac, rowid")
        for (mac,), rows in _of_several(macs, 1):
            words = f"the MAC address {mac} is in rows of several nodes: {rows}"
            yield Finding(PROBLEM, "duplicate-mac", words, mac=mac)
        addresses = self._kept.execute(
            "SELECT network, address, row_id, node FROM addresses ORDER BY network, address, rowid"
        )
        for (network, address), rows in _of_several(addresses, 2):
            words = f"{address} is in rows of several nodes, in network {shown(network)}: {rows}"
            yield Finding(PROBLEM, "duplicate-address", words)

    def _without_rows(self) -> Iterator[Finding]:
        for row in pages.others(self._database, "node_table"):
            name = as_text(row.get("attached_node_name"))
            known = self._kept.execute("SELECT 1 FROM nodes WHERE name = ?", (name.casefold(),)).fetchone()
            if name and not known and is_desired(row, ignore_deleted_at=False):
                yield Finding(NOTE, "no-rows", "no interface is desired on this node", name)

    def _subnets(self) -> Iterator[Finding]:
        for row in pages.others(self._database, "multi_subnet"):
            if not is_desired(row, ignore_deleted_at=False):
                continue
            name = f"subnet {shown(as_text(row.get('subnet_id')))}"
            try:
                if network_of(row.get("cidr")) is None:
                    words = f"{name} has no cidr: addresses without a prefix length are refused in it"
                    yield Finding(NOTE, "no-cidr", words)
            except BadColumn as e:
                yield Finding(PROBLEM, e.reason, f"{name}: {e.column} {e.seen} {e.problem}")


def _short(name: str) -> str:
    return name.casefold().partition(".")[0]


def _plain(value: Any) -> Any:
    """Return a value of a column as marshal keeps it; what is no number or text is read as text anyway."""
    return value if value is None or isinstance(value, int | float | str | bytes) else as_text(value)


def _of_several(found: sqlite3.Cursor, keys: int) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield what rows of more than one node share, and these rows with their nodes, for a message.

    `found` has its rows in the order of what is shared, which is in the first `keys` columns.
    """
    for key, rows in groupby(found, lambda row: row[:keys]):
        listed, count, nodes = [], 0, set[str]()
        for row_id, node in (row[keys:] for row in rows):
            count += 1
            nodes = nodes if len(nodes) > 1 else nodes | {node.casefold()}
            if count <= _LISTED:
                listed.append(f"{row_id} ({shown(node)})")
        if len(nodes) > 1:
            more = f" and {count - _LISTED} more" if count > _LISTED else ""
            yield key, ", ".join(listed) + more
