"""The database: whether it answers, what it lets us do, and whether it speaks of this node."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import replace

from multinic import source
from multinic.config import node_name
from multinic.doctor.finding import Finding, Level, Seen
from multinic.errors import SourceError
from multinic.settings import DatabaseSettings
from multinic.source import rows
from multinic.source.database import Database
from multinic.text import shown

_OPTIONAL = ("subnet_id", "address", "mtu", "options", "status", "deleted_at", "modified_at")
_NEEDED = {"USAGE", "SELECT", "UPDATE"}
_LOCAL = re.compile(r"127\.|::1$")
_INDEX = "CREATE INDEX multi_interface_node ON multi_interface (attached_node_name)"
_GRANTS = 'docs/reference.md, "The database", has the statements that grant what is needed and no more'
_NODES = "SELECT DISTINCT attached_node_name FROM multi_interface LIMIT 10000"


def reachable(seen: Seen) -> Iterator[Finding]:
    """Connect, with TLS or without; look at every host of a list."""
    if seen.settings is None:
        return
    settings = seen.settings.database
    hosts = _hosts(settings)
    if len(hosts) > 1:
        yield from (_alone(host, its_settings) for host, its_settings in hosts)
    seen.database = database = source.connect(settings)
    yield Finding("database", Level.OK, f"{database.where} answers and lets this user in")
    if not database.address:
        return
    if "ssl_ca=" in settings.url:
        yield Finding("tls", Level.OK, "the connection is encrypted, and the server's certificate is checked")
    elif not _LOCAL.match(database.address):
        words = f"the connection to {database.address} is not encrypted: who is in between can change rows"
        yield Finding("tls", Level.WARNING, words, "add ?ssl_ca=/path/of/the/authority.pem to database.url")


def _alone(host: str, settings: DatabaseSettings) -> Finding:
    try:
        source.connect(settings).close()
    except SourceError as e:
        return Finding("database", Level.WARNING, str(e), e.hint)
    return Finding("database", Level.OK, f"{host} answers")


def _hosts(settings: DatabaseSettings) -> list[tuple[str, DatabaseSettings]]:
    """Return every host of the URL by name, each with the settings that ask it alone."""
    if not settings.url.startswith("mysql:"):
        return []
    from multinic.source import mysql

    return [(host, replace(settings, url=url)) for host, url in mysql.each_host(settings.url)]


def schema(seen: Seen) -> Iterator[Finding]:
    """Read the rows of this node as a pass does, and name the columns that this database lacks."""
    if seen.settings is None or seen.database is None:
        return
    with source.deadline(seen.settings.database):
        seen.answer = seen.database.ask(node_name(seen.settings))
    columns, of_subnet = seen.database.columns, seen.answer.columns[len(seen.database.columns) + 1 :]
    lacking = [f"multi_interface.{name}" for name in _OPTIONAL if name not in columns]
    if seen.database.subnets and "options" not in of_subnet:
        lacking.append("multi_subnet.options")
    if not seen.database.subnets:
        words = "there is no table multi_subnet: addresses need a prefix length of their own"
        yield Finding("schema", Level.NOTE, words)
    if lacking:
        words = f"there is no column {', '.join(lacking)}: it counts as empty"
        yield Finding("schema", Level.NOTE, words, "`multinic db migrate` adds address, mtu and options")
    else:
        yield Finding("schema", Level.OK, "the tables have all columns that multinic knows")


def privileges(seen: Seen) -> Iterator[Finding]:
    """Find out whether results may be written, by an UPDATE that changes nothing, and what is too much."""
    if seen.settings is None or seen.database is None or seen.answer is None:
        return
    columns = [c for c in ("netplan_success", "modified_at") if c in seen.database.columns]
    kept = ", ".join(f"{column} = {column}" for column in columns)
    try:
        with source.deadline(seen.settings.database):
            seen.database.execute(f"UPDATE multi_interface SET {kept} WHERE 1 = 0", ())  # noqa: S608
    except SourceError as e:
        words = f"results cannot be written: {e}"
        yield Finding(
            "privileges", Level.PROBLEM, words, f"UPDATE of {' and '.join(columns)} is needed. {_GRANTS}"
        )
    else:
        yield Finding("privileges", Level.OK, f"{' and '.join(columns)} may be written")
    if seen.database.product == "mysql":
        with source.deadline(seen.settings.database):
            _, grants, _ = seen.database.execute("SHOW GRANTS", ())
        if excess := too_much([str(grant[0]) for grant in grants]):
            words = f"the database lets this user do more than multinic needs: {', '.join(excess)}"
            yield Finding("privileges", Level.WARNING, words, _GRANTS)


def too_much(grants: list[str]) -> list[str]:
    """Return the privileges in `SHOW GRANTS` that multinic does not need; there may be a hash in it, too."""
    found: set[str] = set()
    for grant in grants:
        if match := re.match(r"GRANT (.+?) ON [^ ]+ TO ", grant):
            found.update(re.sub(r"\([^)]*\)", "", match[1]).upper().replace(" ,", ",").split(","))
    return sorted({name.strip() for name in found} - _NEEDED)


def index(seen: Seen) -> Iterator[Finding]:
    """Look for the index that the statement of every pass needs."""
    if seen.settings is None or seen.database is None or seen.answer is None:
        return
    with source.deadline(seen.settings.database):
        indexed = "attached_node_name" in _indexed(seen.database)
    if indexed:
        yield Finding("index", Level.OK, "attached_node_name has an index")
    else:
        words = "attached_node_name has no index: every pass of every host reads the whole table"
        yield Finding("index", Level.WARNING, words, f"as an administrator of the database: {_INDEX}")


def _indexed(database: Database) -> set[str]:
    """Return the columns of multi_interface that come first in an index."""
    if database.product == "mysql":
        names, found, _ = database.execute("SHOW INDEX FROM multi_interface", ())
        entries = [dict(zip(map(str.lower, names), map(str, row), strict=True)) for row in found]
        return {entry["column_name"].lower() for entry in entries if entry["seq_in_index"] == "1"}
    _, indexes, _ = database.execute("SELECT name FROM pragma_index_list('multi_interface')", ())
    first: set[str] = set()
    for (name,) in indexes:
        _, columns, _ = database.execute("SELECT name FROM pragma_index_info(?) WHERE seqno = 0", (name,))
        first.update(str(column).lower() for (column,) in columns)
    return first


def node(seen: Seen) -> Iterator[Finding]:
    """Compare the name of this node with those in the table."""
    if seen.settings is None or seen.database is None or seen.answer is None:
        return
    name = node_name(seen.settings)
    if seen.host.root != "/" and not seen.settings.node:
        words = f"the node name {shown(name)} is that of the machine this runs on, not of {seen.host.root}"
        yield Finding("node", Level.WARNING, words, "set `node`, --node or NODE_NAME")
    desired = rows.desired(name, seen.answer, ignore_deleted_at=False, database=seen.database.address)
    if desired.rows_read:
        words = f"the database has {desired.rows_read} rows of node {shown(desired.node)}"
        yield Finding("node", Level.OK, words)
        return
    others = _other_nodes(seen.database, seen.settings.database)
    if near := _near(name, others):
        words = f"the database has no row of node {shown(name)}, but of {', '.join(map(shown, near))}"
        yield Finding(
            "node", Level.WARNING, words, "if that is this node, set `node` to the name in the table"
        )
    elif others:
        some = ", ".join(map(shown, others[:3]))
        words = f"the database has no row of node {shown(name)}, but of {len(others)} others, such as {some}"
        yield Finding("node", Level.NOTE, words, "if one is this node, set `node` to the name in the table")
    else:
        yield Finding("node", Level.NOTE, "the table multi_interface has no rows of any node")


def _other_nodes(database: Database, settings: DatabaseSettings) -> list[str]:
    with source.deadline(settings):
        _, found, _ = database.execute(_NODES, ())
    return sorted(str(name) for (name,) in found if name)


def _near(name: str, others: list[str]) -> list[str]:
    """Return the names that may be meant: of the same host in another domain, or nearly the same text."""
    folded = {other.casefold(): other for other in others}
    short = name.casefold().partition(".")[0]
    same = [other for key, other in folded.items() if key.partition(".")[0] == short]
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.8)
    return list(dict.fromkeys([*same, *(folded[key] for key in close)]))[:5]
