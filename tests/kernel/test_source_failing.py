"""A database that fails: what was configured stays and is kept right, nothing is removed, nothing hangs."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from pathlib import Path

import pymysql
import pytest

from tests.kernel.node import Node, mac_of, until
from tests.mariadb import missing as mariadb_missing
from tests.proxy import proxy

pytestmark = pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))

PASSWORD = "s3cret"
QUICK = {"MULTINIC_DATABASE_CONNECT_TIMEOUT": "1s", "MULTINIC_DATABASE_READ_TIMEOUT": "1s"}
LONG = {"MULTINIC_VERIFY_TIMEOUT": "60s"}
NOWHERE = "mysql://node@127.0.0.1:1/gone"


class Remote:
    """A node whose database is behind the network: `link` is the way there."""

    def __init__(self, node: Node, server, name: str) -> None:
        self.node, self.server, self.name = node, server, name
        self.ways = contextlib.ExitStack()

    def url(self, *hosts) -> str:
        """Return the URL of the database behind these proxies."""
        return f"mysql://node@{','.join(f'127.0.0.1:{host.port}' for host in hosts)}/{self.name}"

    def way(self, *arguments):
        """Return a new proxy to the server, in the node's namespace."""
        prefix = self.node.namespace.prefix
        return self.ways.enter_context(proxy(self.server.socket, *arguments, prefix=prefix))


@pytest.fixture
def remote(node, mariadb, database, monkeypatch):
    """A node that reaches a MariaDB through a proxy, and may do there what it must."""
    monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", PASSWORD)
    for key, value in QUICK.items():
        monkeypatch.setenv(key, value)
    made = Remote(node, mariadb, database)
    with made.ways:
        made.link = made.way()
        node.use(mariadb, made.url(made.link), database)
        mariadb.create_user("node", PASSWORD, [f"SELECT, UPDATE ON `{database}`.*"])
        yield made


@pytest.fixture
def three(remote):
    """The same, with three ports that are configured."""
    remote.node.provide(3)
    remote.node.reconcile()
    return remote


@contextlib.contextmanager
def unreachable(node):
    """During the block nothing listens where the database was."""
    url, node.url = node.url, NOWHERE
    try:
        yield
    finally:
        node.url = url


def nothing_happens(node, expect=75):
    """Whether a pass ends with this status and does nothing to any link."""
    before = node.links()
    with node.events() as events:
        said = node.reconcile(expect=expect)
    assert (events, node.links()) == ([], before)
    assert len(said.splitlines()) <= 2, "one sentence a pass, and a hint"
    assert PASSWORD not in said
    return True


# Away


def test_without_a_database_and_without_a_memory_nothing_is_changed(remote):
    node = remote.node
    node.provide(2)
    node.url = NOWHERE
    assert nothing_happens(node)
    node.url = remote.url(remote.link)
    node.reconcile()
    assert node.flags() == {mac_of(1): 1, mac_of(2): 1}


def test_drift_is_repaired_from_memory_and_the_status_says_try_again(three):
    node = three.node
    before = node.links()
    node.ip("link", "set", "multinic1", "down")
    node.ip("link", "set", "multinic1", "name", "byhand0")
    node.ip("address", "flush", "dev", "multinic2")
    with unreachable(node):
        said = node.reconcile(expect=75)
        assert node.links() == before
        assert "multinic1: repaired drift: " in said
        assert "nothing was changed" not in said
        assert nothing_happens(node)
        state = json.loads((node.root / "run/multinic/state.json").read_bytes())
        assert (state["from_memory"], state["exit"]) == (True, 75)


def test_a_database_that_stays_away_is_told_once_and_so_is_its_return(three):
    node = three.node
    log = ("--log-format", "json", "reconcile")
    with unreachable(node):
        first = node.multinic(*log, expect=75).stderr
        assert node.multinic(*log, expect=75).stderr == ""
        told = node.multinic("-v", "reconcile", expect=75).stderr
        assert "127.0.0.1:1" in told, "somebody who looks is told every time"
        assert "127.0.0.1:1" in node.multinic("doctor", expect=None).stdout
    told = json.loads(first)
    assert (told["level"], "127.0.0.1:1" in told["msg"], bool(told["hint"])) == ("error", True, True)
    assert node.reconcile() == "the database can be read again\n"
    assert node.reconcile() == ""


