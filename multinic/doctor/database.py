"""Checks of the database: whether it answers, what it allows, and whether it has rows of this node."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from multinic.database import rows, source
from multinic.database.grants import OF_HOSTS
from multinic.database.session import Session
from multinic.doctor.finding import Examination, Finding, Level
from multinic.host.config import node_name
from multinic.values.errors import SourceError
from multinic.values.settings import DatabaseSettings
from multinic.values.text import counted, shown

_OPTIONAL = ("subnet_id", "address", "mtu", "options", "status", "deleted_at", "modified_at")
_NEEDED = {"USAGE", "SELECT", "UPDATE"}
_LOCAL = re.compile(r"127\.|::1$")
_INDEX = "CREATE INDEX multi_interface_node ON multi_interface (attached_node_name)"
_COLLATION = (
    "ALTER TABLE multi_interface MODIFY attached_node_name VARCHAR(255) CHARACTER SET utf8mb4 "
    "COLLATE utf8mb4_general_ci"
)
_LOGIN = "add ssl_ca=… to database.url, or server_public_key=… with a copy of it (man multinic.toml)"
_GRANTS = "`multinic db grants` prints the statements that grant what is needed and no more"
_NODES = "SELECT DISTINCT attached_node_name FROM multi_interface LIMIT 10000"


def reachable(seen: Examination) -> Iterator[Finding]:
    """Connect, with TLS or without; ask every host of a list, as a pass may have to."""
    if seen.settings is None:
        return
    settings = seen.settings.database
    hosts = _hosts(settings)
    if len(hosts) > 1:
        yield from _each(hosts, node_name(seen.settings))
    seen.database = database = source.connect(settings)
    yield Finding("database", Level.OK, f"{database.where} answers and lets this user in")
    if not database.address:
        return
    yield from _remembered_login(database, settings.url)
    if "ssl_ca=" in settings.url:
        yield Finding("tls", Level.OK, "the connection is encrypted, and the server's certificate is checked")
    elif not _LOCAL.match(database.address):
        words = f"the connection to {database.address} is not encrypted: anyone in between can change rows"
        yield Finding("tls", Level.WARNING, words, "add ?ssl_ca=/path/of/the/authority.pem to database.url")


def _remembered_login(database: Session, url: str) -> Iterator[Finding]:
    """Warn of MySQL's default way to log in where it works only as long as the server remembers the user."""
    if not database.connection.login.endswith(("sha2_password", "sha256_password")) or "ssl_ca=" in url:
        return
    if "get_server_public_key=1" in url and "server_public_key=/" not in url:
        words = "the public key comes from any server that answers: a false server can read the password"
        yield Finding(
            "login", Level.WARNING, words, "use TLS (ssl_ca), or a copy of the key (server_public_key)"
        )
    elif "server_public_key=" not in url:
        words = (
            f"the user logs in by {database.connection.login} without TLS: that works as long as the server "
            "remembers the user; after its next restart no node gets in"
        )
        yield Finding("login", Level.WARNING, words, _LOGIN)


def _each(hosts: list[tuple[str, DatabaseSettings]], node: str) -> Iterator[Finding]:
    """Ask each host on its own, and compare what they say."""
    answers: dict[str, set[str]] = {}
    for host, settings in hosts:
        try:
            with source.connect(settings) as database:
                found = database.ask(node)
        except SourceError as e:
            yield Finding("database", Level.WARNING, str(e), e.hint)
            continue
        port = found.columns.index("port_id")
        answers[host] = {str(row[port]) for row in found.rows}
        yield Finding(
            "database", Level.OK, f"{host} answers, with {counted(len(found.rows), 'row')} of this node"
        )
    if len(set(map(frozenset, answers.values()))) > 1:
        counts = ", ".join(f"{host} {len(ports)}" for host, ports in answers.items())
        words = f"the hosts of database.url do not have the same rows of this node: {counts}"
        hint = "if that lasts, one lags or is not of the same cluster: take it out of database.url"
        yield Finding("database", Level.WARNING, words, hint)


def _hosts(settings: DatabaseSettings) -> list[tuple[str, DatabaseSettings]]:
    """Return every host of the URL by name, each with settings for that host alone."""
    if not settings.url.startswith("mysql:"):
        return []
    from multinic.database.url import each_host

    return [(host, settings._replace(url=url)) for host, url in each_host(settings.url)]


