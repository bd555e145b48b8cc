"""What is written to the database: `netplan_success` of the rows that were meant; and new tables."""

from __future__ import annotations

import stat

import pytest

from multinic.database import schema, source
from multinic.database.tables import OURS
from multinic.values.errors import ConfigError, SourceError, SourceRejected
from multinic.values.settings import Secret
from tests.db.conftest import settings
from tests.schemas import BASE, CONTROLLER, VARIANTS, insert

ONE, TWO, THREE = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "fa:16:3e:00:00:03"


def report(store, success):
    with store.open() as database:
        database.ask("node1")
        database.report_success(success)


def flags(store):
    found = store.sql("SELECT id, netplan_success FROM multi_interface ORDER BY id")
    return {row["id"]: row["netplan_success"] for row in found}


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_each_row_gets_its_own_word(store, variant):
    variant.create(store.connection)
    ids = [variant.attach(store.connection, mac) for mac in (ONE, TWO, THREE)]
    report(store, {ids[0]: True, ids[1]: False})
    assert flags(store) == {ids[0]: 1, ids[1]: 0, ids[2]: 0}
    report(store, {ids[0]: False, ids[2]: True})
    assert flags(store) == {ids[0]: 0, ids[1]: 0, ids[2]: 1}


def test_the_time_of_the_change_is_set_where_the_table_has_it_and_nothing_else_is_touched(store):
    CONTROLLER.create(store.connection)
    old = "2001-02-03 04:05:06"
    for mac in (ONE, TWO):
        CONTROLLER.attach(store.connection, mac, modified_at=old, created_at=old)
    before = store.sql("SELECT * FROM multi_interface ORDER BY id")
    report(store, {1: True})
    after = store.sql("SELECT * FROM multi_interface ORDER BY id")
    assert after[1] == before[1]
    assert str(after[0]["modified_at"]) > old
    changed = {column for column in after[0] if after[0][column] != before[0][column]}
    assert changed == {"netplan_success", "modified_at"}


def test_a_value_that_is_there_already_is_no_error(store):
    """MySQL counts only rows that an UPDATE really changed."""
    BASE.create(store.connection)
    BASE.attach(store.connection, ONE, netplan_success=1)
    report(store, {1: True})
    report(store, {1: True})
    assert flags(store) == {1: 1}


def test_a_row_that_was_replaced_meanwhile_is_not_meant(store):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, port_id="p")
    CONTROLLER.attach(store.connection, TWO)
    with store.open() as database:
        database.ask("node1")
        store.sql("DELETE FROM multi_interface WHERE id = 1")
        CONTROLLER.attach(store.connection, ONE, port_id="p")
        database.report_success({1: True, 2: True})
    assert flags(store) == {2: 1, 3: 0}


def test_a_controllers_transaction_in_between_is_waited_for_or_reported_and_never_half_done(store):
    CONTROLLER.create(store.connection)
    for mac in (ONE, TWO):
        CONTROLLER.attach(store.connection, mac)
    store.sql("START TRANSACTION" if store.product == "mariadb" else "BEGIN IMMEDIATE")
    store.sql("UPDATE multi_interface SET status = 'busy' WHERE id = 2")
    with store.open(read_timeout=1) as database:
        database.ask("node1")
        with pytest.raises(SourceError):
            database.report_success({1: True, 2: False})
    store.sql("COMMIT")
    assert flags(store) == {1: 0, 2: 0}
    report(store, {1: True, 2: True})
    assert flags(store) == {1: 1, 2: 1}


def test_one_statement_a_pass_with_everything_a_client_sends(mariadb, database):
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, ONE)
    connection.close()
    mariadb.create_user("node", "secret", [f"SELECT, UPDATE ON `{database}`.*"])
    mine = settings(mariadb.url(user="node", database=database), "secret")
    with source.connect(mine) as connected:
        connected.ask("node1")
        known = connected.shape  # a converged host remembers it
    with mariadb.statements("node") as seen, source.connect(mine) as connected:
        connected.shape = known
        assert len(connected.ask("node1").rows) == 1
    assert len(seen) == 1, seen
    assert seen[0].startswith("SELECT i.*")


# db init


def init(store):
    return list(schema.init(settings(store.url)))


def test_init_makes_tables_that_a_controller_can_fill_and_we_can_read(store):
    lines = init(store)
    assert [line.rpartition(": ")[2] for line in lines] == [
        "table multi_subnet created",
        "table node_table created",
        "table multi_interface created",
        *(f"table {table} created" for table in OURS),
    ]
    columns = {"address": "10.0.0.5", "mtu": 1450, "cr_namespace": "n", "cr_name": "c", "status": "active"}
    CONTROLLER.attach(store.connection, ONE, port_id="p1", **columns)
    CONTROLLER.attach(store.connection, TWO, netplan_success=0)
    with pytest.raises(Exception, match=r"Duplicate|UNIQUE"):
        CONTROLLER.attach(store.connection, THREE, port_id="p1")
    with store.open() as database:
        answer = database.ask("node1")
    assert len(answer.rows) == 2
    report(store, {1: True})
    row = store.sql("SELECT * FROM multi_interface WHERE id = 1")[0]
    assert (row["netplan_success"], row["deleted_at"]) == (1, None)
    assert row["created_at"]


