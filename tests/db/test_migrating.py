"""`multinic db migrate`: what an older database lacks is added, and nothing else happens to it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest
from click.testing import CliRunner

from multinic.cli import main
from multinic.database import rows, schema, source
from multinic.database.tables import OURS
from multinic.values.desired import Options
from multinic.values.errors import Exit, SourceBusy, SourceError, SourceRejected
from tests.db.conftest import settings
from tests.schemas import BASE, CONTROLLER, VARIANTS, execute, insert

ONE, TWO = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"
OPTIONS = {"description": "uplink", "rp_filter": 2}
BARE = [replace(schema, address=False, mtu=False, options=False) for schema in (BASE, CONTROLLER)]


def migrate(store, **changes):
    return [line.partition(": ")[2] for line in schema.migrate(settings(store.url, **changes))]


def columns(store, table="multi_interface"):
    """Return the columns of a table in order, with their types."""
    if store.product == "sqlite":
        return [(row["name"], row["type"].lower()) for row in store.sql(f"PRAGMA table_info({table})")]
    return [(row["Field"], row["Type"].lower()) for row in store.sql(f"SHOW COLUMNS FROM {table}")]


def read(store):
    with store.open() as database:
        answer = database.ask("node1")
    return rows.desired("node1", answer, ignore_deleted_at=False, database="")


@pytest.mark.parametrize("variant", [*VARIANTS, *BARE], ids=str)
def test_what_is_missing_is_added_and_nothing_else_changes(store, variant):
    variant.create(store.connection)
    variant.attach(store.connection, ONE)
    before, row = columns(store), store.sql("SELECT * FROM multi_interface")[0]
    migrate(store)
    after = columns(store)
    assert after[: len(before)] == before
    assert {name for name, _ in after} == {name for name, _ in before} | {"address", "mtu", "options"}
    now = store.sql("SELECT * FROM multi_interface")[0]
    assert {name: now[name] for name in row} == row
    assert [now[name] for name, _ in after[len(before) :]] == [None] * (len(after) - len(before))
    if variant.controller:
        assert "options" in dict(columns(store, "multi_subnet"))


def test_every_column_is_told_and_a_second_run_finds_all_of_them(store):
    BARE[1].create(store.connection)
    kind = "TEXT" if store.product == "sqlite" else "JSON"
    assert migrate(store) == [
        "column multi_interface.address added (VARCHAR(255))",
        "column multi_interface.mtu added (INT)",
        f"column multi_interface.options added ({kind})",
        f"column multi_subnet.options added ({kind})",
        *(f"table {table} created" for table in OURS),
    ]
    before = columns(store), columns(store, "multi_subnet")
    again = migrate(store)
    assert len(again) == 4 + len(OURS)
    assert all(line.endswith("exists already; left as it is") for line in again)
    assert (columns(store), columns(store, "multi_subnet")) == before


def test_a_column_of_that_name_stays_whatever_its_type(store):
    BARE[0].create(store.connection)
    store.sql("ALTER TABLE multi_interface ADD COLUMN OPTIONS INT")
    assert migrate(store)[2:4] == [
        "column multi_interface.options exists already; left as it is",
        "there is no table multi_subnet; it is not needed",
    ]
    assert ("OPTIONS", "int") in [(name, kind.partition("(")[0]) for name, kind in columns(store)]


@pytest.mark.parametrize("variant", BARE, ids=str)
def test_a_reader_goes_on_before_meanwhile_and_after_with_one_statement(store, variant):
    variant.create(store.connection)
    variant.attach(store.connection, ONE)
    assert [link.options for link in read(store).links] == [Options()]
    with store.open() as database:
        assert len(database.ask("node1").rows) == 1
        migrate(store)
        store.sql("UPDATE multi_interface SET options = %s", json.dumps(OPTIONS))
        (row,) = database.ask("node1").rows
        assert json.dumps(OPTIONS) in [value for value in row if isinstance(value, str)]
    (link,) = read(store).links
    assert link.options == Options(description="uplink", rp_filter=2)


def test_a_reader_of_a_migrated_database_sends_one_statement(mariadb, database):
    connection = mariadb.connect(database=database)
    BARE[1].create(connection)
    BARE[1].attach(connection, ONE)
    connection.close()
    list(schema.migrate(settings(mariadb.url(database=database))))
    mariadb.create_user("node", "secret", [f"SELECT, UPDATE ON `{database}`.*"])
    mine = settings(mariadb.url(user="node", database=database), "secret")
    with source.connect(mine) as connected:
        connected.ask("node1")
        with mariadb.statements("node") as seen:
            assert "options" in connected.ask("node1").columns
    assert len(seen) == 1, seen


def test_options_of_row_and_subnet_are_read_from_both_products(store):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, address="10.0.0.5", options=json.dumps(OPTIONS))
    CONTROLLER.attach(store.connection, TWO, address="10.0.0.6", options=b'{"rp_filter": null}')
    store.sql("UPDATE multi_subnet SET options = %s", '{"rp_filter": 1, "gateway": "10.0.0.1"}')
    one, two = (link.options for link in read(store).links)
    assert (one.rp_filter, one.description, str(one.gateways[0])) == (2, "uplink", "10.0.0.1")
    assert (two.rp_filter, two.description, str(two.gateways[0])) == (None, "", "10.0.0.1")


@pytest.mark.parametrize("where", ["multi_interface", "multi_subnet"])
def test_gateway_columns_of_either_table_are_used_where_they_exist(store, where):
    CONTROLLER.create(store.connection)
    store.sql(f"ALTER TABLE {where} ADD COLUMN gateway_ip VARCHAR(64)")
    for mac, address in ((ONE, "10.0.0.5"), (TWO, None)):
        CONTROLLER.attach(
            store.connection, mac, address=address, options='{"accept_ra": true, "default_route": true}'
        )
    store.sql(f"UPDATE {where} SET gateway_ip = '10.0.0.1'")
    first, second = read(store).links
    assert [str(gateway) for gateway in first.options.gateways] == ["10.0.0.1"]
    assert second.options.gateways == ()


def test_bad_options_of_a_subnet_are_told_of_each_of_its_interfaces_and_of_no_other(store):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, subnet_id="bad")
    CONTROLLER.attach(store.connection, TWO, subnet_id="bad")
    CONTROLLER.attach(store.connection, "fa:16:3e:00:00:03", subnet_id="good")
    store.sql("UPDATE multi_subnet SET options = %s WHERE subnet_id = 'bad'", '{"mtu": 9000}')
    found = read(store)
    assert [link.row_id for link in found.links] == [3]
    assert [row.reason for row in found.invalid] == ["bad-options"] * 2
    assert found.invalid[1].message.startswith("row 2: multi_subnet.options 'mtu' is not an option")


@pytest.mark.parametrize("size", [16_385, 2**20])
def test_a_very_long_text_is_one_invalid_row(store, size):
    CONTROLLER.create(store.connection)
    if store.product == "mariadb":
        store.sql("ALTER TABLE multi_interface MODIFY options LONGTEXT")
    CONTROLLER.attach(store.connection, ONE, options='{"description": "' + "x" * size)
    CONTROLLER.attach(store.connection, TWO)
    found = read(store)
    assert [row.row_id for row in found.invalid] == [1]
    assert [link.row_id for link in found.links] == [2]


def test_a_new_database_has_the_columns_already(store):
    list(schema.init(settings(store.url)))
    assert all(line.endswith("exists already; left as it is") for line in migrate(store))
    insert(store.connection, "multi_subnet", subnet_id="subnet-1", cidr="10.0.0.0/24", options="{}")
    values = {"attached_node_name": "node1", "subnet_id": "subnet-1", "port_id": "p", "macaddress": ONE}
    insert(store.connection, "multi_interface", options=json.dumps(OPTIONS), **values)
    (link,) = read(store).links
    assert link.options.description == "uplink"


def test_without_the_table_the_command_that_makes_it_is_named(store):
    with pytest.raises(SourceRejected, match="no table multi_interface") as refused:
        migrate(store)
    assert "db init" in refused.value.hint
    assert store.product == "sqlite" or not store.sql("SHOW TABLES")


def test_a_table_of_somebody_else_is_left_alone(store):
    store.sql("CREATE TABLE multi_interface (id INT, macaddress VARCHAR(17))")
    with pytest.raises(SourceRejected, match=r"no column netplan_success, port_id"):
        migrate(store)
    assert len(columns(store)) == 2


def test_a_missing_file_is_not_made(tmp_path):
    with pytest.raises(SourceError, match="unable to open"):
        list(schema.migrate(settings(f"sqlite:///{tmp_path / 'none.db'}")))
    assert not (tmp_path / "none.db").exists()


@pytest.fixture
def older(mariadb, database):
    """A database of the controller without any of our columns."""
    connection = mariadb.connect(database=database)
    BARE[1].create(connection)
    BARE[1].attach(connection, ONE)
    yield connection
    connection.close()


def test_a_user_without_the_right_is_told_what_to_do(mariadb, database, older):
    mariadb.create_user("reader", "secret", [f"SELECT ON `{database}`.*"])
    with pytest.raises(SourceRejected, match="denied") as refused:
        list(schema.migrate(settings(mariadb.url(user="reader", database=database), "secret")))
    assert "may ALTER the table" in refused.value.hint
    assert "ALTER TABLE multi_interface ADD COLUMN address VARCHAR(255)" in refused.value.hint
    assert refused.value.exit is Exit.USAGE


def test_the_rights_in_the_reference_are_enough(mariadb, database, older):
    grants = f"SELECT, INSERT, CREATE, ALTER, INDEX ON `{database}`.*"
    mariadb.create_user("administrator", "secret", [grants])
    mine = settings(mariadb.url(user="administrator", database=database), "secret")
    assert sum("added" in line for line in schema.migrate(mine)) == 4


def test_a_table_in_use_is_given_up_soon_so_that_no_host_waits(mariadb, database, older):
    older.begin()
    execute(older, "SELECT * FROM multi_interface")  # a transaction that has seen a table keeps its columns
    mine = settings(mariadb.url(database=database), read_timeout=1)
    with pytest.raises(SourceBusy, match=r"(?i)lock wait timeout") as refused:
        list(schema.migrate(mine))
    assert "not added" in refused.value.hint
    older.rollback()
    assert sum("added" in line for line in schema.migrate(mine)) == 4


def test_a_file_that_is_in_use_is_an_error_to_try_again(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "_ALTER_TIMEOUT", 0.1)
    writer = sqlite3.connect(tmp_path / "file.db", isolation_level=None)
    BARE[0].create(writer)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SourceError, match="locked"):
        list(schema.migrate(settings(f"sqlite:///{tmp_path / 'file.db'}")))
    writer.execute("COMMIT")
    assert len(list(schema.migrate(settings(f"sqlite:///{tmp_path / 'file.db'}")))) == 4 + len(OURS)
    writer.close()


def test_two_who_migrate_at_once_both_succeed(store, monkeypatch):
    BARE[1].create(store.connection)
    seen = schema._columns

    def late(database, table):
        """Somebody else adds the columns between our look and our change."""
        found = seen(database, table)
        if "options" not in found:
            monkeypatch.setattr(schema, "_columns", seen)
            migrate(store)
        return found

    monkeypatch.setattr(schema, "_columns", late)
    assert all("exists already" in line for line in migrate(store))


def test_the_command_says_what_it_did_and_ends_well_twice(store):
    BARE[0].create(store.connection)
    arguments = ["--database-url", store.url, "db", "migrate"]
    for words in ("options added", "options exists already"):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        assert f"multi_interface.{words}" in done.output
