"""The fleet brake: 50 nodes on one database, and a change that is wrong on all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from multinic.cli import main
from multinic.database import peers, schema, source
from multinic.values.errors import SourceRejected
from tests.db.conftest import settings as database_settings
from tests.db.fleet import Member, settings
from tests.schemas import CONTROLLER

NODES = 50


def mac(node: int, port: int = 0) -> str:
    return f"fa:16:3e:00:{port:02x}:{node:02x}"


def blocked(report):
    return [result for result in report.results if result.reason == "fleet-brake"]


def bad_mtu(interface):
    """An MTU of 9000 works nowhere."""
    return interface.mtu != 9000


@pytest.fixture
def nodes(store, tmp_path):
    """50 nodes with one interface each that works, on one database; the rows want another MTU."""
    CONTROLLER.create(store.connection)
    list(schema.migrate(database_settings(store.url)))
    store.sql("BEGIN")
    for number in range(NODES):
        CONTROLLER.attach(store.connection, mac(number), node=f"node{number}", mtu=9000)
    store.sql("COMMIT")
    found = [Member(f"node{n}", tmp_path / f"node{n}", settings(store, tmp_path)) for n in range(NODES)]
    for number, member in enumerate(found):
        member.configure(number, mac(number), 1450)
    return found


def test_a_wrong_mtu_in_all_rows_stops_after_a_few_nodes_until_somebody_says_otherwise(store, nodes):
    with store.open() as database:
        reports = [member.reconcile(database, bad_mtu) for member in nodes]
        failed = [report.node for report in reports if report.results[0].reason == "not-converged"]
        waiting = [report for report in reports if blocked(report)]
        # The sixth makes it more than five; all after it have seen that.
        assert failed == [f"node{number}" for number in range(6)]
        assert len(waiting) == NODES - 6
        message = waiting[0].results[0].message
        assert "failed or was rolled back in the last 10 minutes on 6 of 6 other nodes" in message
        assert "'node0', 'node1', " in message

        # The other nodes, and what has the figures: the tables.
        found = store.sql("SELECT state, reason, COUNT(*) n FROM multinic_interface GROUP BY state, reason")
        assert {(row["state"], row["reason"]): row["n"] for row in found} == {
            ("failed", "not-converged"): 6,
            ("blocked", "fleet-brake"): NODES - 6,
        }

        # What is new goes on, and so does the repair of drift.
        CONTROLLER.attach(store.connection, mac(40, 1), node="node40", mtu=1400)
        nodes[40].plug(90, mac(40, 1))
        states = [str(result.state) for result in nodes[40].reconcile(database, bad_mtu).results]
        assert states == ["blocked", "converged"]
        store.sql("UPDATE multi_interface SET mtu = 1450 WHERE attached_node_name = 'node41'")
        nodes[41].links = {mac: replace(link, mtu=1300) for mac, link in nodes[41].links.items()}
        assert str(nodes[41].reconcile(database, bad_mtu).results[0].state) == "converged"

        # The row is corrected everywhere: one node after the other goes on, once a person says so.
        store.sql("UPDATE multi_interface SET mtu = 1400")
        assert blocked(nodes[49].reconcile(database, bad_mtu))
        done = CliRunner().invoke(main, ["--database-url", store.url, "db", "release-brake"])
        assert done.exit_code == 0, done.output
        store.sql("UPDATE multinic_event SET at = %s", "2026-01-01 00:00:00")  # earlier than in this second
        assert not any(blocked(member.reconcile(database, bad_mtu)) for member in nodes[45:])


def test_attempts_that_succeed_end_the_brake_by_themselves(store, nodes):
    with store.open() as database:
        for member in nodes[:10]:
            member.reconcile(database, bad_mtu)
        assert blocked(nodes[10].reconcile(database, bad_mtu))
        for member in nodes[:6]:  # the network is right by now, and what failed before is tried again
            member.settings = settings(store, member.root, **{"safety.fleet_brake": "off"})
            member.reconcile(database)
        assert not blocked(nodes[10].reconcile(database))


def test_only_ten_minutes_count_and_failures_after_a_release_and_only_with_our_tables(store, nodes, tmp_path):
    with store.open() as database:
        for member in nodes[:6]:
            member.reconcile(database, bad_mtu)
        tried = peers.attempts(database, "node49", {"update"})
        assert {peer.node for peer in tried} == {f"node{number}" for number in range(6)}
        assert "node0" not in {peer.node for peer in peers.attempts(database, "node0", {"update", "delete"})}
        peers.release(database, "me")
        store.sql("UPDATE multinic_release SET at = %s", "2100-01-01 00:00:00")
        assert peers.attempts(database, "node49", {"update"}) == []
        store.sql("DELETE FROM multinic_release")
        assert len(peers.attempts(database, "node49", {"update"})) == 6

        nodes[7].settings = settings(store, tmp_path, **{"safety.fleet_brake": "off"})
        assert not blocked(nodes[7].reconcile(database, bad_mtu))
        assert blocked(nodes[8].reconcile(database, bad_mtu))
        store.sql("UPDATE multinic_event SET at = %s", "2026-01-01 00:00:00")
        assert peers.attempts(database, "node49", {"update"}) == []
        store.sql("DROP TABLE multinic_event")
        assert not blocked(nodes[8].reconcile(database, bad_mtu))


def test_the_statement_uses_its_index_and_reads_no_more_than_it_needs(mariadb, database, tmp_path):
    mine = database_settings(mariadb.url(database=database))
    list(schema.init(mine))
    with source.connect(mine) as connected:
        with connected.transaction():
            for number in range(2000):
                values = (f"node{number % 500}", number, ("update", "", "create")[number % 3])
                connected.execute(
                    "INSERT INTO multinic_event (node, number, at, kind, attempt, fields) "
                    "VALUES (%s, %s, UTC_TIMESTAMP(), 'failed', %s, 'mtu')",
                    values,
                )
        with mariadb.statements() as seen:
            assert len(peers.attempts(connected, "node7", {"update"})) == peers.NEWEST
        assert len(seen) == 1
    plan = mariadb.execute(f"EXPLAIN {seen[0].replace('%', '%%')}", database=database)
    (of_events,) = [row for row in plan if row["table"] == "multinic_event"]
    assert of_events["key"] == "multinic_event_attempt"
    assert "filesort" not in str(of_events["Extra"])


def test_a_user_without_rights_or_tables_is_told_how_to_release_it(mariadb, database):
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    connection.close()
    with pytest.raises(SourceRejected) as refused:
        list(schema.release_brake(database_settings(mariadb.url(database=database)), "me"))
    assert "db migrate" in refused.value.hint
    list(schema.migrate(database_settings(mariadb.url(database=database))))
    mariadb.create_user("reader", "secret", [f"SELECT ON `{database}`.*"])
    of_reader = database_settings(mariadb.url(user="reader", database=database), "secret")
    with pytest.raises(SourceRejected) as refused:
        list(schema.release_brake(of_reader, "me"))
    assert "--user" in refused.value.hint
