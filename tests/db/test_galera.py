"""Several hosts of one database: what one cannot do, another one does. Three nodes of a Galera cluster."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from multinic.database import source
from multinic.values.errors import Exit, SourceError, SourceRejected
from tests import galera
from tests.db.conftest import settings
from tests.db.test_doctor import examine
from tests.hosts import eventually
from tests.schemas import CONTROLLER

pytestmark = pytest.mark.skipif(bool(galera.missing()), reason=str(galera.missing()))

SECRET = "h\u00fcsh-hush"
ONE = "fa:16:3e:00:00:01"


@pytest.fixture(scope="module")
def nodes() -> Iterator[galera.Cluster]:
    with galera.cluster() as made:
        made.nodes[0].create_user("node", SECRET, ["SELECT, UPDATE ON *.*"])
        yield made


@pytest.fixture
def mine(nodes):
    """Settings for a database of the cluster with one row, all three nodes in its URL."""
    nodes.settle()
    name = nodes.nodes[0].fresh_database()
    connection = nodes.nodes[0].connect(database=name)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, ONE)
    connection.close()
    nodes.catch_up()
    yield settings(f"mysql://node@{nodes.hosts(0, 1, 2)}/{name}", SECRET, connect_timeout=1, read_timeout=2)
    nodes.settle()
    nodes.nodes[0].execute(f"DROP DATABASE `{name}`")


def name_of(mine):
    return mine.url.rpartition("/")[2]


def flags(nodes, mine, number):
    rows = nodes.nodes[number].execute(f"SELECT netplan_success FROM `{name_of(mine)}`.multi_interface")
    return [row["netplan_success"] for row in rows]


@contextmanager
def isolated(nodes, mine):
    with nodes.isolated(0):
        yield


@contextmanager
def rejecting(nodes, mine):
    nodes.nodes[0].execute("SET GLOBAL wsrep_reject_queries = 'ALL'")
    try:
        yield
    finally:
        nodes.nodes[0].execute("SET GLOBAL wsrep_reject_queries = 'NONE'")


@contextmanager
def locked(nodes, mine):
    with nodes.nodes[0].connect(database=name_of(mine)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES multi_interface WRITE")
        try:
            yield
        finally:
            cursor.execute("UNLOCK TABLES")


@contextmanager
def renamed(nodes, mine):
    """The first node has no table of this name."""
    with alone(nodes.nodes[0], name_of(mine)) as run:
        run("RENAME TABLE multi_interface TO gone")
        try:
            yield
        finally:
            run("RENAME TABLE gone TO multi_interface")


@contextmanager
def other_password(nodes, mine):
    with alone(nodes.nodes[0]) as run:
        run("ALTER USER node IDENTIFIED BY 'another'")
        try:
            yield
        finally:
            run("ALTER USER node IDENTIFIED BY %s", SECRET)


@contextmanager
def no_rights(nodes, mine):
    with alone(nodes.nodes[0]) as run:
        run("REVOKE ALL ON *.* FROM node")
        try:
            yield
        finally:
            run("GRANT SELECT, UPDATE ON *.* TO node")


@contextmanager
def in_state_transfer(nodes, mine):
    nodes.nodes[0].stop()
    nodes.start(0, transfer="skip")
    try:
        yield
    finally:
        nodes.nodes[0].stop()
        nodes.start(0)


@contextmanager
def frozen(nodes, mine):
    with nodes.nodes[0].frozen():
        yield


@contextmanager
def alone(node, database=None):
    """Run statements on one node, without the others."""
    with node.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION wsrep_on = OFF")
        yield lambda statement, *values: cursor.execute(statement, values or None)


TROUBLES = [isolated, rejecting, locked, renamed, other_password, no_rights, frozen, in_state_transfer]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_host_that_cannot_answer_is_one_host_less(nodes, mine, trouble):
    with trouble(nodes, mine):
        with source.connect(mine) as database:
            (row,) = database.ask("node1").rows
            assert database.where == f"mysql {nodes.hosts(1)}/{name_of(mine)}"
            if trouble is renamed:  # what is written elsewhere could not be carried over
                return
            database.report_success({row[0]: True})
        assert flags(nodes, mine, 1) == [1]


@pytest.mark.parametrize("trouble", [isolated, rejecting, locked, other_password, no_rights, frozen])
def test_a_host_that_fails_after_it_was_read_is_not_waited_for_with_the_result(nodes, mine, trouble):
    with source.connect(mine) as database:
        (row,) = database.ask("node1").rows
        with trouble(nodes, mine):
            nodes.nodes[0].execute("KILL USER node") if trouble in (other_password, no_rights) else None
            database.report_success({row[0]: True})
            assert flags(nodes, mine, 1) == [1]


def test_a_host_that_ends_in_the_middle_of_a_pass_is_replaced(nodes, mine):
    with source.connect(mine) as database:
        (row,) = database.ask("node1").rows
        nodes.nodes[0].stop()
        try:
            database.report_success({row[0]: True})
            assert database.where == f"mysql {nodes.hosts(1)}/{name_of(mine)}"
            assert database.ask("node1").rows[0][0] == row[0]
        finally:
            nodes.start(0)
    assert flags(nodes, mine, 1) == [1]


def test_results_go_to_a_host_that_takes_them_where_the_first_is_read_only(nodes, mine):
    nodes.nodes[0].execute("SET GLOBAL read_only = ON")
    try:
        with source.connect(mine) as database:
            (row,) = database.ask("node1").rows
            assert nodes.hosts(0) in database.where
            database.report_success({row[0]: True})
    finally:
        nodes.nodes[0].execute("SET GLOBAL read_only = OFF")
    assert flags(nodes, mine, 0) == [1]


def test_a_deadlock_or_a_lock_in_the_way_of_the_result_is_tried_once_more(nodes, mine):
    one = mine._replace(url=f"mysql://node@{nodes.hosts(0)}/{name_of(mine)}")
    nodes.nodes[0].execute("SET GLOBAL innodb_lock_wait_timeout = 1")
    try:
        with source.connect(one) as database:
            (row,) = database.ask("node1").rows
            blocker = nodes.nodes[0].connect(database=name_of(mine))
            blocker.begin()
            blocker.cursor().execute("SELECT * FROM multi_interface FOR UPDATE")
            execute, tried = database._connection.execute, []

            def watched(statement, parameters):
                tried.append(statement)
                try:
                    return execute(statement, parameters)
                finally:
                    if "UPDATE" in statement:
                        blocker.rollback()

            database._connection = database._connection._replace(execute=watched)
            database.report_success({row[0]: True})
            assert any("UPDATE" in statement for statement in tried)
    finally:
        nodes.nodes[0].execute("SET GLOBAL innodb_lock_wait_timeout = 50")
        blocker.close()
    assert flags(nodes, mine, 0) == [1]


def test_where_no_host_says_yes_the_first_no_is_the_answer_and_all_are_named(nodes, mine):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{free.getsockname()[1]}"
    for hosts in (f"{dead},{nodes.hosts(0)}", f"{nodes.hosts(0)},{dead}"):
        made = mine._replace(url=f"mysql://node@{hosts}/{name_of(mine)}")
        with renamed(nodes, mine), pytest.raises(SourceRejected) as caught, source.connect(made) as database:
            database.ask("node1")
        assert caught.value.exit is Exit.USAGE
        assert "no table multi_interface" in str(caught.value)
        assert dead in str(caught.value)
        assert "db init" in caught.value.hint
    with isolated(nodes, mine):
        made = mine._replace(url=f"mysql://node@{nodes.hosts(0)},{dead}/{name_of(mine)}")
        with (
            pytest.raises(SourceError, match="not yet prepared") as caught,
            source.connect(made) as database,
        ):
            database.ask("node1")
        assert caught.value.exit is Exit.RETRY


def test_doctor_asks_every_host_and_says_which_cannot_answer(nodes, mine, tmp_path):
    with rejecting(nodes, mine):
        found = examine(tmp_path, mine.url)["database"]
    assert [level for level, _ in found] == ["warning", "ok", "ok", "ok"]
    assert nodes.hosts(0) in found[0][1]


def test_doctor_says_when_hosts_do_not_have_the_same_rows(nodes, mine, tmp_path):
    with alone(nodes.nodes[0], name_of(mine)) as run:
        run("DELETE FROM multi_interface")
    found = examine(tmp_path, mine.url)["database"]
    assert ("do not have the same rows" in found[3][1], found[3][0]) == (True, "warning")
    assert f"{nodes.hosts(0)} 0" in found[3][1]


class Load:
    """Hosts that read their rows and report one as configured after the other, in passes without a pause."""

    HOSTS, PORTS = 6, 100

    def __init__(self, mine):
        self._settings = mine
        self.reported: set[int] = set()
        """Ids of rows whose success was taken: it must never be lost."""
        self.wrong: list[str] = []
        self.longest = 0.0
        """Seconds that a pass took at most."""
        self.passes = self.failed = 0
        self._end = threading.Event()

    @contextmanager
    def running(self):
        self._end.clear()
        threads = [threading.Thread(target=self._be, args=(host,)) for host in range(self.HOSTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in threads:
                thread.join()

    def goes_on(self):
        """Wait until the hosts together have done as many passes more as there are hosts."""
        enough = self.passes + self.HOSTS
        eventually(lambda: self.passes >= enough, timeout=120)

    def _be(self, host):
        while not self._end.wait(0.02):
            begun = time.monotonic()
            try:
                self._do_pass(f"host{host}")
                self.passes += 1
            except SourceError:
                self.failed += 1
            except Exception as e:  # noqa: BLE001 - nothing else may come out of a pass
                self.wrong.append(f"{type(e).__name__}: {e}")
            self.longest = max(self.longest, time.monotonic() - begun)

    def _do_pass(self, node):
        with source.connect(self._settings) as database:
            answer = database.ask(node)
            if len(answer.rows) != self.PORTS:
                self.wrong.append(f"{node} has {len(answer.rows)} rows, says {database.where}")
                return
            row_id, flag = (answer.columns.index(name) for name in ("id", "netplan_success"))
            # A row whose success was taken is not reported again: nothing would make up for a loss.
            waiting = [
                row[row_id] for row in answer.rows if not row[flag] and row[row_id] not in self.reported
            ]
            if waiting:
                database.report_success({waiting[0]: True})
                self.reported.add(waiting[0])


@contextmanager
def stopped(nodes, mine):
    nodes.nodes[0].stop()
    try:
        yield
    finally:
        nodes.start(0)


@contextmanager
def killed(nodes, mine):
    """The first node gets what it missed from the caches of the others."""
    nodes.nodes[0].kill()
    try:
        yield
    finally:
        nodes.start(0, killed=True)


@contextmanager
def without_position(nodes, mine):
    """The first node gets all data of another one, which takes no writes meanwhile."""
    nodes.nodes[0].kill()
    try:
        yield
    finally:
        (nodes.nodes[0].data / "grastate.dat").unlink()
        nodes.start(0)


def test_hosts_read_and_report_while_nodes_come_and_go_and_nothing_is_lost(nodes, mine):
    connection = nodes.nodes[0].connect(database=name_of(mine))
    for host in range(Load.HOSTS):
        for port in range(Load.PORTS):
            mac = f"fa:16:3f:00:{host:02x}:{port:02x}"
            CONTROLLER.attach(connection, mac, node=f"host{host}", address=None)
    connection.close()
    nodes.catch_up()
    load = Load(mine)
    troubles = (isolated, stopped, frozen, rejecting, killed, without_position)
    for trouble in troubles:
        with ExitStack() as end_of_trouble, load.running():
            load.goes_on()
            end_of_trouble.enter_context(trouble(nodes, mine))
            load.goes_on()
        nodes.settle()
    nodes.catch_up()
    assert load.wrong == []
    assert load.longest < 60  # each host has three seconds for an answer, and three for the result
    assert len(load.reported) >= len(troubles) * Load.HOSTS
    for number in range(3):
        found = nodes.nodes[number].execute(
            f"SELECT id FROM `{name_of(mine)}`.multi_interface WHERE netplan_success = 1"
        )
        assert load.reported <= {row["id"] for row in found}
