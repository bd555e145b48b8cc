"""The truth back in SQL: what the status tables say of a node, when they are written, and whose rows."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from multinic.database import schema, source, status, tables
from multinic.report import tables as told_to_tables
from multinic.state import history, told
from multinic.values.errors import ConfigError, Refused, SourceError, SourceRejected
from multinic.values.history import Event, FieldChange, Kind
from multinic.values.paths import TOLD
from tests.db.conftest import settings as database_settings
from tests.db.fleet import Member, settings
from tests.schemas import CONTROLLER

ROOT = Path(__file__).parents[2]
ONE, TWO, THREE = (f"fa:16:3e:00:00:0{number}" for number in (1, 2, 3))
HOSTILE = "'); DROP TABLE multinic_node; -- \x00\x1b[31m\r\n\u202e\ud800 \N{GRINNING FACE}%s ? " * 200


@pytest.fixture
def node(store, tmp_path):
    """A node with one port, on a database with our tables."""
    CONTROLLER.create(store.connection)
    list(schema.migrate(database_settings(store.url)))
    CONTROLLER.attach(store.connection, ONE, mtu=1450)
    return member(store, tmp_path, "node1")


def member(store, tmp_path, name):
    found = Member(name, tmp_path / name, settings(store, tmp_path))
    found.plug(1, ONE)
    return found


def interfaces(store, name="node1"):
    found = store.sql("SELECT * FROM multinic_interface WHERE node = %s ORDER BY id", name)
    return {row["interface_key"]: row for row in found}


def events(store, name="node1"):
    return store.sql("SELECT * FROM multinic_event WHERE node = %s ORDER BY number", name)


def ages_of_events(store):
    """Return how many seconds ago each event happened, by the clock of the database."""
    age = {
        "mariadb": "TIMESTAMPDIFF(SECOND, at, UTC_TIMESTAMP())",
        "sqlite": "CAST(ROUND((julianday('now') - julianday(at)) * 86400) AS INT)",
    }[store.product]
    return [row["age"] for row in store.sql(f"SELECT {age} age FROM multinic_event ORDER BY number")]


def the_node(store, name="node1"):
    (row,) = store.sql("SELECT * FROM multinic_node WHERE node = %s", name)
    return row


def make_old(store):
    """Let everything in the tables be from some day."""
    for table, columns in (("node", "last_seen since changed"), ("interface", "since changed")):
        values = ", ".join(f"{column} = '2026-01-02 03:04:05'" for column in columns.split())
        store.sql(f"UPDATE multinic_{table} SET {values}")


def is_old(row, column):
    return str(row[column]) == "2026-01-02 03:04:05"


def counted(database, monkeypatch):
    """Return the statements that are sent from now on."""
    seen = []
    execute = database.execute
    monkeypatch.setattr(
        database, "execute", lambda text, values: (seen.append(text), execute(text, values))[1]
    )
    return seen


# What they say


def test_sql_alone_tells_of_every_row_since_when_it_is_as_desired_or_why_not(store, node):
    CONTROLLER.attach(store.connection, TWO, mtu=9000)
    CONTROLLER.attach(store.connection, THREE, address="nonsense")
    CONTROLLER.attach(store.connection, "fa:16:3e:00:00:04")
    node.plug(2, TWO)
    with store.open() as database:
        node.reconcile(database, lambda interface: interface.mtu != 9000)
    rows = {row["row_id"]: row for row in interfaces(store).values()}
    assert {row_id: (row["state"], row["reason"]) for row_id, row in rows.items()} == {
        1: ("converged", "converged"),
        2: ("failed", "not-converged"),
        3: ("invalid", "bad-value"),
        4: ("waiting", "not-plugged-in"),
    }
    assert "'nonsense' is not an IP address" in rows[3]["message"]
    assert (rows[1]["name"], rows[1]["mtu"], rows[1]["operational"]) == ("multinic0", 1450, "up")
    assert (rows[4]["mtu"], rows[4]["operational"]) == (None, "absent")
    found = the_node(store)
    assert (found["last_result"], found["exit_status"], found["interfaces"]) == ("partial", 4, 4)
    counts = [found[word] for word in ("converged", "waiting", "blocked", "invalid", "failed")]
    assert (counts, found["version"], found["backend"]) == ([1, 1, 0, 1, 1], "1.2.3", "netplan")
    tried = {row["kind"]: (row["attempt"], row["fields"]) for row in events(store)}
    assert tried == {
        "created": ("create", "mtu name"),
        "failed": ("create", "mtu name"),
        "invalid": ("", ""),
        "waiting": ("", ""),
    }
    changes = json.loads(next(row["changes"] for row in events(store) if row["kind"] == "created"))
    assert {"field": "mtu", "from": "1500", "to": "1450"} in changes


def test_since_moves_with_the_state_alone_and_what_is_gone_leaves_its_events(store, node):
    CONTROLLER.attach(store.connection, TWO)
    with store.open() as database:
        node.reconcile(database)
        make_old(store)
        store.sql("UPDATE multi_interface SET mtu = 1400 WHERE id = 1")
        node.plug(2, TWO)
        node.reconcile(database)
        rows = interfaces(store)
        assert (rows[ONE]["mtu"], is_old(rows[ONE], "since"), is_old(rows[ONE], "changed")) == (
            1400,
            True,
            False,
        )
        assert (rows[TWO]["state"], is_old(rows[TWO], "since")) == ("converged", False)
        assert is_old(the_node(store), "since")  # it was and is all right
        store.sql("DELETE FROM multi_interface WHERE id = 2")
        node.reconcile(database)
    assert list(interfaces(store)) == [ONE]
    assert [row["kind"] for row in events(store) if row["mac"] == TWO] == ["waiting", "created", "removed"]


ENDINGS = {
    "refused": Refused("files of another backend", "purge first"),
    "settings": ConfigError("two nodes could be meant"),
    "unexpected": ValueError("a secret: hush-hush"),
}


def test_a_pass_that_was_refused_or_could_not_begin_is_told_and_so_is_its_end(store, node, monkeypatch):
    with store.open() as database:
        node.reconcile(database)
        before = interfaces(store)
        for code, error in ENDINGS.items():
            told_to_tables.tell_error(database, node.settings.database, node.host, "other", error, [])
            seen = counted(database, monkeypatch)
            told_to_tables.tell_error(database, node.settings.database, node.host, "other", error, [])
            assert seen == []  # it was known
            found = the_node(store)
            assert (found["last_result"], found["error_code"]) == ("error", code)
            assert ("hush" not in found["error"], found["error"] != "") == (True, True)
            assert "purge first" in found["error"] or code != "refused"
        assert interfaces(store) == before
    told_to_tables.tell_error(database, node.settings.database, node.host, "other", Refused("later"), [])
    assert (the_node(store)["error"], database.connected) == ("later", False)
    with database:
        node.reconcile(database)
    assert (the_node(store)["last_result"], the_node(store)["error"]) == ("ok", "")


def test_an_error_before_anything_else_leaves_no_row_of_an_interface_behind(store, node):
    with store.open() as database:
        node.reconcile(database)
        node.host.remove(TOLD)  # a boot
        store.sql("DELETE FROM multi_interface")
        told_to_tables.tell_error(database, node.settings.database, node.host, "node1", Refused("no"), [])
        assert list(interfaces(store)) == [ONE]
        node.reconcile(database)
    assert interfaces(store) == {}


# When they are written


def test_without_news_no_statement_is_sent_and_a_sign_of_life_is_one(store, node, monkeypatch):
    with store.open() as database:
        node.reconcile(database)
        node.reconcile(database)  # "created" is "unchanged" by now, which is the same
        make_old(store)
        seen = counted(database, monkeypatch)
        asked = len(seen)
        node.reconcile(database)
        assert [text for text in seen[asked:] if "multinic_" in text] == []
        assert is_old(the_node(store), "last_seen")
        node.clock += 290
        node.reconcile(database)
        assert [text.split()[0] for text in seen if "multinic_" in text] == ["UPDATE"]
    assert not is_old(the_node(store), "last_seen")
    assert is_old(the_node(store), "changed")
    assert is_old(interfaces(store)[ONE], "changed")


def test_a_clock_that_was_wrong_costs_a_sign_of_life_and_no_silence(store, node):
    with store.open() as database:
        node.clock = 4e9
        node.reconcile(database)
        make_old(store)
        node.clock = 1e9
        node.reconcile(database)
    assert not is_old(the_node(store), "last_seen")


def test_without_our_tables_it_works_as_before_and_they_are_found_once_they_are_there(
    store, tmp_path, monkeypatch
):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, mtu=1450)
    node = member(store, tmp_path, "node1")
    with store.open() as database:
        seen = counted(database, monkeypatch)
        for _ in range(3):
            node.reconcile(database)
        assert len([text for text in seen if "multinic_" in text]) == 1  # asked once
        list(schema.migrate(database_settings(store.url)))
        node.clock += 290
        node.reconcile(database)
    assert interfaces(store)[ONE]["state"] == "converged"
    assert [row["kind"] for row in events(store)] == ["created"]  # also what happened before


def test_tables_that_were_emptied_or_restored_from_a_backup_are_filled_again(store, node):
    with store.open() as database:
        node.reconcile(database)
        for table in ("node", "interface", "event"):
            store.sql(f"DELETE FROM multinic_{table}")
        node.clock += 290
        node.reconcile(database)
    assert interfaces(store)[ONE]["state"] == "converged"
    assert the_node(store)["last_result"] == "ok"


def test_what_could_not_be_written_is_written_later_with_the_time_when_it_happened(store, node):
    with store.open(read_timeout=0.3, connect_timeout=0.2) as database:
        node.reconcile(database)
        store.sql("UPDATE multi_interface SET mtu = 1300")
        store.sql("BEGIN" if store.product == "mariadb" else "BEGIN IMMEDIATE")
        store.sql("UPDATE multinic_node SET version = 'locked'")
        with pytest.raises(SourceError):
            node.reconcile(database)
        store.sql("ROLLBACK")
        assert [row["kind"] for row in events(store)] == ["created"]
        assert interfaces(store)[ONE]["mtu"] == 1450
        node.clock += 100
        node.reconcile(database)
    assert [row["kind"] for row in events(store)] == ["created", "changed"]
    assert interfaces(store)[ONE]["mtu"] == 1300
    assert "locked" not in the_node(store)["version"]
    assert ages_of_events(store)[1] >= 100


def test_a_lost_memory_repeats_no_event_and_forgets_no_row(store, node):
    CONTROLLER.attach(store.connection, TWO)
    with store.open() as database:
        node.reconcile(database)
        node.host.remove(TOLD)
        store.sql("DELETE FROM multi_interface WHERE id = 2")
        node.reconcile(database)
        assert list(interfaces(store)) == [ONE]
        before = events(store)
        for text in ("", "[]", '{"version": 1, "rows": 7}', '{"version": 1, "through": "x"}', "\0"):
            node.host.write(TOLD, text, 0o600)
            node.reconcile(database)
    assert events(store) == before


def test_the_newest_events_are_kept_and_have_their_times(store, node):
    number = status.KEPT + 30
    old = [Event(1 + at, Kind.CHANGED, "r", f"m{at}", attempt="update") for at in range(number)]
    with store.open() as database:
        for at in range(0, number, 70):
            news = status.News({"last_result": "ok"}, {}, (), old[at : at + 70], 86_400.0)
            status.write(database, "node1", news)
            status.write(database, "node1", news)  # as after a COMMIT whose answer was lost
    assert [row["number"] for row in events(store)] == list(range(31, number + 1))
    assert all(86_400 <= seconds < 86_460 for seconds in ages_of_events(store))


# Whose rows, and what is in them


def test_a_second_node_is_never_touched_also_one_whose_name_a_collation_takes_for_the_same(
    store, node, tmp_path
):
    names = ["node1", "node2", "NODE1", "node", "n\N{LATIN SMALL LETTER O WITH DIAERESIS}de1"]
    with store.open() as database:
        for name in names:
            status.write(
                database, name, status.News({"last_result": name[:9]}, {ONE: {"state": "s"}}, (), (), 0.0)
            )
        others = {name: (the_node(store, name), interfaces(store, name)) for name in names[1:]}
        node.reconcile(database)
        store.sql("DELETE FROM multi_interface")
        node.reconcile(database)
        status.withdraw(database, "node1", (), 0.0)
    assert {name: (the_node(store, name), interfaces(store, name)) for name in names[1:]} == others
    assert store.sql("SELECT * FROM multinic_node WHERE node = 'node1'") == []


def test_what_was_told_under_another_spelling_of_the_name_goes(store, tmp_path):
    CONTROLLER.create(store.connection)
    list(schema.migrate(database_settings(store.url)))
    expected = set()
    with store.open() as database:
        for before, after, same in (
            ("a.example.org", "a", True),
            ("B", "b", True),
            ("c", "c.example.org", True),
            ("d2", "d1", False),
            ("e.a", "e.b", False),
        ):
            node = member(store, tmp_path, before)
            node.reconcile(database)
            node.node = after
            node.reconcile(database)
            expected |= {after} if same else {before, after}
    assert {row["node"] for row in store.sql("SELECT node FROM multinic_node")} == expected


def test_hostile_text_is_cut_at_a_whole_character_and_breaks_nothing(store, node):
    with store.open() as database:
        bad = {"row_id": None, "mac": HOSTILE, "state": "failed", "reason": "x", "message": HOSTILE}
        change = FieldChange(HOSTILE, HOSTILE, HOSTILE)
        event = Event(1, Kind.FAILED, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, "update", (change,) * 9)
        head = {"last_result": "error", "error": "\N{GRINNING FACE}" * 2000, "version": HOSTILE}
        name = "n\N{GRINNING FACE}" * 200
        status.write(database, name, status.News(head, {HOSTILE: bad}, (), (event,), 0.0))
        known = status.known(database, name)
        assert known is not None
        assert known.through == 1
        status.write(database, name, status.News(head, {}, sorted(known.keys), (event,), 0.0))
    (row,) = store.sql("SELECT * FROM multinic_node")
    assert row["node"] == name[: tables.NODE_MAX]
    assert row["error"] == "\N{GRINNING FACE}" * 1024
    assert store.sql("SELECT * FROM multinic_interface") == []
    (found,) = store.sql("SELECT * FROM multinic_event")
    assert found["message"].isprintable()
    assert found["message"].startswith("'); DROP TABLE multinic_node; -- \\x00\\x1b[31m")
    json.loads(found["changes"] or "[]")


def test_hosts_that_write_at_once_do_not_stop_each_other(mariadb, database):
    mine = database_settings(mariadb.url(database=database))
    list(schema.init(mine))
    failures = []

    def write(first):
        try:
            with source.connect(mine) as connected:
                for turn in range(12):
                    for number in range(first, 24, 4):
                        event = Event(1 + turn, Kind.CHANGED, attempt="update")
                        row = {"state": str(turn % 2), "message": str(turn)}
                        news = status.News(
                            {"last_result": "ok"}, {ONE: row, str(turn): row}, (str(turn - 1),), (event,), 9.0
                        )
                        connected.carry_out(
                            lambda news=news, n=number: status.write(connected, f"node{n}", news)
                        )
        except SourceError as e:
            failures.append(e)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    counts = mariadb.execute("SELECT COUNT(*) n FROM multinic_event", database=database)
    assert counts[0]["n"] == 24 * 12


# Rights, and the tables themselves


def test_a_user_who_may_not_write_is_told_so_and_one_who_may_not_read_has_no_tables(
    mariadb, database, tmp_path
):
    url = mariadb.url(database=database)
    list(schema.init(database_settings(url)))
    mariadb.create_user("reader", "secret", [f"SELECT ON `{database}`.*"])
    mariadb.create_user(
        "older", "secret", [f"SELECT ON `{database}`.{t}" for t in ("multi_interface", "multi_subnet")]
    )

    class Store:
        def __init__(self, user):
            self.url = mariadb.url(user=user, database=database)

    with (
        source.connect(database_settings(Store("reader").url, "secret")) as connected,
        pytest.raises(SourceRejected, match=r"denied.*multinic_node"),
    ):
        member(Store("reader"), tmp_path, "node1").reconcile(connected)
    with source.connect(database_settings(Store("older").url, "secret")) as connected:
        node = member(Store("older"), tmp_path, "node2")
        node.reconcile(connected)
        assert not told.load(node.host).tables


def test_every_sort_key_is_never_null_and_every_promised_index_is_there(mariadb, database):
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    connection.close()
    mariadb.execute("SET GLOBAL innodb_default_row_format = 'compact'")  # keys of 767 bytes at most
    try:
        list(schema.migrate(database_settings(mariadb.url(database=database))))
    finally:
        mariadb.execute("SET GLOBAL innodb_default_row_format = 'dynamic'")
    found = mariadb.execute(
        "SELECT TABLE_NAME t, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX) c, MAX(NULLABLE) n "
        "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME LIKE 'multinic%%' "
        "GROUP BY TABLE_NAME, INDEX_NAME",
        database,
    )
    assert {row["n"] for row in found} == {""}
    assert {(row["t"].removeprefix("multinic_"), row["c"]) for row in found} >= {
        ("interface", "node,id"),
        ("interface", "state,since,id"),
        ("interface", "reason,id"),
        ("interface", "changed"),
        ("node", "last_seen,node"),
        ("event", "node,at,id"),
        ("event", "at,id"),
        ("event", "attempt,at,id"),
    }


def test_every_column_is_in_the_reference_and_no_other(store):
    list(schema.init(database_settings(store.url)))
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8").partition("### Status tables")[2]
    for table in tables.OURS:
        words = re.search(rf"^`{table}`.*\n\n((?:\|.*\n)+)", page, re.MULTILINE)[1]
        cells = [line.split("|")[1] for line in words.splitlines()[2:]]
        documented = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
        with store.open() as database:
            names, _, _ = database.execute(f"SELECT * FROM {table} WHERE 1 = 0", ())
        assert documented == set(names), table


def test_the_queries_of_the_documentation_can_be_asked(mariadb, database):
    list(schema.init(database_settings(mariadb.url(database=database))))
    page = (ROOT / "docs/database.md").read_text(encoding="utf-8").partition("## Status tables")[2]
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert len(queries) == 4
    for query in queries:
        assert list(mariadb.execute(query, database=database)) == []


def test_a_history_that_cannot_be_read_in_part_is_told_in_part(store, node):
    with store.open() as database:
        node.host.write("/var/lib/multinic/history.jsonl", '{"number": 1}\nnonsense\n', 0o600)
        node.reconcile(database)
    assert [row["kind"] for row in events(store)] == ["created"]
    assert len(history.load(node.host)) == 1
