"""A real MySQL 9 with its default user: Debian's unstable suite has one. Needs root, to make its image."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pymysql
import pytest

from multinic.database import peers, schema, source, status
from multinic.database.compare_and_set import as_read
from multinic.database.tables import OURS
from multinic.values.errors import Exit, SourceRejected
from multinic.values.history import Event, FieldChange, Kind
from tests.db.conftest import settings
from tests.db.test_doctor import SECRET, examine
from tests.images import Image
from tests.mariadb import START_TIMEOUT, free_port
from tests.schemas import CONTROLLER
from tests.scratch import END_WITH_TESTS, scratch

IMAGE = Image(
    "mysql", "sid", "mysql-server-core", "true", "true", ('--aptopt=Acquire::Check-Valid-Until "false"',)
)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mmdebstrap"), reason="needs root and mmdebstrap"
)


@pytest.fixture(scope="module")
def mysql() -> Iterator[SimpleNamespace]:
    """A MySQL server with the controller's tables and one row: its port, directory, and root's connection."""
    try:
        root = IMAGE.build()
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        pytest.skip(f"no MySQL: {e}")
    with scratch("mysql") as directory:
        inside = "/mnt/own"
        options = ["--no-defaults", "--user=root", f"--datadir={inside}/data", "--secure-file-priv=NULL"]
        options += ["--mysqlx=OFF", f"--socket={inside}/socket", f"--pid-file={inside}/pid"]
        port = free_port()
        script = (
            f"mkdir -p {root}{inside} && mount --bind {directory} {root}{inside} && "
            f"chroot {root} mysqld {' '.join(options)} --initialize-insecure && "
            f"exec chroot {root} mysqld {' '.join(options)} --bind-address=127.0.0.1 --port={port}"
        )
        command = [*END_WITH_TESTS, "unshare", "--mount", "sh", "-c", script]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            connection = _connected(directory, process)
            connection.cursor().execute("CREATE DATABASE multinic")
            connection.select_db("multinic")
            CONTROLLER.create(connection)
            CONTROLLER.attach(connection, "fa:16:3e:00:00:01")
            yield SimpleNamespace(port=port, data=directory / "data", connection=connection)
            connection.close()
        finally:
            process.terminate()
            process.wait(60)


def _connected(directory: Path, process: subprocess.Popen[bytes]) -> pymysql.connections.Connection:
    end = time.monotonic() + 2 * START_TIMEOUT
    while True:
        with suppress(pymysql.err.OperationalError):
            return pymysql.connect(unix_socket=str(directory / "socket"), user="root", autocommit=True)
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"mysqld did not start:\n{(directory / 'log').read_text()[-3000:]}")
        time.sleep(0.1)


@pytest.fixture
def login(mysql):
    """Create a user and return what connects as that user; the server has not seen the user yet."""

    def made(more="", plugin="caching_sha2_password"):
        cursor = mysql.connection.cursor()
        cursor.execute("DROP USER IF EXISTS node")
        cursor.execute(f"CREATE USER node IDENTIFIED WITH {plugin} BY '{SECRET}' {more}")
        cursor.execute("GRANT SELECT, UPDATE ON multinic.* TO node")

        def connect(query="", password=SECRET):
            url = f"mysql://node@127.0.0.1:{mysql.port}/multinic?{query}".removesuffix("?")
            with source.connect(settings(url, password)) as database:
                (row,) = database.ask("node1").rows
                database.report_success({row[0]: True})
            return url

        return connect

    return made


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "sha256_password"])
def test_the_default_user_logs_in_under_the_servers_key_or_tls_and_else_not(mysql, login, plugin):
    ways = [f"server_public_key={mysql.data}/public_key.pem", "get_server_public_key=1"]
    for way in [*ways, f"ssl_ca={mysql.data}/ca.pem&ssl_verify=ca"]:
        connect = login(plugin=plugin)
        with pytest.raises(SourceRejected, match="could be read on the way"):
            connect()
        connect(way)


def test_our_tables_the_brake_and_the_comparison_of_a_json_column_work_on_mysql(mysql):
    mysql.connection.cursor().execute("ALTER TABLE multi_interface MODIFY options JSON")
    options = '{"rp_filter":2,"description":"x"}'
    mysql.connection.cursor().execute(
        "UPDATE multi_interface SET netplan_success = 0, options = %s", (options,)
    )
    mine = settings(f"mysql://root@localhost/multinic?unix_socket={mysql.data.parent}/socket")
    assert sum("created" in line for line in schema.migrate(mine)) == len(OURS)
    with source.connect(mine) as database:
        read = as_read(database.ask("node1"))
        changed = {row: found._replace(row={**found.row, "mtu": 17}) for row, found in read.items()}
        for rows, expected in ((changed, 0), (read, 1)):
            database.report_success(dict.fromkeys(rows, True), rows)
            _, found, _ = database.execute("SELECT netplan_success FROM multi_interface", ())
            assert [tuple(row) for row in found] == [(expected,)]
        failed = Event(1, Kind.FAILED, mac="m", attempt="update", changes=(FieldChange("mtu", "1", "2"),))
        for state in ("waiting", "converged", "converged"):
            news = status.News({"last_result": "ok"}, {"m": {"state": state}}, ("n",), (failed,), 5.0)
            status.write(database, "node2", news)
        assert status.beat(database, "node2") in (True, False)  # the same second
        assert status.known(database, "node2") == (frozenset({"m"}), 1)
        database.execute("UPDATE multinic_event SET at = UTC_TIMESTAMP()", ())
        assert [peer.node for peer in peers.attempts(database, "node1", {"update", "delete"})] == ["node2"]
        peers.release(database, "me")
        assert peers.attempts(database, "node1", {"update"}) == []


def test_doctor_warns_while_the_server_still_remembers_the_user(mysql, login, tmp_path):
    connect = login()
    connect(f"server_public_key={mysql.data}/public_key.pem")
    found = examine(tmp_path, connect())
    assert found["login"][0][0] == "warning"
    assert "after its next restart no node gets in" in found["login"][0][1]
    assert [level for level, _ in found["privileges"]] == ["ok"]
    mysql.connection.cursor().execute("FLUSH PRIVILEGES")  # it forgets, as it does when it is restarted
    with pytest.raises(SourceRejected):
        connect()
    found = examine(tmp_path, connect(f"server_public_key={mysql.data}/public_key.pem"))
    assert "login" not in found


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        ("REQUIRE X509", "ssl_cert="),
        ("ACCOUNT LOCK", "ACCOUNT UNLOCK"),
        ("PASSWORD EXPIRE", "expired"),
    ],
)
def test_a_user_whom_the_server_refuses_is_told_why(mysql, login, more, hint):
    with pytest.raises(SourceRejected) as caught:
        login(more)(f"ssl_ca={mysql.data}/ca.pem&ssl_verify=ca")
    assert (caught.value.exit, hint in caught.value.hint) == (Exit.USAGE, True)


def test_a_client_certificate_lets_in_whom_it_is_for(mysql, login):
    certificate = f"ssl_cert={mysql.data}/client-cert.pem&ssl_key={mysql.data}/client-key.pem"
    login("REQUIRE X509")(f"ssl_ca={mysql.data}/ca.pem&ssl_verify=ca&{certificate}")


def test_mysqls_own_certificate_names_no_host_and_the_advice_says_so(mysql, login):
    with pytest.raises(SourceRejected, match="certificate") as caught:
        login()(f"ssl_ca={mysql.data}/ca.pem")
    assert "ssl_verify=ca" in caught.value.hint


def test_a_server_that_wants_tls_says_so(mysql, login):
    connect = login()
    connect(f"server_public_key={mysql.data}/public_key.pem")  # or it would ask for the password first
    mysql.connection.cursor().execute("SET GLOBAL require_secure_transport = ON")
    with pytest.raises(SourceRejected) as caught:
        connect()
    mysql.connection.cursor().execute("SET GLOBAL require_secure_transport = OFF")
    assert "nobody in without TLS" in caught.value.hint
