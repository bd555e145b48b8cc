"""The harness itself: what the private server promises to the tests of this tier."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pymysql
import pytest

from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB


def test_statements_sees_what_pymysql_sends_by_itself_on_connect(mariadb, database):
    with mariadb.statements() as seen, mariadb.connect(database=database, autocommit=False) as connection:
        connection.query("SELECT 1")
    assert "SELECT 1" in seen
    assert [text for text in seen if text.startswith("SET")], seen
    assert not [text for text in seen if "general_log" in text]


def test_statements_can_look_at_one_user_alone(mariadb, database):
    mariadb.create_user("node", "secret", [f"SELECT ON `{database}`.*"])
    with (
        mariadb.statements("node") as seen,
        mariadb.connect() as other,
        mariadb.connect(host=mariadb.host, port=mariadb.port, user="node", password="secret") as connection,
    ):
        other.query("SELECT 'other'")
        connection.select_db(database)
        connection.query("SELECT 'mine'")
    assert "SELECT 'mine'" in seen
    assert f"Init DB {database}" in seen
    assert "SELECT 'other'" not in seen


def test_a_frozen_server_takes_the_connection_and_says_nothing(mariadb):
    with mariadb.frozen(), pytest.raises(pymysql.err.OperationalError, match="timed out"):
        mariadb.connect(host=mariadb.host, port=mariadb.port, connect_timeout=1, read_timeout=1)
    assert mariadb.execute("SELECT 1 AS one") == [{"one": 1}]


def test_a_user_that_needs_tls_is_refused_without_it_and_let_in_with_the_servers_authority():
    with PrivateMariaDB() as server:
        server.start(tls=True)
        server.create_user("node", "secret", tls=True)
        login = {"host": server.host, "port": server.port, "user": "node", "password": "secret"}
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            server.connect(**login, ssl_disabled=True)
        with server.connect(
            **login, ssl_ca=str(server.ca), ssl_verify_cert=True, ssl_verify_identity=True
        ) as connection:
            connection.query("SELECT 1")


def test_a_server_that_was_stopped_comes_back_with_its_data_at_the_same_address():
    with PrivateMariaDB() as server:
        server.start()
        name, url = server.fresh_database(), server.url(user="node", password="a/b", database="x")
        server.stop()
        with pytest.raises(pymysql.err.OperationalError):
            server.connect(host=server.host, port=server.port)
        server.start()
        assert server.url(user="node", password="a/b", database="x") == url
        assert url == f"mysql://node:a%2Fb@127.0.0.1:{server.port}/x"
        assert server.execute("SHOW DATABASES LIKE %s", name)
    assert not server.directory.exists()


def test_a_killed_run_leaves_no_server_and_no_data_behind():
    killed = (
        "import os; from tests.mariadb import PrivateMariaDB; server = PrivateMariaDB(); server.start();"
        " print(server.pid, server.directory, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", killed], check=False, capture_output=True, text=True)
    server, directory = done.stdout.split()
    # Returns when that process is gone.
    subprocess.run(["tail", f"--pid={server}", "-f", "/dev/null"], timeout=30, check=True)
    eventually(lambda: not Path(directory).exists(), timeout=30)