def schema(seen: Examination) -> Iterator[Finding]:
    """Read the rows of this node as a pass does, and name the columns that this database lacks."""
    if seen.settings is None or seen.database is None:
        return
    seen.answer = seen.database.ask(node_name(seen.settings))
    columns, of_subnet = seen.database.columns, seen.answer.columns[len(seen.database.columns) + 1 :]
    lacking = [f"multi_interface.{name}" for name in _OPTIONAL if name not in columns]
    if seen.database.shape.subnets and "options" not in of_subnet:
        lacking.append("multi_subnet.options")
    if not seen.database.shape.subnets:
        words = "there is no table multi_subnet: addresses need a prefix length of their own"
        yield Finding("schema", Level.NOTE, words)
    if "attached_node_id" in columns and not seen.database.shape.nodes:
        words = "node_table cannot be read: rows with attached_node_id and no attached_node_name are not seen"
        yield Finding("schema", Level.WARNING, words, _GRANTS)
    if seen.database.shape.collations:
        words = "multi_subnet and multi_interface have different collations: they are converted to be joined"
        yield Finding("schema", Level.NOTE, words)
    if lacking:
        words = f"there is no column {', '.join(lacking)}: it counts as empty"
        yield Finding("schema", Level.NOTE, words, "`multinic db migrate` adds address, mtu and options")
    else:
        yield Finding("schema", Level.OK, "the tables have all columns that multinic knows")


def privileges(seen: Examination) -> Iterator[Finding]:
    """Check by an UPDATE of no row that results may be written, and look for needless privileges."""
    if seen.settings is None or seen.database is None or seen.answer is None:
        return
    columns = [c for c in ("netplan_success", "modified_at") if c in seen.database.columns]
    assignments = ", ".join(f"{column} = {column}" for column in columns)
    try:
        # Of no row, but in the form of a pass: not every product takes a condition without a column.
        seen.database.execute(f"UPDATE multi_interface SET {assignments} WHERE id IN (-1)", ())  # noqa: S608
    except SourceError as e:
        words = f"results cannot be written: {e}"
        yield Finding(
            "privileges", Level.PROBLEM, words, f"UPDATE of {' and '.join(columns)} is needed. {_GRANTS}"
        )
    else:
        yield Finding("privileges", Level.OK, f"{' and '.join(columns)} may be written")
    if seen.database.product == "mysql":
        try:
            _, grants, _ = seen.database.execute("SHOW GRANTS", ())
        except SourceError as e:
            words = f"what else this user may do was not looked at: {e}"
            yield Finding("privileges", Level.NOTE, words)
            return
        if excess := too_much([str(grant[0]) for grant in grants]):
            words = f"the database lets this user do more than multinic needs: {', '.join(excess)}"
            yield Finding("privileges", Level.WARNING, words, _GRANTS)


def too_much(grants: list[str]) -> list[str]:
    """Return the privileges in `SHOW GRANTS` that multinic does not need; never the password hash in it."""
    found: set[str] = set()
    for grant in grants:
        if match := re.match(r"GRANT (.+?) ON ([^ ]+) TO ", grant):
            given = re.sub(r"\([^)]*\)", "", match[1]).upper().replace(" ,", ",").split(",")
            needed = OF_HOSTS.get(match[2].rpartition(".")[2].strip("`"), ())
            found |= {name.strip() for name in given}.difference(needed)
    return sorted(found - _NEEDED)


def index(seen: Examination) -> Iterator[Finding]:
    """Check that there is the index that the statement of every pass needs."""
    if seen.settings is None or seen.database is None or seen.answer is None:
        return
    indexed = "attached_node_name" in _indexed(seen.database)
    if seen.database.shape.case:
        words = (
            "attached_node_name has a collation in which case matters: no index serves, every pass of every "
            "host reads the whole table"
        )
        yield Finding("index", Level.WARNING, words, f"as an administrator of the database: {_COLLATION}")
    elif indexed:
        yield Finding("index", Level.OK, "attached_node_name has an index")
    else:
        words = "attached_node_name has no index: every pass of every host reads the whole table"
        yield Finding("index", Level.WARNING, words, f"as an administrator of the database: {_INDEX}")


def _indexed(database: Session) -> set[str]:
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


def node(seen: Examination) -> Iterator[Finding]:
    """Check that the table has rows of this node, else look for similar names."""
    if seen.settings is None or seen.database is None or seen.answer is None:
        return
    name = node_name(seen.settings)
    if seen.host.root != "/" and not seen.settings.node:
        words = f"the node name {shown(name)} is that of the machine that runs this, not of {seen.host.root}"
        yield Finding("node", Level.WARNING, words, "set `node`, --node or NODE_NAME")
    desired = rows.desired(name, seen.answer, ignore_deleted_at=False, database=seen.database.address)
    if desired.rows_read:
        words = f"the database has {counted(desired.rows_read, 'row')} of node {shown(desired.node)}"
        yield Finding("node", Level.OK, words)
        return
    others = _other_nodes(seen.database)
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


def _other_nodes(database: Session) -> list[str]:
    _, found, _ = database.execute(_NODES, ())
    return sorted(str(name) for (name,) in found if name)


def _near(name: str, others: list[str]) -> list[str]:
    """Return similar names: of the same host in another domain, or with nearly the same text."""
    folded = {other.casefold(): other for other in others}
    short = name.casefold().partition(".")[0]
    same = [other for key, other in folded.items() if key.partition(".")[0] == short]
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.8)
    return list(dict.fromkeys([*same, *(folded[key] for key in close)]))[:5]
