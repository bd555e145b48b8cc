"""A database that cannot be used: each way ends in bounded time, in one sentence, and never in a secret."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from multinic.database import source
from multinic.host import config
from multinic.values.errors import ConfigError, Exit, MultinicError, SourceError, SourceRejected
from multinic.values.settings import Secret
from tests.db.conftest import settings
from tests.mariadb import PrivateMariaDB
from tests.proxy import proxy
from tests.schemas import BASE, CONTROLLER

ROOT = Path(__file__).parents[2]
SECRET = "s3cr:t/@%?#'\"ä비밀"
BOUND = 60.0  # seconds: a limit of a second or two each, and a machine that has much else to do
FOR_EVER = 300.0  # seconds: as long as no test takes


def least_privileges(database):
    """Return what docs/reference.md tells operators to grant."""
    return [
        f"SELECT ON `{database}`.multi_interface",
        f"SELECT ON `{database}`.multi_subnet",
        f"UPDATE (netplan_success, modified_at) ON `{database}`.multi_interface",
    ]


@pytest.fixture
def node(mariadb, database):
    """A user of the least privileges in a database with the controller's tables: its settings."""
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, "fa:16:3e:00:00:01")
    connection.close()
    mariadb.create_user("node", SECRET, least_privileges(database))
    return settings(mariadb.url(user="node", database=database), SECRET, connect_timeout=1, read_timeout=1)


@pytest.fixture(autouse=True)
def bounded(request):
    """End a test that waits for ever: here that is the very fault that is looked for."""

    def give_up(_, frame):
        # Once the test has ended, pytest is at work, and this would end it with all tests that are left.
        if any(caller.f_code is request.function.__code__ for caller, _ in traceback.walk_stack(frame)):
            pytest.fail("this waits for ever")

    def watch():
        if not done.wait(FOR_EVER):
            os.kill(os.getpid(), signal.SIGUSR1)
            while not done.wait(5):  # what was ended tidies up, and may wait again
                os.kill(os.getpid(), signal.SIGUSR1)

    done = threading.Event()
    before = signal.signal(signal.SIGUSR1, give_up)
    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    done.set()
    watcher.join()
    signal.signal(signal.SIGUSR1, before)


def fails(made, expected=SourceError):
    """Return the error of reading with these settings; it came in bounded time and tells no secret."""
    begun = time.monotonic()
    with pytest.raises(expected) as caught, source.connect(made) as database:
        database.ask("node1")
    assert time.monotonic() - begun < BOUND
    error = caught.value
    assert isinstance(error, MultinicError)
    text = f"{error} {error.hint}"
    assert text.isprintable()
    assert SECRET not in text
    assert "s3cr" not in text
    return error


def changed(made, **changes):
    return made._replace(**changes)


