"""Tables as others have made them: other collations, columns that are lacking, rows with an id for a name."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest

from multinic.database import rows, source, statement
from multinic.database.statement import Shape
from multinic.values.addresses import Mac
from tests.db.conftest import Store, settings
from tests.db.test_doctor import SECRET, examine
from tests.db.test_failures import least_privileges
from tests.mariadb import PrivateMariaDB
from tests.schemas import BASE, CONTROLLER, insert

ONE, TWO, THREE = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "fa:16:3e:00:00:03"


def read(store, node="node1"):
    with store.open() as database:
        answer = database.ask(node)
        return rows.desired(node, answer, ignore_deleted_at=False, database=database.address)


def macs(store, node="node1"):
    return {str(link.mac) for link in read(store, node).links}


def shape_of(store):
    with store.open() as database:
        database.ask("node1")
        return database.shape


# Rows that name their node by its id alone


def migrated(store):
    """The tables after the first controller's own migration: what was there has an id and no name."""
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, address="10.0.0.5")
    CONTROLLER.attach(store.connection, TWO, node="node2")
    store.sql("UPDATE multi_interface SET attached_node_name = NULL")
    CONTROLLER.attach(store.connection, THREE)


def test_a_row_that_names_its_node_by_its_id_alone_is_read(store):
    migrated(store)
    found = read(store)
    assert [str(link.mac) for link in found.links] == [ONE, THREE]
    assert found.links[0].addresses == (ip_interface("10.0.0.5/24"),)
    assert (found.node, found.rows_read) == ("node1", 2)
    assert macs(store, "node2") == {TWO}
    assert macs(store, "node1.example.org") == {ONE, THREE}


def test_an_empty_name_is_none_either(store):
    migrated(store)
    store.sql("UPDATE multi_interface SET attached_node_name = '' WHERE attached_node_name IS NULL")
    assert macs(store) == {ONE, THREE}


def test_the_name_in_a_row_counts_more_than_its_id(store):
    migrated(store)
    store.sql("UPDATE multi_interface SET attached_node_name = 'node2' WHERE macaddress = %s", ONE)
    assert (macs(store), macs(store, "node2")) == ({THREE}, {ONE, TWO})


def test_results_are_written_to_rows_without_a_name_too(store):
    migrated(store)
    with store.open() as database:
        ids = [row[0] for row in database.ask("node1").rows]
        database.report_success(dict.fromkeys(ids, True))
    found = store.sql("SELECT macaddress FROM multi_interface WHERE netplan_success = 1 ORDER BY id")
    assert [row["macaddress"] for row in found] == [ONE, THREE]


def test_it_is_one_statement_where_the_tables_are_complete(mariadb, database):
    store = Store("mariadb", mariadb.url(database=database), mariadb.connect(database=database))
    migrated(store)
    with store.open() as known:
        known.ask("node1")
        with mariadb.statements() as seen:
            known.ask("node1")
    assert len(seen) == 1
    store.connection.close()


@pytest.mark.parametrize("lacking", ["table", "column"])
def test_without_a_table_of_nodes_rows_are_found_by_their_names(store, lacking):
    BASE.create(store.connection)
    BASE.attach(store.connection, ONE)
    if lacking == "column":
        store.sql("CREATE TABLE node_table (attached_node_id VARCHAR(36), attached_node_name VARCHAR(9))")
    assert macs(store) == {ONE}
    assert not shape_of(store).nodes


def test_a_user_who_may_not_read_the_nodes_reads_the_rest_and_doctor_says_so(mariadb, database, tmp_path):
    store = Store("mariadb", mariadb.url(user="node", database=database), mariadb.connect(database=database))
    migrated(store)
    mariadb.create_user("node", SECRET, least_privileges(database)[:1] + least_privileges(database)[2:])
    mariadb.execute(f"GRANT SELECT ON `{database}`.multi_subnet TO node")
    mine = settings(store.url, SECRET)
    with source.connect(mine) as connected:
        assert len(connected.ask("node1").rows) == 1
    found = examine(tmp_path, store.url)["schema"]
    assert ("warning", True) in [(level, "attached_node_id" in words) for level, words in found]
    mariadb.execute(f"GRANT SELECT ON `{database}`.node_table TO node")
    with source.connect(mine) as connected:
        assert len(connected.ask("node1").rows) == 2
    store.connection.close()


# Subnets


def test_tables_without_a_column_that_joins_them_are_read_without_subnets(store):
    BASE.create(store.connection)
    BASE.attach(store.connection, ONE, address="10.0.0.5/24")
    store.sql("ALTER TABLE multi_interface DROP COLUMN subnet_id")
    store.sql("CREATE TABLE multi_subnet (subnet_id VARCHAR(36), cidr VARCHAR(255))")
    assert macs(store) == {ONE}


def twice(store):
    """A subnet that was deleted softly and made again, in a table that allows it."""
    BASE.create(store.connection)
    store.sql(
        "CREATE TABLE multi_subnet (id INT, subnet_id VARCHAR(36), cidr VARCHAR(255), deleted_at VARCHAR(30))"
    )
    old = {"subnet_id": "subnet-1", "cidr": "10.0.0.0/16"}
    insert(store.connection, "multi_subnet", id=1, **old, deleted_at="2026-01-01 00:00:00")
    insert(store.connection, "multi_subnet", id=2, subnet_id="subnet-1", cidr="10.0.0.0/24")
    BASE.attach(store.connection, ONE, address="10.0.0.5")
    BASE.attach(store.connection, TWO, address="10.0.0.6")