def test_a_known_link_that_is_plugged_in_while_the_database_is_away_is_configured(three):
    node = three.node
    before = node.link(2)
    node.unplug(2)
    node.reconcile()
    with unreachable(node):
        assert nothing_happens(node)
        node.namespace.plug("eth77", mac_of(2))
        node.reconcile(expect=75)
        assert node.link(2) == before
    node.reconcile()
    assert node.flags()[mac_of(2)] == 1


def test_nothing_is_removed_and_nothing_new_begun_while_the_database_is_away(three):
    node = three.node
    node.detach(1)
    node.attach(7, "10.0.0.17")
    node.namespace.plug("eth7", mac_of(7))
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(2))
    with unreachable(node):
        assert nothing_happens(node)
    node.reconcile()
    assert (node.link(1)[0], node.link(7)[0], node.link(2)[2]) == ("eth1", "multinic3", 1300)


def test_a_link_that_the_fuse_holds_back_is_kept_right_from_memory(three):
    """Held back is not given up: while nobody knows better, what was good stays good."""
    node = three.node
    node.sql("DELETE FROM multi_interface")
    node.reconcile(expect=5)
    before = node.links()
    node.ip("link", "set", "multinic1", "mtu", "1300")
    with unreachable(node):
        node.reconcile(expect=75)
    assert node.links() == before


def test_a_person_is_told_and_nothing_is_done_for_him_from_memory(three):
    node = three.node
    node.ip("link", "set", "multinic1", "mtu", "1300")
    with unreachable(node), node.events() as events:
        done = node.multinic("apply", "--yes", expect=75)
        node.multinic("plan", expect=75)
    assert events == []
    assert "127.0.0.1:1" in done.stderr


def test_a_wrong_password_is_an_operators_matter_and_the_host_is_kept_right_meanwhile(three, monkeypatch):
    node = three.node
    before = node.links()
    monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "wrong")
    node.ip("link", "set", "multinic1", "mtu", "1300")
    said = node.reconcile(expect=2)
    assert "Access denied" in said
    assert node.links() == before
    assert nothing_happens(node, expect=2)


def test_a_damaged_memory_and_no_database_change_nothing(three):
    node = three.node
    (node.root / "var/lib/multinic/record.json").write_text("{")
    node.ip("link", "set", "multinic1", "mtu", "1300")
    with unreachable(node):
        assert nothing_happens(node)


# Away in mid-pass


def in_the_middle(node, number):
    """Start a pass that lasts, and return when it has begun to configure the n-th port."""
    node.slow_down(number)
    process = node.start("reconcile", env=LONG)
    until(lambda: node.namespace.run("ip", "address", "show", "to", "fd00::5").stdout)
    return process


def go_on(node, process, number):
    """Let the pass end: the kernel asks no longer about the address. Return what it logged."""
    name = node.link(number)[0]
    node.speed_up(number)
    node.ip("-6", "address", "flush", "dev", name)
    node.ip("address", "add", "fd00::5/64", "dev", name, "nodad")
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    return said


def test_a_database_that_goes_away_for_good_while_links_are_changed_undoes_the_change(three):
    node = three.node
    before = node.links()
    process = in_the_middle(node, 2)
    three.link.end()
    said = go_on(node, process, 2)
    assert node.links() == before
    assert "the database could not be reached any more; everything was restored" in said
    assert process.returncode in (4, 75)