def elsewhere(work):
    """Run this in a thread other than the main one; return what it returns, raise what it raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_the_least_privileges_are_enough(node):
    with source.connect(node) as database:
        assert len(database.ask("node1").rows) == 1
        database.report_success({1: True})
        assert database.address == "127.0.0.1"


def test_a_password_may_hold_any_character_and_also_come_in_the_url(mariadb, node, database):
    inside = {"MULTINIC_DATABASE_URL": mariadb.url(user="node", password=SECRET, database=database)}
    beside = {"MULTINIC_DATABASE_URL": node.url, "MULTINIC_DATABASE_PASSWORD": SECRET}
    for environment in (inside, beside):
        with source.connect(
            config.load(None, {}, environment, default="/nonexistent").database
        ) as connection:
            assert connection.where == f"mysql 127.0.0.1:{mariadb.port}/{database}"


def test_a_wrong_password_is_rejected(mariadb, node, database):
    mariadb.create_user("node", "another")
    error = fails(node, SourceRejected)
    assert "Access denied" in str(error)
    assert "password" in error.hint
    assert error.exit is Exit.USAGE
    error = fails(changed(node, password=Secret("")), SourceRejected)
    assert error.exit is Exit.USAGE
    assert "database.password_file" in error.hint


def test_a_missing_database_is_rejected_and_init_is_named(mariadb, node):
    mariadb.execute("GRANT ALL ON `nowhere`.* TO 'node'@'%'")
    error = fails(changed(node, url=mariadb.url(user="node", database="nowhere")), SourceRejected)
    assert "nowhere" in str(error)
    assert "db init" in error.hint


def test_a_database_without_privileges_is_rejected(mariadb, node):
    mariadb.execute("CREATE DATABASE IF NOT EXISTS private")
    error = fails(changed(node, url=mariadb.url(user="node", database="private")), SourceRejected)
    assert "grant the user" in error.hint


def test_a_missing_table_is_rejected_and_init_is_named(mariadb, node, database):
    mariadb.execute("DROP TABLE multi_interface", database=database)
    error = fails(node, SourceRejected)
    assert "no table multi_interface" in str(error)
    assert "db init" in error.hint


@pytest.mark.parametrize(
    "privilege", ["SELECT ON `{}`.multi_subnet", "UPDATE ON `{}`.*", "SELECT (id) ON `{}`.multi_interface"]
)
def test_a_missing_privilege_is_rejected_and_named(mariadb, node, database, privilege):
    mariadb.create_user("node", SECRET, [privilege.format(database)])
    error = fails(node, SourceRejected)
    assert "denied" in str(error)
    assert "grant the user" in error.hint


def test_a_missing_right_to_update_is_found_when_it_is_needed(mariadb, node, database):
    mariadb.create_user("node", SECRET, [f"SELECT ON `{database}`.*"])
    with source.connect(node) as connection:
        connection.ask("node1")
        with pytest.raises(SourceRejected, match="denied"):
            connection.report_success({1: True})


@pytest.mark.parametrize("column", ["id", "port_id", "macaddress", "attached_node_name", "netplan_success"])
def test_a_missing_column_is_rejected_and_named(store, column):
    BASE.create(store.connection)
    store.sql(f"ALTER TABLE multi_interface RENAME COLUMN {column} TO other")
    error = fails(settings(store.url), SourceRejected)
    assert column in str(error)
    assert error.exit is Exit.USAGE


def test_a_closed_port_is_unreachable(node):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = fails(changed(node, url=f"mysql://node@127.0.0.1:{port}/x"))
    assert (type(error), error.exit) == (SourceError, Exit.RETRY)
    assert f"127.0.0.1:{port}" in str(error)


def test_a_name_that_does_not_resolve_is_unreachable(node):
    error = fails(changed(node, url="mysql://node@name.invalid/x"))
    assert (type(error), "name.invalid" in str(error)) == (SourceError, True)


@pytest.mark.parametrize(
    "greeting", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 2000, b"\x01\x00\x00\x00\x00"]
)
def test_something_else_that_listens_is_unreachable_in_bounded_time(node, greeting):
    """Nothing said at all (None), hung up at once, another protocol, a lie about a length."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if greeting is not None:
            helper = subprocess.Popen(
                [sys.executable, "-c", SPEAK, str(listener.fileno()), greeting.hex()],
                pass_fds=[listener.fileno()],
            )
        error = fails(changed(node, url=f"mysql://node@127.0.0.1:{listener.getsockname()[1]}/x"))
        if greeting is not None:
            helper.kill()
            helper.wait()
    assert error.exit is Exit.RETRY


SPEAK = """\
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    connection, _ = listener.accept()
    connection.sendall(bytes.fromhex(sys.argv[2]))
    connection.close()
"""


def test_a_frozen_server_is_given_up_in_bounded_time(mariadb, node):
    with mariadb.frozen():
        error = fails(node)
    assert error.exit is Exit.RETRY
    with source.connect(node) as database:
        assert len(database.ask("node1").rows) == 1


def test_a_server_that_freezes_after_the_connection_is_given_up_in_bounded_time(mariadb, node):
    with source.connect(node) as database:
        begun = time.monotonic()
        with mariadb.frozen(), pytest.raises(SourceError, match="did not answer in time"):
            database.ask("node1")
        with mariadb.frozen(), pytest.raises(SourceError):
            database.report_success({1: True})
        assert time.monotonic() - begun < BOUND
    # and closing it has not hung either


@pytest.mark.parametrize("after", [0, 50, 200])
def test_a_server_that_trickles_is_given_up_in_every_thread(mariadb, node, database, after):
    """`after` bytes: from the first on; within the greeting; within the rows."""
    with proxy(mariadb.socket, "drip", after) as way:
        url = f"mysql://node@127.0.0.1:{way.port}/{database}"
        error = elsewhere(lambda: fails(changed(node, url=url, read_timeout=3)))
    assert "did not answer within 4 s" in str(error)
    assert error.exit is Exit.RETRY


def test_a_transaction_has_one_limit_however_many_statements_it_has(node):
    def four_seconds():
        for _ in range(4):
            database.execute("SELECT SLEEP(1)", ())

    with source.connect(changed(node, connect_timeout=0.5, read_timeout=3)) as database:
        four_seconds()
        with pytest.raises(SourceError, match=r"did not answer within 3\.5 s"), database.transaction():
            four_seconds()