def test_init_twice_changes_nothing(store):
    init(store)
    CONTROLLER.attach(store.connection, ONE)
    before = definitions(store)
    assert all("exists already" in line for line in init(store))
    assert definitions(store) == before
    assert len(store.sql("SELECT * FROM multi_interface")) == 1


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_init_beside_tables_of_others_alters_none_of_them(store, variant):
    variant.create(store.connection)
    variant.attach(store.connection, ONE)
    before = {name: text for name, text in definitions(store).items() if name in tables(variant)}
    lines = init(store)
    after = definitions(store)
    assert {name: after[name] for name in before} == before
    assert len(store.sql("SELECT * FROM multi_interface")) == 1
    assert [line for line in lines if "multi_interface exists already" in line]


def tables(variant):
    return ["multi_subnet", "node_table", "multi_interface"] if variant.controller else ["multi_interface"]


def definitions(store):
    if store.product == "sqlite":
        found = store.sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
        return {row["name"]: row["sql"] for row in found}
    names = [next(iter(row.values())) for row in store.sql("SHOW TABLES")]
    return {name: str(store.sql(f"SHOW CREATE TABLE {name}")) for name in names}


def test_the_statement_of_every_host_finds_its_rows_by_an_index(mariadb, database):
    mine = settings(mariadb.url(database=database))
    list(schema.init(mine))
    connection = mariadb.connect(database=database)
    connection.begin()
    for number in range(1, 1001):
        node = {"attached_node_id": f"id-{number}", "attached_node_name": f"node{number}"}
        insert(connection, "node_table", **node)
        values = {"port_id": f"p{number}", "subnet_id": "s"} | node
        insert(connection, "multi_interface", macaddress=ONE, **values)
    connection.commit()
    connection.close()
    with mariadb.statements() as seen, source.connect(mine) as connected:
        assert len(connected.ask("node7").rows) == 1
    plan = mariadb.execute(f"EXPLAIN {seen[0].replace('%', '%%')}", database=database)
    by_name, by_id = [row for row in plan if row["table"] == "i"]
    assert by_name["key"] == "multi_interface_node"
    assert by_id["key"] in ("multi_interface_node", "multi_interface_node_id")
    assert max(int(str(row["rows"]).split()[0]) for row in plan if row["table"] in ("i", "n")) < 10


def test_init_makes_a_database_that_does_not_exist(mariadb):
    mariadb.create_user("maker", "secret", ["ALL ON `made-by_init`.*"])
    mine = settings(mariadb.url(user="maker", database="made-by_init"), "secret")
    assert len(list(schema.init(mine))) == 3 + len(OURS)
    assert {row["TABLE_NAME"] for row in tables_of(mariadb, "made-by_init")} == {*tables(CONTROLLER), *OURS}
    assert all("exists" in line for line in schema.init(mine))
    mariadb.execute("DROP DATABASE `made-by_init`")


def tables_of(mariadb, name):
    return mariadb.execute("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s", name)


def test_init_without_the_right_to_create_says_so(mariadb, database):
    mariadb.create_user("reader", "secret", [f"SELECT ON `{database}`.*"])
    with pytest.raises(SourceRejected, match="denied"):
        list(schema.init(settings(mariadb.url(user="reader", database=database), "secret")))
    with pytest.raises(SourceRejected, match="denied"):
        list(schema.init(settings(mariadb.url(user="reader", database="elsewhere"), "secret")))


@pytest.mark.parametrize("name", ["a`b", "a b", "x" * 65, "a;b"])
def test_init_makes_no_database_with_a_name_of_other_characters(mariadb, name):
    mine = settings(mariadb.url(database=name))
    with pytest.raises((ConfigError, SourceError)):
        list(schema.init(mine))
    assert not mariadb.execute("SHOW DATABASES LIKE %s", name)


def test_init_makes_the_file_of_an_sqlite_database_and_nothing_else_does(tmp_path):
    path = tmp_path / "new.db"
    mine = settings(f"sqlite:///{path}")
    with pytest.raises(SourceError, match="unable to open") as caught, source.connect(mine) as database:
        database.ask("node1")
    assert "db init" in caught.value.hint
    assert not path.exists()
    assert len(list(schema.init(mine))) == 3 + len(OURS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with source.connect(mine) as database:
        assert database.ask("node1").rows == ()


def test_a_secret_is_shown_by_nothing():
    secret = Secret("geheim")
    assert "geheim" not in f"{secret} {secret!r} {[secret]} {settings('mysql://h/d', 'geheim')}"
