"""A source that says far too much: bounded memory and time, a clear word, and nothing that looks removed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from multinic.database import rows, source
from multinic.database.connection import ANSWER_MAX
from multinic.database.statement import ROWS_MAX
from multinic.values.errors import Exit, SourceRejected
from tests.db.conftest import settings
from tests.schemas import BASE, CONTROLLER

MEMORY = 600 * 1024 * 1024  # of address space; the program alone has 150 MB of it
ASK = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
options = ["--node", "node1", "--backend", "netlink", "--database-url", sys.argv[1], "--root", sys.argv[2]]
sys.argv[1:] = [*options, "plan"]
from multinic.cli import main
main()
"""
"""`multinic plan` in a process that gets no more than that."""


def planned(url, root, status):
    """Return what `plan` says within the bounds."""
    script = ASK.format(memory=MEMORY)
    done = subprocess.run(
        [sys.executable, "-c", script, url, root], capture_output=True, text=True, check=False, timeout=120
    )
    assert "MemoryError" not in done.stderr
    assert done.returncode == status, done.stderr[-2000:]
    return done.stdout + done.stderr


def fill(store, count, **columns):
    """Insert rows of node1, in one statement a thousand."""
    names = ["port_id", "subnet_id", "macaddress", "attached_node_name", *columns]
    for begin in range(0, count, 1000):
        numbers = range(begin, min(begin + 1000, count))
        values = [
            (f"port-{n}", "s", f"fa:16:3e:00:{n >> 8:02x}:{n & 255:02x}", "node1", *columns.values())
            for n in numbers
        ]
        marks = f"({', '.join(['%s'] * len(names))})"
        store.sql(
            f"INSERT INTO multi_interface ({', '.join(names)}) VALUES {', '.join([marks] * len(values))}",
            *(value for row in values for value in row),
        )


def wanted(store):
    with store.open() as database:
        answer = database.ask("node1")
    return rows.desired("node1", answer, ignore_deleted_at=False, database="")


def test_as_many_rows_as_can_be_meant_are_read(store):
    BASE.create(store.connection)
    fill(store, rows.DESIRED_MAX)
    assert len(wanted(store).links) == rows.DESIRED_MAX


def test_more_rows_than_can_be_meant_are_refused_as_a_whole(store, tmp_path):
    """None is left out, so none looks removed; what is configured stays."""
    BASE.create(store.connection)
    fill(store, 5000)
    with pytest.raises(SourceRejected, match="5000 rows for node 'node1'") as error:
        wanted(store)
    assert error.value.exit is Exit.USAGE
    assert "more than 1000 cannot be meant" in planned(store.url, tmp_path, 2)


def test_rows_that_are_marked_as_deleted_may_be_many(store):
    CONTROLLER.create(store.connection)
    CONTROLLER.attach(store.connection, "fa:16:3e:00:00:01")
    store.sql("UPDATE multi_interface SET deleted_at = '2026-01-01 00:00:00'")
    begin = store.sql("SELECT id FROM multi_interface")[0]["id"]
    copied = "subnet_id, macaddress, attached_node_name, attached_node_id, cr_namespace, cr_name, deleted_at"
    for _ in range(11):  # 2,048
        begin += 100_000
        joined = f"CONCAT('p', id + {begin})" if store.product == "mariadb" else f"'p' || (id + {begin})"
        store.sql(
            f"INSERT INTO multi_interface (port_id, {copied}) SELECT {joined}, {copied} FROM multi_interface"
        )
    CONTROLLER.attach(store.connection, "fa:16:3e:00:00:02")
    found = wanted(store)
    assert (len(found.links), found.rows_read) == (1, 2049)


def test_an_answer_that_was_cut_is_not_looked_at(store, tmp_path):
    BASE.create(store.connection)
    fill(store, ROWS_MAX + 1)
    with pytest.raises(SourceRejected, match=f"more than {ROWS_MAX} rows"):
        wanted(store)
    store.sql("DELETE FROM multi_interface WHERE port_id = 'port-0'")
    with store.open() as database:
        assert len(database.ask("node1").rows) == ROWS_MAX
    fill(store, 1, address="x")
    assert f"more than {ROWS_MAX} rows" in planned(store.url, tmp_path, 2)