CONNECT = """\
import sys
threads = []
sys.addaudithook(lambda event, arguments: threads.append(event) if "thread" in event else None)
from multinic.database import source
from multinic.values.settings import DatabaseSettings, Secret
source.connect(DatabaseSettings(sys.argv[1], Secret(sys.argv[2]), 1, 1, ignore_deleted_at=False)).close()
print(threads, "encodings.idna" in sys.modules)
"""


def test_a_database_that_is_given_by_its_address_costs_no_look_up(node):
    command = [sys.executable, "-c", CONNECT, node.url, SECRET]
    # Measuring coverage may start threads of its own.
    environment = os.environ | {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "[] False\n"


def test_a_connection_that_the_server_ends_is_an_error_to_try_again(mariadb, node):
    with source.connect(node) as database:
        mariadb.execute("KILL USER 'node'")
        with pytest.raises(SourceError) as caught:
            database.ask("node1")
    assert caught.value.exit is Exit.RETRY


# Several hosts in the URL


def test_the_first_host_that_answers_is_taken(mariadb, node, database):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = free.getsockname()[1]
    for hosts in (
        f"127.0.0.1:{dead},127.0.0.1:{mariadb.port}",
        f"name.invalid,127.0.0.1:{mariadb.port}",
    ):
        with source.connect(changed(node, url=f"mysql://node@{hosts}/{database}")) as connection:
            assert len(connection.ask("node1").rows) == 1


def test_a_port_at_the_end_counts_for_all_hosts_without_one(mariadb, node, database):
    with source.connect(
        changed(node, url=f"mysql://node@127.0.0.1,127.0.0.9:{mariadb.port}/{database}")
    ) as found:
        assert found.where == f"mysql 127.0.0.1:{mariadb.port}/{database}"


def test_a_silent_host_delays_and_does_not_prevent(mariadb, node, database):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{mariadb.port}"
        begun = time.monotonic()
        with source.connect(changed(node, url=f"mysql://node@{hosts}/{database}")) as connection:
            assert connection.where.startswith(f"mysql 127.0.0.1:{mariadb.port}")
        assert time.monotonic() - begun < BOUND


def test_no_host_at_an_address_that_is_not_allowed_is_sent_anything(mariadb, node, database):
    """After a change, that is every address to which packets leave by a link that was changed."""
    with socket.create_server(("127.0.0.2", 0)) as other:
        other.setblocking(False)
        hosts = f"127.0.0.1:{mariadb.port},127.0.0.2:{other.getsockname()[1]}"
        with source.connect(changed(node, url=f"mysql://node@{hosts}/{database}")) as connection:
            (row,) = connection.ask("node1").rows
            connection.allowed = "127.0.0.2".__ne__
            mariadb.execute("KILL USER 'node'")
            connection.report_success({row[0]: True})
            connection.allowed = lambda _: False
            mariadb.execute("KILL USER 'node'")
            with pytest.raises(SourceError, match="leave by a link that was just changed"):
                connection.report_success({row[0]: False})
        with pytest.raises(BlockingIOError):
            other.accept()


def test_when_no_host_answers_every_one_is_named(node):
    error = fails(changed(node, url="mysql://node@name.invalid,other.invalid:1/x"))
    assert "name.invalid" in str(error)
    assert "other.invalid" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://",
        "mysql://host",
        "mysql://host/",
        "mysql://h:99999/d",
        "mysql://h:0/d",
        "mysql://a b/d",
        "mysql://h,/d",
        "mysql://h/d?ssl=1",
        "mysql://u:s3cr%2@h:bad/d",
        "postgres://h/d",
        "sqlite://x",
        "sqlite:///",
        "",
        "h",
    ],
)
def test_a_url_that_cannot_be_meant_is_a_configuration_error(url):
    error = fails(settings(url, SECRET), ConfigError)
    assert "database" in str(error)


# Sockets and TLS


def test_a_unix_socket_is_used_and_has_no_address(mariadb, node, database):
    url = mariadb.url(user="node", database=database, query=f"unix_socket={mariadb.socket}", host="localhost")
    with source.connect(changed(node, url=url)) as connection:
        assert len(connection.ask("node1").rows) == 1
        assert connection.address == ""
        assert str(mariadb.socket) in connection.where
    missing = changed(
        node, url=mariadb.url(user="node", database=database, query="unix_socket=/nowhere/socket")
    )
    assert "/nowhere/socket" in str(fails(missing))