def test_a_database_that_is_gone_for_a_moment_while_links_are_changed_costs_nothing(three):
    """The connection of the pass is lost; the result goes through a new one."""
    node = three.node
    node.sql("UPDATE multi_interface SET netplan_success = 0")
    process = in_the_middle(node, 2)
    three.server.execute("KILL USER 'node'")
    said = go_on(node, process, 2)
    assert (process.returncode, "could not be written" in said) == (0, False)
    assert node.link(2) == ("multinic1", True, 1500, ("fd00::5/64",))
    assert set(node.flags().values()) == {1}


def nothing_but_flags(node, flags):
    """What the pass after one that could not write does besides writing these flags, and saying so."""
    with node.events() as events:
        assert node.reconcile() == "results can be written to the database again\n"
    assert node.flags() == {mac_of(number): flag for number, flag in flags.items()}
    return events


def test_the_second_host_of_the_url_is_asked_when_the_first_dies(three):
    node = three.node
    second = three.way()
    node.url = three.url(three.link, second)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    node.reconcile()
    three.link.end()
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []
    node.sql("UPDATE multi_interface SET mtu = 1310 WHERE macaddress = %s", mac_of(1))
    node.reconcile()
    assert node.link(1)[2] == 1310


def test_the_first_host_of_the_url_may_die_in_mid_pass(three):
    node = three.node
    node.url = three.url(three.link, three.way())
    node.sql("UPDATE multi_interface SET netplan_success = 0 WHERE macaddress = %s", mac_of(2))
    process = in_the_middle(node, 2)
    three.link.end()
    go_on(node, process, 2)
    assert node.link(2) == ("multinic1", True, 1500, ("fd00::5/64",))
    assert (process.returncode, set(node.flags().values())) == (0, {1})


# Hanging


@pytest.mark.parametrize("way", ["stall", "drip", "hang-up"])
@pytest.mark.parametrize("after", [0, 50, 200])
def test_a_connection_that_gets_nowhere_has_an_end(three, way, after):
    """`after` bytes: nothing at all; within the greeting; within the login; within the rows."""
    node = three.node
    good = node.url
    node.url = three.url(three.way(way, after))
    node.ip("link", "set", "multinic1", "mtu", "1300")
    said = node.reconcile(expect=75)
    assert node.link(2)[2] == 1402
    assert "Traceback" not in said
    assert nothing_happens(node)
    node.url = good
    node.reconcile()


@pytest.mark.parametrize("way", ["stall", "drip"])
def test_a_first_host_that_hangs_does_not_keep_us_from_the_second(three, way):
    node = three.node
    node.url = three.url(three.way(way, 20), three.link)
    node.sql("UPDATE multi_interface SET mtu = 1310 WHERE macaddress = %s", mac_of(1))
    node.reconcile()
    assert node.link(1)[2] == 1310


def test_a_frozen_server_is_given_up(three):
    node = three.node
    with three.server.frozen():
        assert nothing_happens(node)
    node.reconcile()


def test_a_server_that_freezes_in_mid_pass_is_given_up_and_told_later(three):
    node = three.node
    before = node.links()
    process = in_the_middle(node, 2)
    with three.server.frozen():
        said = go_on(node, process, 2)
    assert process.returncode in (4, 75)
    assert node.links() == before
    assert "the database could not be reached any more" in said
    node.speed_up(2)
    node.multinic("apply", "--yes")
    assert node.flags() == {mac_of(n): 1 for n in (1, 2, 3)}


def test_a_slow_server_is_waited_for(three):
    """Slow is not hanging: each answer comes within its limit."""
    node = three.node
    node.sql("UPDATE multi_interface SET mtu = 1310 WHERE macaddress = %s", mac_of(1))
    lock = three.server.connect(database=three.name)
    with lock.cursor() as cursor:
        cursor.execute("LOCK TABLES multi_interface WRITE")
        process = node.start("reconcile", env={"MULTINIC_DATABASE_READ_TIMEOUT": "30s"})
        until(lambda: waiting(three))
        cursor.execute("UNLOCK TABLES")
    process.communicate(timeout=60)
    lock.close()
    assert (process.returncode, node.link(1)[2]) == (0, 1310)


