"""`multinic db check` judges every row as its host will, and finds what no host can see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from multinic.database import pages
from multinic.database.check import check
from multinic.database.rows import desired
from tests.db.conftest import settings
from tests.schemas import BASE, CONTROLLER, Schema, insert

ROOT = Path(__file__).parents[2]
OPTIONS = Schema(controller=True, options=True)


def mac(number: int) -> str:
    return f"fa:16:3e:00:00:{number:02x}"


def checked(store, **changes):
    return check(settings(store.url, **changes), max_interfaces=10, limit=1000)


def found(document, *fields):
    return [tuple(item[field] for field in fields) for item in document["findings"]]


def fill(store):
    """A fleet in which much is wrong; return its nodes."""

    def attach(number, address, node, **values):
        store_schema.attach(store.connection, mac(number), address=address, node=node, **values)

    store_schema = OPTIONS
    store_schema.create(store.connection)
    attach(1, "10.0.0.1", "good")
    attach(2, "10.0.0.1", "same-address")
    attach(3, "10.0.0.3", "bad-address")
    store.sql("UPDATE multi_interface SET address = '10.0.0.300' WHERE macaddress = %s", mac(3))
    attach(4, "10.0.0.4", "mac-twice")
    attach(4, "10.0.0.5", "mac-twice", port_id="again")
    attach(1, "10.0.0.6", "same-mac", port_id="same-mac")
    attach(7, "10.0.0.7", "w1")
    attach(8, "10.0.0.8", "W1.example.org")
    attach(9, "10.9.0.9", "no-cidr", subnet_id="empty", cidr="")
    attach(10, None, "bad-cidr", subnet_id="wrong", cidr="nonsense")
    attach(11, "10.0.0.11", "options", options='{"dhcp9": true}')
    attach(12, "10.0.0.12/24", "routes", options='{"routes": [{"to": "10.7.0.0/16", "via": "10.0.0.9"}]}')
    attach(13, "10.0.0.13/24", "routes", options='{"routes": [{"to": "10.7.0.0/16", "via": "10.0.0.9"}]}')
    attach(14, "10.0.0.3", "gone", deleted_at="2024-01-01 00:00:00")
    attach(15, "10.0.0.15", "n\u001b[2J\u202e'--", port_id="hostile")
    attach(16, "10.0.0.16", "", attached_node_id="id-good")  # names its node by the id alone
    store.sql("DELETE FROM node_table WHERE attached_node_name = ''")
    return sorted({str(row["attached_node_name"]) for row in store.sql("SELECT * FROM node_table")})


def test_it_says_of_every_row_what_the_host_of_that_row_says(store):
    nodes = fill(store)
    document = checked(store)
    by_hosts = []
    with store.open() as session:
        for node in nodes:
            state = desired(node, session.ask(node), ignore_deleted_at=False, database="")
            by_hosts += [(state.node, row.row_id, row.reason, row.message) for row in state.invalid]
    of_rows = [item for item in document["findings"] if item["row_id"] is not None]
    judged = [(item["node"], item["row_id"], item["reason"], item["message"]) for item in of_rows]
    assert sorted(judged) == sorted(by_hosts)
    assert len(judged) == 7
    assert (document["exit"], document["rows"], document["left_out"]) == (4, 16, 0)


def test_it_finds_what_no_host_can_see(store):
    fill(store)
    document = checked(store)
    of_fleet = [item for item in document["findings"] if item["row_id"] is None]
    assert sorted((item["level"], item["reason"], item["node"]) for item in of_fleet) == [
        ("note", "ambiguous-node", "W1.example.org"),
        ("note", "ambiguous-node", "w1"),
        ("note", "no-cidr", ""),
        ("note", "no-rows", "gone"),
        ("problem", "bad-cidr", ""),
        ("problem", "duplicate-address", ""),
        ("problem", "duplicate-mac", ""),
    ]
    words = {item["reason"]: item["message"] for item in of_fleet}
    assert (
        "10.0.0.1 is in rows of several nodes, in network 'subnet-1': 1 ('good'), 2 ('same-address')"
        in (words["duplicate-address"])
    )
    assert f"{mac(1)} is in rows of several nodes: 1 ('good'), 6 ('same-mac')" in words["duplicate-mac"]


def test_it_reads_in_pages_and_finds_the_same(store, monkeypatch):
    fill(store)
    whole = checked(store)
    monkeypatch.setattr(pages, "PAGE", 3)
    assert checked(store) == whole


def test_the_network_of_two_subnets_counts_as_one(store):
    CONTROLLER.create(store.connection)
    for number, subnet in ((1, "a"), (2, "b"), (3, "c")):
        CONTROLLER.attach(
            store.connection, mac(number), address="10.0.0.1", node=f"n{number}", subnet_id=subnet
        )
    assert checked(store)["exit"] == 0  # overlapping addresses of different tenants
    store.sql("UPDATE multi_subnet SET network_id = 'net' WHERE subnet_id IN ('a', 'b')")
    document = checked(store)
    assert found(document, "reason") == [("duplicate-address",)]
    assert "1 ('n1'), 2 ('n2')" in document["findings"][0]["message"]


def test_the_smallest_tables_are_understood(store):
    BASE.create(store.connection)
    BASE.attach(store.connection, mac(1), node="n1")
    BASE.attach(store.connection, "zz", node="n2")
    assert found(checked(store), "node", "reason") == [("n2", "bad-value")]


def test_rows_that_are_longer_than_an_answer_are_read_a_few_at_a_time(store):
    OPTIONS.create(store.connection)
    for number in range(300):
        long = {"options": "x" * 60_000, "address": "10.0.0.1/24"}
        OPTIONS.attach(store.connection, f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}", **long)
    if store.product == "sqlite":
        store.sql("UPDATE multi_interface SET options = %s WHERE id = 7", "x" * (17 << 20))
    document = checked(store)
    reasons = {item["row_id"]: item["reason"] for item in document["findings"] if item["row_id"]}
    assert reasons.pop(7) == ("too-long" if store.product == "sqlite" else "bad-options")
    assert set(reasons) == set(range(1, 301)) - {7}


def test_a_user_who_may_only_read_is_enough(mariadb, database):
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, "zz", node="n1")
    mariadb.create_user("reader", "s3cret", [f"SELECT ON `{database}`.*"])
    url = mariadb.url(user="reader", database=database)
    document = check(settings(url, "s3cret"), max_interfaces=10, limit=1)
    assert found(document, "node", "reason") == [("n1", "bad-value")]
    connection.close()


def program(store, tmp_path, *arguments, status):
    (tmp_path / "multinic.toml").touch()
    done = subprocess.run(
        [sys.executable, "-m", "multinic", "--database-url", store.url, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "MULTINIC_CONFIG": str(tmp_path / "multinic.toml")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_its_exit_status_says_whether_something_was_found_and_nothing_acts_on_a_terminal(store, tmp_path):
    CONTROLLER.create(store.connection)
    assert "nothing is wrong" in program(store, tmp_path, "db", "check", status=0).stdout
    insert(store.connection, "node_table", attached_node_id="x", attached_node_name="lonely")
    assert "lonely" in program(store, tmp_path, "db", "check", status=0).stdout  # only good to know
    fill_more = "\u001b[2Jn\u202e"
    for number in (1, 2):
        CONTROLLER.attach(store.connection, "zz\u001b[31m", node=fill_more, port_id=f"p{number}")
    said = program(store, tmp_path, "db", "check", "--limit", "1", status=4).stdout
    assert all(sign.isprintable() or sign == "\n" for sign in said)
    assert "and 2 more" in said
    document = json.loads(program(store, tmp_path, "--output", "json", "db", "check", status=4).stdout)
    assert (document["summary"], document["left_out"]) == ({"note": 1, "problem": 2}, 0)