@pytest.fixture(scope="module")
def tls():
    """A server with a certificate, and a user whom it lets in with TLS only."""
    with PrivateMariaDB() as server:
        server.start(tls=True, address="0.0.0.0")
        server.create_user("node", SECRET, ["SELECT, UPDATE ON `multinic`.*"], tls=True)
        server.execute("CREATE DATABASE multinic")
        connection = server.connect(database="multinic")
        BASE.create(connection)
        connection.close()
        yield server


def with_tls(tls, ca, host=""):
    url = tls.url(user="node", database="multinic", query=f"ssl_ca={ca}", host=host or "127.0.0.1")
    return settings(url, SECRET, connect_timeout=1, read_timeout=1)


def test_tls_is_verified_and_used(tls):
    with source.connect(with_tls(tls, tls.ca)) as database:
        assert database.ask("node1").rows == ()
        _, rows, _ = database.execute("SHOW STATUS LIKE 'Ssl_cipher'", ())
        assert next(iter(rows))[1]


def test_a_server_of_another_authority_is_refused(tls, tmp_path):
    other = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem", "-subj", "/CN=other", "-days", "1"]
    subprocess.run([*other, *files], check=True, capture_output=True)
    with tls.statements() as seen:
        error = fails(with_tls(tls, tmp_path / "ca.pem"))
    assert "certificate verify failed" in str(error)
    assert not seen


def test_a_certificate_for_another_name_is_refused(tls):
    assert "certificate" in str(fails(with_tls(tls, tls.ca, host="127.0.0.2")))


def test_a_server_without_tls_is_refused_where_it_is_asked_for(mariadb, tls, node, database):
    """The password must not reach a server that cannot prove who it is."""
    url = mariadb.url(user="node", database=database, query=f"ssl_ca={tls.ca}")
    if mariadb.execute("SELECT @@have_ssl AS have")[0]["have"] == "YES":
        assert "certificate" in str(fails(changed(node, url=url)))  # it made itself a certificate
    else:
        assert "asks for TLS" in str(fails(changed(node, url=url)))


def test_a_file_of_authorities_that_is_missing_or_damaged_is_told(tls, tmp_path):
    assert str(tmp_path / "no.pem") in str(fails(with_tls(tls, tmp_path / "no.pem"), ConfigError))
    (tmp_path / "bad.pem").write_text("nonsense")
    assert str(tmp_path / "bad.pem") in str(fails(with_tls(tls, tmp_path / "bad.pem"), ConfigError))


@pytest.mark.parametrize("after", [300, 1600])
def test_a_server_that_trickles_under_tls_is_given_up_in_every_thread(tls, after):
    """`after` bytes: within the handshake; within the login."""
    with proxy(tls.socket, "drip", after) as way:
        url = f"mysql://node@127.0.0.1:{way.port}/multinic?ssl_ca={tls.ca}"
        error = elsewhere(lambda: fails(settings(url, SECRET, connect_timeout=1, read_timeout=3)))
    assert error.exit is Exit.RETRY


def test_a_user_who_needs_tls_is_rejected_without(tls):
    fails(settings(tls.url(user="node", database="multinic", host="127.0.0.1"), SECRET), SourceRejected)


# SQLite's own ways to fail


def test_a_file_that_is_no_database_is_rejected(tmp_path):
    path = tmp_path / "x.db"
    path.write_text("no database" * 1000)
    assert "not a database" in str(fails(settings(f"sqlite:///{path}"), SourceRejected))


def test_a_directory_or_a_missing_file_is_unreachable(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "x.db"):
        assert str(path) in str(fails(settings(f"sqlite:///{path}")))


def test_a_file_that_is_locked_is_given_up_in_bounded_time(tmp_path):
    path = tmp_path / "odd name?#%41.db"
    connection = sqlite3.connect(path, isolation_level=None)
    BASE.create(connection)
    connection.execute("BEGIN EXCLUSIVE")
    error = fails(settings(f"sqlite:///{path}", read_timeout=0.2))
    assert f"is locked by process {os.getpid()} (" in str(error)
    connection.close()