def waiting(remote):
    """Whether the server has our statement and does not answer it."""
    return remote.server.execute(
        "SELECT 1 FROM information_schema.processlist WHERE user = 'node' AND command = 'Query'"
    )


# Names

NAME_SERVERS = ("192.0.2.53", "192.0.2.54")
# The resolver would ask both of them five times and wait for half a minute each time.
RESOLVER = "".join(f"nameserver {address}\n" for address in NAME_SERVERS) + "options timeout:30 attempts:5\n"


@pytest.fixture
def nameless(three, tmp_path):
    """The same with a way to 192.0.2.0/24, where two name servers get questions and answer none."""
    namespace = three.node.namespace
    namespace.plug("eth9", up=True)
    namespace.run("ip", "address", "add", "192.0.2.1/24", "dev", "eth9")
    for address in NAME_SERVERS:
        silent(namespace, address)
    substitute(namespace, tmp_path, "resolv.conf", RESOLVER)
    substitute(namespace, tmp_path, "nsswitch.conf", "hosts: files dns\n")
    return three


def silent(namespace, address):
    """Let what is sent to this address vanish: nobody has the MAC address that it goes to."""
    neighbour = [address, "lladdr", "02:00:00:00:00:53", "dev", "eth9", "nud", "permanent"]
    namespace.run("ip", "neighbour", "replace", *neighbour)


def substitute(namespace, directory, name, text):
    """Put another file in the place of one in /etc, for what runs in the namespace."""
    (directory / name).write_text(text)
    namespace.run("mount", "--bind", directory / name, f"/etc/{name}")


def ended(process):
    """Return the status of a run and what it logged. One that hangs is killed."""
    try:
        _, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, said


def test_name_servers_that_never_answer_hold_no_pass(nameless):
    node = nameless.node
    node.url = f"mysql://node@db.example,other.example/{nameless.name}"
    node.ip("link", "set", "multinic1", "mtu", "1300")
    status, said = ended(node.start("reconcile"))
    assert status == 75
    for name in ("db.example", "other.example"):
        assert f"the name {name} could not be resolved within 2 s" in said
    assert "check the name servers" in said
    assert node.link(2)[2] == 1402


def test_a_host_whose_name_is_not_resolved_does_not_keep_us_from_the_second(nameless):
    node = nameless.node
    node.url = f"mysql://node@db.example,127.0.0.1:{nameless.link.port}/{nameless.name}"
    node.sql("UPDATE multi_interface SET mtu = 1310 WHERE macaddress = %s", mac_of(1))
    assert ended(node.start("reconcile"))[0] == 0
    assert node.link(1)[2] == 1310


def test_every_address_of_a_name_gets_its_share_of_the_limit(nameless, tmp_path):
    node = nameless.node
    addresses = ("192.0.2.7", "192.0.2.8", "192.0.2.129")
    for address in addresses[:2]:
        silent(node.namespace, address)
    substitute(node.namespace, tmp_path, "hosts", "".join(f"{one} db.example\n" for one in addresses))
    found = node.namespace.run("getent", "ahosts", "db.example").stdout.split()
    assert tuple(word for word in found if word.startswith("192"))[::3] == addresses, "in this order"
    cloud = node.namespace.cloud
    cloud.run("ip", "address", "add", f"{addresses[2]}/24", "dev", list(cloud.links())[-1])
    with proxy(nameless.server.socket, prefix=cloud.prefix, address=addresses[2]) as way:
        node.url = f"mysql://node@db.example:{way.port}/{nameless.name}"
        node.sql("UPDATE multi_interface SET mtu = 1310 WHERE macaddress = %s", mac_of(1))
        limits = {"MULTINIC_DATABASE_CONNECT_TIMEOUT": "4s", "MULTINIC_DATABASE_READ_TIMEOUT": "2s"}
        assert ended(node.start("reconcile", env=limits))[0] == 0
    assert node.link(1)[2] == 1310