def test_of_two_subnets_of_one_id_the_one_that_is_not_deleted_counts(store):
    twice(store)
    found = read(store)
    assert found.invalid == ()
    assert [link.addresses for link in found.links] == [
        (ip_interface("10.0.0.5/24"),),
        (ip_interface("10.0.0.6/24"),),
    ]


def test_two_subnets_of_one_id_that_differ_are_named(store):
    twice(store)
    store.sql("UPDATE multi_subnet SET deleted_at = NULL")
    found = read(store)
    assert (found.links, {row.reason for row in found.invalid}) == ((), {"ambiguous-subnet"})
    assert "subnet_id 'subnet-1' has 2 rows in multi_subnet, which differ" in found.invalid[0].message


# Collations and character sets


def altered(mariadb, database, *statements):
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, ONE, address="10.0.0.5", node="Node1")
    CONTROLLER.attach(connection, TWO, node="NODE1")
    cursor = connection.cursor()
    cursor.execute("SET foreign_key_checks = 0")
    for number in (1, 2):
        cursor.execute(f"ALTER TABLE multi_interface DROP FOREIGN KEY multi_interface_ibfk_{number}")
    for text in statements:
        cursor.execute(text)
    return Store("mariadb", mariadb.url(database=database), connection)


CONVERT = "ALTER TABLE {} CONVERT TO CHARACTER SET {} COLLATE {}"


@pytest.mark.parametrize(
    ("charset", "collation"), [("utf8mb4", "utf8mb4_unicode_ci"), ("latin1", "latin1_swedish_ci")]
)
def test_two_tables_of_different_collations_are_joined(mariadb, database, tmp_path, charset, collation):
    store = altered(mariadb, database, CONVERT.format("multi_subnet", charset, collation))
    store.sql(CONVERT.format("node_table", charset, collation))
    store.sql("UPDATE multi_interface SET attached_node_name = NULL WHERE macaddress = %s", TWO)
    found = read(store)
    assert [str(link.mac) for link in found.links] == [ONE, TWO]
    assert found.links[0].addresses == (ip_interface("10.0.0.5/24"),)
    store.connection.close()


@pytest.mark.parametrize("collation", ["utf8mb4_bin", "utf8mb4_nopad_bin", "latin1_bin", "latin1_general_cs"])
def test_case_does_not_matter_in_a_column_in_which_it_does(mariadb, database, tmp_path, collation):
    charset = collation.partition("_")[0]
    store = altered(mariadb, database, CONVERT.format("multi_interface", charset, collation))
    store.sql(CONVERT.format("node_table", charset, collation))
    assert macs(store, "node1") == {ONE, TWO}
    store.sql("UPDATE multi_interface SET attached_node_name = NULL, attached_node_id = 'id-Node1'")
    assert macs(store, "nodE1.example.org") == {ONE, TWO}
    store.connection.close()


def test_doctor_says_what_such_a_column_costs(mariadb, database, tmp_path):
    store = altered(mariadb, database, CONVERT.format("multi_interface", "utf8mb4", "utf8mb4_bin"))
    mariadb.create_user("node", SECRET, [f"SELECT, UPDATE ON `{database}`.*"])
    (level, words), *_ = examine(tmp_path, mariadb.url(user="node", database=database))["index"]
    assert (level, "case matters" in words) == ("warning", True)
    store.connection.close()


def test_a_server_with_a_character_set_of_its_own_is_understood():
    with PrivateMariaDB() as server:
        server.start(options=["--skip-character-set-client-handshake", "--character-set-server=latin1"])
        name = server.fresh_database()
        connection = server.connect(database=name)
        connection.cursor().execute("SET NAMES utf8mb4")
        CONTROLLER.create(connection)
        CONTROLLER.attach(connection, ONE, node="nöde1", cidr="10.0.0.0/24", address="10.0.0.5")
        insert(connection, "multi_subnet", subnet_id="s2", subnet_name="Büro Zürich", cidr="10.2.0.0/24")
        CONTROLLER.attach(connection, TWO, node="nöde1", subnet_id="s2", address="10.2.0.5")
        store = Store("mariadb", server.url(database=name), connection)
        found = read(store, "nöde1")
        assert [str(link.mac) for link in found.links] == [ONE, TWO]
        assert found.node == "nöde1"
        connection.close()


def test_bytes_that_are_no_text_are_one_rows_problem(mariadb, database):
    connection = mariadb.connect(database=database)
    BASE.create(connection)
    BASE.attach(connection, ONE)
    BASE.attach(connection, TWO)
    store = Store("mariadb", mariadb.url(database=database), connection)
    store.sql("ALTER TABLE multi_interface MODIFY address VARBINARY(255)")
    store.sql("UPDATE multi_interface SET address = X'fffe' WHERE macaddress = %s", TWO)
    found = read(store)
    assert ([link.mac for link in found.links], len(found.invalid)) == ([Mac(ONE)], 1)
    connection.close()


def test_what_was_believed_of_the_tables_is_one_word():
    for shape in (Shape(), Shape(subnets=False), Shape(*(not belief for belief in Shape()))):
        assert statement.shape_of(shape.word()) == shape