def test_a_view_in_the_place_of_a_table_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as connection:
        BASE.create(connection)
        connection.execute("ALTER TABLE multi_interface RENAME TO theirs")
        connection.execute("CREATE VIEW multi_interface AS SELECT * FROM theirs")
    error = fails(settings(f"sqlite:///{tmp_path / 'x.db'}"), SourceRejected)
    assert "multi_interface is a view" in str(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python cannot limit what SQLite reads")
def test_a_value_that_is_far_too_long_is_not_even_read(tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.row_factory = sqlite3.Row
        BASE.create(connection)
        BASE.attach(connection, "fa:16:3e:00:00:01")
        connection.execute("UPDATE multi_interface SET port_id = hex(zeroblob(100000000))")
    with source.connect(settings(f"sqlite:///{tmp_path / 'x.db'}")) as database:
        tracemalloc.start()
        try:
            with pytest.raises(SourceRejected, match="longer than 16 MiB"):
                database.ask("node1")
            assert tracemalloc.get_traced_memory()[1] < 50 << 20
        finally:
            tracemalloc.stop()


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.parametrize("run", [elsewhere, lambda work: work()], ids=["thread", "main thread"])
def test_a_statement_on_a_file_that_never_ends_is_given_up(tmp_path, run):
    sqlite3.connect(tmp_path / "x.db").execute("VACUUM")
    made = settings(f"sqlite:///{tmp_path / 'x.db'}", connect_timeout=0.2, read_timeout=0.2)

    def ask():
        with source.connect(made) as database:
            with pytest.raises(SourceError, match=r"did not answer within 0\.4 s"):
                database.execute(ENDLESS, ())
            return list(database.execute("SELECT 1", ())[1])

    assert run(ask) == [(1,)]


def test_a_signal_during_a_statement_on_a_file_is_not_lost(tmp_path):
    class ToldToEndError(BaseException):
        pass

    def end(*_):
        raise ToldToEndError

    sqlite3.connect(tmp_path / "x.db").execute("VACUUM")
    before = signal.signal(signal.SIGUSR2, end)
    try:
        with source.connect(settings(f"sqlite:///{tmp_path / 'x.db'}", read_timeout=0.1)) as database:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR2)).start()
            with pytest.raises(ToldToEndError):
                database.execute(ENDLESS, ())
    finally:
        signal.signal(signal.SIGUSR2, before)


# The whole program: one sentence, one exit status, no secret in any output


def program(url, *arguments, root, **environment):
    """Run `multinic plan` (which changes nothing) and return (status, everything it said)."""
    own = {
        "PYTHONPATH": str(ROOT),
        "MULTINIC_DATABASE_CONNECT_TIMEOUT": "1s",
        "MULTINIC_DATABASE_READ_TIMEOUT": "1s",
    }
    done = subprocess.run(
        [sys.executable, "-m", "multinic", "--root", root, "--backend", "netlink", *arguments],
        env=os.environ | own | {"MULTINIC_DATABASE_URL": url} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=FOR_EVER,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "s3cr" not in said
    return done.returncode, said


def test_no_failure_of_the_program_tells_the_password(mariadb, node, database, tmp_path):
    good = mariadb.url(user="node", database=database)
    wrong = [
        (good.replace("node@", "nobody@"), 2),
        (good.replace(f"/{database}", "/nowhere"), 2),
        (good.replace(str(mariadb.port), "1"), 75),
        (good.replace("127.0.0.1", "name.invalid"), 75),
        (good + "?ssl_ca=/nowhere", 2),
        (good + "?nonsense=1", 2),
        (good.replace("mysql:", "mysql2:"), 2),
    ]
    inside = mariadb.url(user="node", password=SECRET, database=database)
    wrong += [(inside.replace("node:", "nobody:"), 2), (inside.replace("127.0.0.1", "a b"), 2)]
    forms = (["plan"], ["-v", "--output", "json", "plan"], ["--log-format", "json", "plan"])
    for (url, status), arguments in zip(wrong, itertools.cycle(forms), strict=False):
        ended, said = program(url, *arguments, root=tmp_path, MULTINIC_DATABASE_PASSWORD=SECRET)
        assert ended == status, (url, said)
        assert ('"msg": ' if "--log-format" in arguments else "multinic: ") in said
    ended, said = program(good, "plan", root=tmp_path, MULTINIC_DATABASE_PASSWORD=SECRET)
    assert ended == 0, said


def test_a_password_on_the_command_line_is_refused_and_not_repeated(mariadb, node, database, tmp_path):
    url = mariadb.url(user="node", password=SECRET, database=database)
    ended, said = program("", "--database-url", url, "plan", root=tmp_path)
    assert (ended, "command line" in said) == (2, True)


def test_a_password_file_is_read_and_a_missing_one_named(mariadb, node, database, tmp_path):
    (tmp_path / "pw").write_text(SECRET + "\n")
    url = mariadb.url(user="node", database=database)
    for file, status in (("pw", 0), ("missing", 2)):
        path = str(tmp_path / file)  # not below --root: it is where the program runs
        ended, said = program(url, "plan", root=tmp_path / "root", MULTINIC_DATABASE_PASSWORD_FILE=path)
        assert (ended, "missing" in said) == (status, status == 2), said