@pytest.mark.parametrize("host", ["db.example", "127.0.0.1"])
def test_a_signal_ends_a_run_that_waits_for_a_name_server_or_the_database(nameless, host):
    node = nameless.node
    port = 53 if host == "db.example" else nameless.way("stall").port
    node.url = f"mysql://node@{host}:{port}/{nameless.name}"
    patient = dict.fromkeys(QUICK, "600s")
    process = node.start("reconcile", env=patient)
    until(lambda: talks_to(process, port))
    process.terminate()
    assert ended(process) == (128 + signal.SIGTERM, "")


def talks_to(process, port):
    """Whether a socket of the process's namespace is connected to this port."""
    with contextlib.suppress(FileNotFoundError):  # it has not entered the namespace yet
        tables = [Path(f"/proc/{process.pid}/net/{kind}").read_text() for kind in ("udp", "tcp")]
        lines = [line.split() for table in tables for line in table.splitlines()[1:]]
        return any(line[2].endswith(f":{port:04X}") and line[3] == "01" for line in lines)


# Refusing


@pytest.fixture
def read_only(three):
    three.server.execute("SET GLOBAL read_only = ON")
    yield three
    three.server.execute("SET GLOBAL read_only = OFF")


def test_a_read_only_server_keeps_no_host_from_converging(read_only):
    node = read_only.node
    node.sql("UPDATE multi_interface SET mtu = 1310, netplan_success = 0 WHERE id = 1")
    said = node.reconcile(expect=75)
    assert node.link(1)[2] == 1310
    assert "the result could not be written to the database" in said
    assert "read-only" in said
    with node.events() as events:
        assert node.reconcile(expect=75) == "", "said once"
    assert events == []
    assert "could not write its result" in node.multinic("doctor", expect=None).stdout
    assert json.loads((node.root / "run/multinic/state.json").read_text())["exit"] == 75
    read_only.server.execute("SET GLOBAL read_only = OFF")
    assert not nothing_but_flags(node, {1: 1, 2: 1, 3: 1})


def test_without_the_right_to_write_the_host_converges_and_tells_it(three):
    node = three.node
    three.server.create_user("node", PASSWORD, [f"SELECT ON `{three.name}`.*"])
    node.sql("UPDATE multi_interface SET mtu = 1310, netplan_success = 0 WHERE id = 1")
    said = node.reconcile(expect=2)
    assert node.link(1)[2] == 1310
    assert ("denied" in said, "grant the user" in said) == (True, True)
    assert json.loads((node.root / "run/multinic/state.json").read_text())["exit"] == 2
    (line,) = node.reconcile(expect=2).splitlines()
    assert line.startswith("error: as before: the last pass could not write its result to the database: ")
    three.server.create_user("node", PASSWORD, [f"SELECT, UPDATE ON `{three.name}`.*"])
    assert not nothing_but_flags(node, {1: 1, 2: 1, 3: 1})


@contextlib.contextmanager
def no_connection_left(server):
    """During the block the server has as many connections as it may have."""
    (before,) = server.execute("SELECT @@max_connections AS many")
    server.execute("SET GLOBAL max_connections = 10")
    with contextlib.ExitStack() as others:
        with contextlib.suppress(pymysql.err.OperationalError):
            while True:
                others.enter_context(server.connect(user="node", password=PASSWORD))
        yield
        server.execute(f"SET GLOBAL max_connections = {before['many']}")


def test_a_server_with_too_many_connections_is_waited_for(three):
    node = three.node
    with no_connection_left(three.server):
        assert nothing_happens(node)
    with node.events() as events:
        assert node.reconcile() == "the database can be read again\n"
    assert events == []


def test_a_server_that_runs_out_of_connections_in_mid_pass_is_no_reason_to_undo_anything(three):
    """It answers: the network is as it was. On the day when a whole fleet changes, this is what happens."""
    node = three.node
    process = in_the_middle(node, 2)
    with no_connection_left(three.server):
        go_on(node, process, 2)
    assert process.returncode == 0
    assert node.link(2) == ("multinic1", True, 1500, ("fd00::5/64",))
