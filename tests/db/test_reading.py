"""What the database says of a node becomes values: in every variant of the tables, on both products."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest

from multinic.database import rows
from multinic.values.addresses import Mac
from multinic.values.errors import ConfigError
from tests.db.conftest import Store
from tests.schemas import BASE, CONTROLLER, VARIANTS, insert

ONE, TWO, THREE = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "fa:16:3e:00:00:03"


def read(store, node="node1", *, ignore_deleted_at=False):
    with store.open() as database:
        answer = database.ask(node)
        return rows.desired(node, answer, ignore_deleted_at=ignore_deleted_at, database=database.address)


@pytest.mark.parametrize("schema", VARIANTS, ids=str)
def test_every_variant_of_the_tables_is_read(store, schema):
    schema.create(store.connection)
    extra = (
        {"address": "10.0.0.5/24" if not schema.controller else "10.0.0.5", "mtu": 1450} if schema.mtu else {}
    )
    first = schema.attach(store.connection, ONE.upper(), port_id="p1", **extra)
    schema.attach(store.connection, TWO, node="node2")
    schema.attach(store.connection, THREE, netplan_success=1)
    desired = read(store)
    assert [(link.mac, link.row_id, link.port_id) for link in desired.links] == [
        (Mac(ONE), first, "p1"),
        (Mac(THREE), first + 2, f"port-{THREE}"),
    ]
    link = desired.links[0]
    if schema.mtu:
        assert (link.addresses, link.mtu) == ((ip_interface("10.0.0.5/24"),), 1450)
    else:
        assert (link.addresses, link.mtu) == ((), None)
    assert {flag.row_id: flag.success for flag in desired.flags} == {first: False, first + 2: True}
    assert desired.invalid == ()


def test_columns_named_as_in_upper_case_or_in_another_order_are_found(store):
    store.sql(
        "CREATE TABLE multi_interface (NETPLAN_SUCCESS INT, MTU INT, Attached_Node_Name VARCHAR(255),"
        " MACADDRESS VARCHAR(17), extra VARCHAR(9), PORT_ID VARCHAR(36), ID INT PRIMARY KEY)"
    )
    insert(
        store.connection,
        "multi_interface",
        id=7,
        macaddress=ONE,
        attached_node_name="node1",
        port_id="p",
        mtu=1400,
    )
    (link,) = read(store).links
    assert (link.row_id, link.mtu) == (7, 1400)


@pytest.mark.parametrize("schema", [BASE, CONTROLLER], ids=str)
def test_an_empty_table_is_an_empty_wish_and_no_error(store, schema):
    schema.create(store.connection)
    assert read(store).links == ()


def test_an_interface_without_its_subnet_row_is_still_read(store):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, address="10.0.0.5/25")
    if store.product == "mariadb":
        store.sql("SET foreign_key_checks = 0")
    else:
        store.sql("PRAGMA foreign_keys = OFF")
    store.sql("DELETE FROM multi_subnet")
    (link,) = read(store).links
    assert link.addresses == (ip_interface("10.0.0.5/25"),)


def test_the_prefix_comes_from_the_subnet_and_addresses_of_both_families_may_be_mixed(store):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, address="10.0.0.5; fd00::5/64", cidr="10.0.0.0/22")
    (link,) = read(store).links
    assert link.addresses == (ip_interface("10.0.0.5/22"), ip_interface("fd00::5/64"))


def test_deleted_at_and_status_of_the_subnet_are_not_those_of_the_interface(store):
    """Both tables have columns of the same names."""
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE)
    store.sql("UPDATE multi_subnet SET deleted_at = '2025-01-01 00:00:00', status = 'deleted', id = 99")
    (link,) = read(store).links
    assert link.row_id == 1


def test_a_deleted_row_is_not_desired_unless_the_setting_says_so(store):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, deleted_at="2025-01-01 00:00:00")
    CONTROLLER.attach(store.connection, TWO)
    assert [link.mac for link in read(store).links] == [Mac(TWO)]
    assert [link.mac for link in read(store, ignore_deleted_at=True).links] == [Mac(ONE), Mac(TWO)]


@pytest.mark.parametrize("word", ["deleted", "DELETING", "inactive "])
def test_a_row_on_its_way_out_is_not_desired(store, word):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, ONE, status=word)
    CONTROLLER.attach(store.connection, TWO, status=None)
    CONTROLLER.attach(store.connection, THREE, status="whatever")
    assert [link.mac for link in read(store).links] == [Mac(TWO), Mac(THREE)]


def test_a_zero_date_means_never(mariadb, database):
    connection = mariadb.connect(database=database)
    connection.query("SET sql_mode = ''")
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, ONE, deleted_at="0000-00-00 00:00:00")
    assert len(read(Store("mariadb", mariadb.url(database=database), connection)).links) == 1
    connection.close()


# Who asks, which names the table holds, and the one whose rows are read; None: ambiguous; "": nobody's.
NAMES = [
    ("node1", ["node1", "node2", "node10", "xnode1"], "node1"),
    ("node1.example.com", ["node1", "node2"], "node1"),
    ("node1", ["node1.example.com", "node10.example.com"], "node1.example.com"),
    ("NODE1", ["node1"], "node1"),
    ("node1", ["Node1.Example.COM"], "Node1.Example.COM"),
    ("node1.a.example", ["node1.b.example"], ""),
    ("node1.a.example", ["node1.a.example", "node1", "node1.b.example"], "node1.a.example"),
    ("node1", ["node1", "node1.example.com"], "node1"),
    ("node1", ["node1.a.example", "node1.b.example"], None),
    ("node_1", ["node_1", "nodeX1"], "node_1"),
    ("node_1", ["nodeX1"], ""),
    ("node%", ["node%", "node1", "node%.x"], "node%"),
    ("%", ["node1", "node2"], ""),
    ("a!b", ["a!b", "ab"], "a!b"),
    ("node'1", ["node'1", "node1"], "node'1"),
    ('no"de\\1', ['no"de\\1', "node1"], 'no"de\\1'),
    ("nöde", ["nöde"], "nöde"),
    ("node1", [None, "", "node1"], "node1"),
]


@pytest.mark.parametrize(("node", "names", "found"), NAMES)
def test_a_node_finds_its_own_rows_and_nobody_elses(store, node, names, found):
    BASE.create(store.connection)
    for number, name in enumerate(names, 1):
        BASE.attach(store.connection, f"fa:16:3e:00:00:{number:02x}", node=name)
    if found is None:
        with pytest.raises(ConfigError, match="ambiguous") as caught:
            read(store, node)
        assert all(repr(name) in str(caught.value) for name in names)
        return
    desired = read(store, node)
    wanted = [names.index(found) + 1] if found else []
    assert [link.row_id for link in desired.links] == wanted
    assert desired.node == (found or node)


@pytest.mark.parametrize("node", ["node_1", "node%", "a!b"])
def test_a_wildcard_in_a_name_fetches_no_other_nodes_rows(store, node):
    BASE.create(store.connection)
    for number, name in enumerate([node, "nodeX1", "node2", "axb", "a!!b", "node"]):
        BASE.attach(store.connection, f"fa:16:3e:00:00:{number:02x}", node=name)
    with store.open() as database:
        assert len(database.ask(node).rows) == 1


HOSTILE = [
    "\x1b[2J\x1b]0;t\x07",
    "a\nb\r\nc",
    "$(reboot)`id`",
    "'\"\\;--",
    "\u202e\u2028\x85\x9b31m",
    "%s%n{0}{a}",
    "\x00x",
    "x" * 300,
    None,
    "",
]
IGNORED = ["attached_node_id", "status", "netplan_success"]
EMPTY_IS_FINE = ["address", "mtu", "cidr"]


def loose(store):
    """Make tables whose columns take anything: all of SQLite's do, and a careless operator's."""
    store.sql(
        "CREATE TABLE multi_interface (id INTEGER PRIMARY KEY, port_id TEXT, subnet_id TEXT, macaddress TEXT,"
        " address TEXT, mtu TEXT, attached_node_name VARCHAR(255), attached_node_id TEXT, status TEXT,"
        " netplan_success TEXT, deleted_at TEXT)"
    )
    store.sql("CREATE TABLE multi_subnet (subnet_id VARCHAR(36), cidr TEXT)")


def row(number, **values):
    usual = {"port_id": f"p{number}", "subnet_id": f"s{number}", "macaddress": f"fa:16:3e:00:00:{number:02x}"}
    address = f"10.0.0.{number}/24"
    usual |= {"id": number, "attached_node_name": "node1", "address": address, "netplan_success": 0}
    return usual | values


@pytest.mark.parametrize("column", ["port_id", "macaddress", *EMPTY_IS_FINE, *IGNORED])
def test_hostile_text_in_any_column_is_that_rows_problem_alone(store, column):
    loose(store)
    insert(store.connection, "multi_interface", **row(99))
    for number, value in enumerate(HOSTILE, 1):
        cidr = value if column == "cidr" else "10.0.0.0/24"
        insert(store.connection, "multi_subnet", subnet_id=f"s{number}", cidr=cidr)
        insert(
            store.connection,
            "multi_interface",
            **row(number, **({} if column == "cidr" else {column: value})),
        )
    desired = read(store)
    assert desired.links[-1].row_id == 99
    assert len(desired.links) + len(desired.invalid) == len(HOSTILE) + 1
    for bad in desired.invalid:
        assert (bad.message + bad.mac_text + bad.port_id).isprintable()
        assert len(bad.message) < 300
        assert bad.message.startswith(f"row {bad.row_id}: ")
        assert column in bad.message
    refused = {bad.row_id for bad in desired.invalid}
    fine = {HOSTILE.index(value) + 1 for value in (None, "")} if column in EMPTY_IS_FINE else set()
    everything = set(range(1, len(HOSTILE) + 1))
    assert refused == (set() if column in IGNORED else everything - fine)
    assert {flag.row_id for flag in desired.flags} == everything | {99}


@pytest.mark.parametrize("value", [b"\xff\xfe\x00", b"fa:16:3e:00:00:01"], ids=ascii)
@pytest.mark.parametrize("column", ["port_id", "macaddress", "address", "mtu"])
def test_binary_columns_are_read_or_refused(store, column, value):
    loose(store)
    if store.product == "mariadb":
        store.sql(f"ALTER TABLE multi_interface MODIFY {column} VARBINARY(300)")
    insert(store.connection, "multi_interface", **row(1, **{"address": "10.0.0.1/24", column: value}))
    insert(store.connection, "multi_interface", **row(2, address="10.0.0.2/24"))
    desired = read(store)
    assert desired.links[-1].mac == Mac(TWO)
    assert all(bad.message.isprintable() for bad in desired.invalid)


@pytest.mark.parametrize("value", [1.5, -1, 10**15, 1450.0, True])
def test_numbers_of_other_kinds_in_mtu_are_read_or_refused(store, value):
    BASE.create(store.connection)
    if store.product == "mariadb":
        store.sql("ALTER TABLE multi_interface MODIFY mtu DOUBLE")
    BASE.attach(store.connection, ONE, mtu=value)
    desired = read(store)
    assert [link.mtu for link in desired.links] == ([1450] if value == 1450.0 else [])
    assert len(desired.invalid) == (0 if value == 1450.0 else 1)


def test_all_columns_null_is_one_invalid_row(store):
    loose(store)
    insert(store.connection, "multi_interface", id=1, attached_node_name="node1")
    insert(store.connection, "multi_interface", **row(2, address="10.0.0.2/24"))
    desired = read(store)
    assert len(desired.invalid) == 1
    assert desired.invalid[0].mac is None
    assert "NULL" in desired.invalid[0].message
    assert len(desired.links) == 1