def test_a_column_with_a_very_long_text_is_its_rows_problem(store, tmp_path):
    BASE.create(store.connection)
    if store.product == "mariadb":
        for column in ("address", "mtu", "macaddress"):
            store.sql(f"ALTER TABLE multi_interface MODIFY {column} LONGTEXT")
    fill(store, 3, address="10.0.0.1/24 " * 100_000)
    store.sql("UPDATE multi_interface SET mtu = %s WHERE port_id = 'port-1'", "1" * 1_000_000)
    store.sql("UPDATE multi_interface SET macaddress = %s WHERE port_id = 'port-2'", ":" * 5_000_000)
    store.sql(
        "INSERT INTO multi_interface (port_id, subnet_id, macaddress, attached_node_name)"
        " VALUES ('good', 's', 'fa:16:3e:00:09:09', 'node1')"
    )
    found = wanted(store)
    assert [link.port_id for link in found.links] == ["good"]
    assert all("is longer than 4096 characters" in row.message for row in found.invalid)
    assert all(len(row.message) < 300 for row in found.invalid)
    said = planned(store.url, tmp_path, 4)
    assert len(said) < 20_000
    assert "fa:16:3e:00:09:09" in said


def test_an_answer_that_is_too_long_is_refused(store, tmp_path):
    BASE.create(store.connection)
    if store.product == "mariadb":
        store.sql("ALTER TABLE multi_interface MODIFY address LONGTEXT")
    fill(store, 40)
    store.sql("UPDATE multi_interface SET address = %s", "x" * (ANSWER_MAX // 20))
    with pytest.raises(SourceRejected, match="the answer is longer than 16 MiB") as error:
        wanted(store)
    assert store.product in str(error.value).replace("mysql", "mariadb")
    assert "the answer is longer than 16 MiB" in planned(store.url, tmp_path, 2)


def test_a_row_that_is_longer_than_any_packet_is_refused(mariadb, database, tmp_path):
    before = mariadb.execute("SELECT @@max_allowed_packet AS bytes")[0]["bytes"]
    mariadb.execute("SET GLOBAL max_allowed_packet = 1073741824")
    try:
        connection = mariadb.connect(database=database)
        BASE.create(connection)
        BASE.attach(connection, "fa:16:3e:00:00:01")
        connection.cursor().execute("ALTER TABLE multi_interface MODIFY address LONGTEXT")
        connection.cursor().execute("UPDATE multi_interface SET address = REPEAT('x', 50 * 1024 * 1024)")
        connection.close()
        assert "the answer is longer than 16 MiB" in planned(mariadb.url(database=database), tmp_path, 2)
    finally:
        mariadb.execute("SET GLOBAL max_allowed_packet = %s", before)


def test_many_rows_of_one_mac_and_one_address_are_told_in_few_words(store):
    BASE.create(store.connection)
    fill(store, 900, address="10.0.0.5/24")
    for columns in ("id = id", "macaddress = 'fa:16:3e:00:00:01'"):
        store.sql(f"UPDATE multi_interface SET {columns}")
        found = wanted(store)
        assert len(found.invalid) == 900
        assert all("and 894 more" in row.message and len(row.message) < 200 for row in found.invalid)


@pytest.mark.parametrize(
    ("charset", "sign"),
    [
        *[
            (charset, "\u0431")
            for charset in ("utf16", "ucs2", "utf32", "koi8r", "gbk", "sjis", "euckr", "binary")
        ],
        ("latin1", "\u00e9"),
    ],
)
def test_a_column_in_another_character_set_is_read_as_what_it_says(mariadb, database, charset, sign):
    connection = mariadb.connect(database=database)
    BASE.create(connection)
    for column in ("address", "macaddress", "attached_node_name"):
        change = f"ALTER TABLE multi_interface MODIFY {column} VARCHAR(255) CHARACTER SET {charset}"
        connection.cursor().execute(change)
    BASE.attach(connection, "fa:16:3e:00:00:01", address="10.0.0.5/24")
    BASE.attach(connection, "fa:16:3e:00:00:02", address=sign, port_id="odd")
    connection.close()
    with source.connect(settings(mariadb.url(database=database))) as opened:
        found = rows.desired("node1", opened.ask("node1"), ignore_deleted_at=False, database="")
    assert [(str(link.mac), *map(str, link.addresses)) for link in found.links] == [
        ("fa:16:3e:00:00:01", "10.0.0.5/24")
    ]
    assert [(row.port_id, sign in row.message) for row in found.invalid] == [("odd", True)]
