"""`multinic agent`: a real one in a namespace, with a real database, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.kernel.agent import CLIENT, RARELY, agent_on
from tests.kernel.node import mac_of, until

CONFIGURED = {"status": "healthy", "database_connected": True, "failed_configs": 0, "deleted_interfaces": 0}


@pytest.fixture
def in_mariadb(node, mariadb, database):
    """The node, with its rows in MariaDB, which it reaches by a socket of its own."""
    mariadb.create_user("node", "secret", ["SELECT, UPDATE ON *.*"])
    node.socket = node.directory / "database"
    node.socket.symlink_to(mariadb.socket)
    node.use(mariadb, f"mysql://node@localhost/{database}?unix_socket={node.socket}", database)
    node.password = node.directory / "password"
    node.password.write_text("secret\n")
    node.password.chmod(0o600)
    node.settings.write_text(f'database.password_file = "{node.password}"\n')
    return node


def test_it_configures_tells_the_truth_and_ends_with_nothing_left(in_mariadb):
    node = in_mariadb
    node.provide(2)
    node.attach(3, "not an address", 1400)
    with agent_on(node) as agent:
        assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
        status, document = agent.ask("/")
        assert status == 200
        assert document.items() >= (CONFIGURED | {"status": "degraded", "processed_vms": 2}).items()
        states = sorted((item["name"], item["state"]) for item in document["interfaces"])
        assert states == [("", "invalid"), ("multinic0", "converged"), ("multinic1", "converged")]
        node.detach(3)
        until(lambda: agent.document()["status"] == "healthy")

        statuses = [agent.ask(path)[0] for path in ("/livez", "/readyz", "/metrics", "/x")]
        assert statuses == [200, 200, 200, 404]
        assert agent.ask("/livez", "HEAD") == (200, "")
        assert agent.ask("/", "POST")[0] == 405

        assert "an agent runs: process" in node.multinic("status").stdout
        told = node.document("status")["agent"]
        assert told["next_pass_in"] <= 1
        assert time.time() - 60 < told["since"] <= time.time()
        assert agent.end() == 0
    assert node.document("status")["agent"] is None
    assert agent.log.splitlines()[-1] == "the agent ends"


def sample(agent, name):
    """Return the value of a sample of /metrics."""
    lines = agent.ask("/metrics")[1].splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def test_its_metrics_count_idle_passes_in_memory_and_full_ones_over_a_restart(in_mariadb):
    node = in_mariadb
    node.provide(2)
    often = {"MULTINIC_AGENT_POLL_INTERVAL": "50ms"}
    idle, full = (f'multinic_passes_total{{kind="{kind}",outcome="ok"}}' for kind in ("idle", "full"))
    with agent_on(node, often) as agent:
        until(lambda: sample(agent, idle) > 3)
        written = node.files()
        assert sample(agent, 'multinic_changes_total{kind="create"}') == 2
        agent.pass_more()
        assert node.files() == written
        before, counted = sample(agent, full), sample(agent, idle)
        node.ip("link", "set", "multinic1", "mtu", "1300")
        until(lambda: sample(agent, 'multinic_drift_total{field="mtu"}') == 1)
        until(lambda: sample(agent, idle) > counted)
        assert sample(agent, full) > before
        assert agent.end() == 0
    with agent_on(node, often) as agent:
        until(lambda: sample(agent, idle) >= 1)
        assert sample(agent, 'multinic_drift_total{field="mtu"}') == 1


def test_an_idle_pass_is_one_statement_and_writes_nothing(in_mariadb, mariadb):
    node = in_mariadb
    node.provide(3)
    with agent_on(node, {"MULTINIC_AGENT_POLL_INTERVAL": "50ms"}) as agent:
        until(lambda: agent.document()["last_pass"]["result"] == "converged" and agent.passes() > 3)
        before = node.files()
        first = agent.passes()
        with mariadb.statements("node") as statements:
            agent.pass_more()
            agent.pass_more()  # the statement of the first of these may have come before
        last = agent.passes()
        assert 2 <= len(statements) <= last - first
        assert {text.split()[0] for text in statements} == {"SELECT"}
        assert node.files() == before
        assert Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text() == ""


def test_a_nic_is_configured_when_it_comes_and_what_is_not_ours_starts_no_pass(node):
    node.provide(1)
    node.attach(2, "10.0.0.12", 1402)
    with agent_on(node, RARELY) as agent:
        until(lambda: agent.passes() >= 2)
        before = agent.at_rest()
        for number in range(5):
            node.namespace.plug(f"pod{number}", up=True)
            node.namespace.unplug(f"pod{number}")
        assert agent.passes() == before
        node.namespace.plug("eth2", mac_of(2))
        until(lambda: node.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",)))
        seen = agent.at_rest()
        # Its own changes are events, too: they end in passes that find nothing to do.
        assert before < seen <= before + 5
        node.ip("link", "set", "multinic1", "mtu", "1300")
        until(lambda: node.link(2)[2] == 1402)
        node.unplug(2)
        until(lambda: agent.passes() > seen)
        assert agent.document()["status"] == "healthy"


def test_it_starts_without_a_database_and_goes_on_when_there_is_one(in_mariadb):
    node = in_mariadb
    node.provide(1)
    server = node.socket.readlink()
    node.socket.unlink()
    with agent_on(node) as agent:
        assert [agent.ask(path)[0] for path in ("/", "/livez", "/readyz")] == [503, 200, 200]
        document = agent.document()
        assert (document["status"], document["database_connected"]) == ("unhealthy", False)
        assert document["last_pass"]["result"] == "database-unreachable"
        assert str(node.socket) not in json.dumps(document)
        node.socket.symlink_to(server)
        until(lambda: agent.document()["status"] == "healthy")
        assert node.link(1)[0] == "multinic0"
    assert agent.log.count("the pass was broken off (database-unreachable)") == 1


def test_a_connection_that_the_server_ended_costs_no_pass(in_mariadb, mariadb):
    node = in_mariadb
    node.provide(1)
    with agent_on(node) as agent:
        agent.pass_more()
        for row in mariadb.execute("SELECT id FROM information_schema.processlist WHERE user = 'node'"):
            mariadb.execute(f"KILL CONNECTION {row['id']}")
        agent.pass_more()
        assert agent.document()["passes_broken_off"] == 0
    assert "broken off" not in agent.log


def test_a_server_without_autocommit_is_not_read_as_it_was_in_the_first_pass(in_mariadb, mariadb):
    node = in_mariadb
    mariadb.execute("SET GLOBAL autocommit = 0")
    try:
        node.provide(1)
        with agent_on(node) as agent:
            agent.pass_more()
            node.sql("UPDATE multi_interface SET mtu = 1300")
            node.connection.commit()
            until(lambda: node.link(1)[2] == 1300)
            until(lambda: node.flags() == {mac_of(1): 1})
    finally:
        mariadb.execute("SET GLOBAL autocommit = 1")


def test_sigterm_in_the_middle_of_a_change_undoes_it(node):
    node.provide(1)
    with agent_on(node) as agent:
        agent.pass_more()
        before = node.link(1)
        node.slow_down(1)
        until((node.root / "var/lib/multinic/checkpoint.json").exists)
        until(lambda: node.link(1) != before)
        assert agent.ask("/livez")[0] == 200
        assert agent.end() == 0
        node.speed_up(1)
        assert node.link(1) == before
        assert not (node.root / "var/lib/multinic/checkpoint.json").exists()


@pytest.mark.parametrize("number", range(0, 10, 2))
def test_sigterm_at_any_time_leaves_the_old_or_the_new_state(node, number):
    node.provide(1)
    node.reconcile()
    old = node.link(1)
    node.sql("UPDATE multi_interface SET mtu = 1300, address = '10.0.0.99'")
    with agent_on(node, ready=False) as agent:
        until(lambda: (node.root / "run/multinic/agent.json").exists() or agent.process.poll() is not None)
        time.sleep(number * 0.1)  # while it imports, reads, changes, verifies, waits
        assert agent.end() == 0
    new = ("multinic0", True, 1300, ("10.0.0.99/24",))
    assert node.link(1) in (old, new)
    assert not (node.root / "var/lib/multinic/checkpoint.json").exists()
    assert not (node.root / "run/multinic/agent.json").exists()


def test_sighup_reads_settings_and_secrets_again(in_mariadb, mariadb):
    node = in_mariadb
    node.provide(1)
    with agent_on(node, RARELY) as agent:
        passes = agent.at_rest()
        good = node.settings.read_text()
        node.settings.write_text(f"{good}\npoll = 1\n")
        agent.send(signal.SIGHUP)
        until(lambda: "the settings were not read again" in agent.log)
        until(lambda: agent.passes() > passes)
        assert agent.document()["status"] == "healthy"

        mariadb.create_user("node", "rotated", ["SELECT, UPDATE ON *.*"])
        node.settings.write_text(good)
        agent.send(signal.SIGHUP)
        until(lambda: agent.document()["last_pass"]["result"] == "database-refused")
        node.password.write_text("rotated\n")
        agent.send(signal.SIGHUP)
        until(lambda: agent.document()["status"] == "healthy")
        assert agent.end() == 0
    assert "secret" not in agent.log
    assert "rotated" not in agent.log


def probe(node):
    """Return status and words of the readiness probe that the image of a container has."""
    script = Path(__file__).parents[2] / "packaging/container/multinic-ready"
    environment = {"PATH": os.defpath, "MULTINIC_ROOT": str(node.root)}
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_that_a_person_is_needed_is_told_and_a_corrected_secret_needs_no_signal(in_mariadb, mariadb):
    node = in_mariadb
    node.provide(1)
    with agent_on(node, {"MULTINIC_AGENT_POLL_INTERVAL": "500ms"}) as agent:
        until(lambda: probe(node) == (0, ""))
        mariadb.create_user("node", "rotated", ["SELECT, UPDATE ON *.*"])
        mariadb.execute("KILL USER node")
        until(lambda: probe(node) != (0, ""))
        assert probe(node) == (1, "multinic: database-refused; kubectl logs says more\n")
        node.password.write_text("rotated\n")
        until(lambda: probe(node) == (0, ""))
        assert agent.log.count("the settings were read again") == 1
        assert agent.end() == 0
    assert probe(node) == (1, "multinic: no agent runs\n")


def test_who_starts_second_says_so(node):
    node.provide(1)
    with agent_on(node, RARELY) as agent:
        done = node.multinic("agent", expect=75, env={"MULTINIC_AGENT_LISTEN": "127.0.0.1:8081"})
        assert f"an agent runs on this host already: process {agent.process.pid}" in done.stderr
        node.sql("UPDATE multi_interface SET mtu = 1300")
        # A person may, at any time; but not in the middle of the agent's own pass.
        until(lambda: node.multinic("apply", "--yes", expect=None).returncode == 0)
        assert node.link(1)[2] == 1300
        until(lambda: agent.document()["interfaces"][0]["mtu"] == 1300)
        done = node.multinic("reconcile", expect=75, env={"INVOCATION_ID": "0" * 32})
        assert "systemctl disable --now multinic.timer" in done.stderr


TAKE = """\
import socket
listener = socket.create_server(("127.0.0.1", 8080))
print("taken", flush=True)
listener.accept()
"""


def test_a_port_that_is_taken_ends_it_at_the_start(node):
    with node.namespace.popen(*CLIENT, TAKE, stdout=-1) as other:
        try:
            other.stdout.readline()
            done = node.multinic("agent", expect=2)
        finally:
            other.kill()
    assert "cannot listen on 127.0.0.1:8080 (agent.listen): Address already in use" in done.stderr
    assert not (node.root / "run/multinic/agent.json").exists()


def test_a_pass_that_cannot_begin_is_told_and_tried_again(node):
    node.provide(1)
    lock = node.root / "run/multinic/lock"
    lock.mkdir(parents=True)
    with agent_on(node) as agent:
        document = agent.document()
        assert (document["status"], document["last_pass"]["result"]) == ("unhealthy", "host-error")
        lock.rmdir()
        until(lambda: agent.document()["status"] == "healthy")
    assert "the pass was broken off (host-error)" in agent.log


HOLD = """\
import fcntl, sys
lock = open(sys.argv[1])
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


def test_it_waits_for_another_run_and_not_for_long(node):
    node.provide(1)
    with agent_on(node, RARELY) as agent:
        agent.at_rest()
        lock = str(node.root / "run/multinic/lock")
        with node.namespace.popen(*CLIENT, HOLD, lock, stdin=-1, stdout=-1) as other:
            other.stdout.readline()
            passes = agent.passes()
            node.sql("UPDATE multi_interface SET mtu = 1300")
            node.ip("link", "set", "multinic0", "mtu", "1310")
            until(lambda: agent.passes() >= passes + 2)
            assert node.link(1)[2] == 1310
            assert agent.document()["status"] == "healthy"
            other.communicate("end\n")
        until(lambda: node.link(1)[2] == 1300)
        assert agent.document()["passes_broken_off"] == 0


class Systemd:
    """What a service tells systemd."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(30)

    def told(self, word):
        """Wait for a message with this word, and return it."""
        while word not in (message := self.socket.recv(4096).decode()):
            pass
        return message


def test_systemd_is_told(node):
    node.provide(1)
    systemd = Systemd(str(node.directory / "notify"))
    env = {"NOTIFY_SOCKET": str(node.directory / "notify"), "WATCHDOG_USEC": "400000"}
    with agent_on(node, RARELY | env, ready=False) as agent:
        assert "READY=1" in systemd.told("READY=1")
        assert "WATCHDOG_USEC=600000000" in systemd.told("WATCHDOG_USEC=6000")  # while a change is applied
        systemd.told("last pass: converged")
        systemd.told("WATCHDOG_USEC=")
        agent.send(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in systemd.told("RELOADING=1")
        systemd.told("READY=1")
        agent.end()
        systemd.told("STOPPING=1")


CROWD = """\
import http.client, json, random, socket, sys, time
from contextlib import suppress
crowd, address = [], ("127.0.0.1", 8080)
for number in range(1000):
    with suppress(OSError):
        client = socket.create_connection(address, timeout=10)
        client.setblocking(False)
        crowd.append(client)
        # Silent ones, slow ones, some with nonsense, some that ask for much and take nothing.
        if said := (b"", b"GET / HT", random.randbytes(500), b"GET / HTTP/1.1\\r\\n\\r\\n" * 50)[number % 4]:
            client.send(said)
answers, slowest = [], 0.0
for _ in range(20):
    begun = time.monotonic()
    client = http.client.HTTPConnection(*address, timeout=30)
    client.request("GET", "/livez")
    answers.append(client.getresponse().status)
    slowest = max(slowest, time.monotonic() - begun)
print(json.dumps({"clients": len(crowd), "answers": answers, "slowest": slowest}))
"""


def test_a_thousand_clients_keep_nobody_from_an_answer(node):
    node.provide(2)
    with agent_on(node, {"MULTINIC_AGENT_POLL_INTERVAL": "100ms"}) as agent:
        agent.pass_more()
        passes = agent.passes()
        begun = time.monotonic()
        found = json.loads(node.namespace.run(*CLIENT, CROWD).stdout)
        crowded = agent.document()
        rate = (crowded["passes"] - passes) / (time.monotonic() - begun)
        slowest = f"slowest /livez {1000 * found['slowest']:.1f} ms"
        print(f"{found['clients']} clients; {slowest}; {rate:.1f} passes a second")
        assert found["answers"] == [200] * 20
        assert crowded["status"] == "healthy"
        agent.pass_more()
        until(lambda: agent.descriptors() < 30)


def test_many_passes_cost_no_memory_and_no_descriptors(in_mariadb):
    node = in_mariadb
    node.provide(2)
    with agent_on(node, {"MULTINIC_AGENT_POLL_INTERVAL": "1ms"}) as agent:
        until(lambda: agent.passes() > 150)
        memory, descriptors = agent.memory(), agent.descriptors()
        until(lambda: agent.passes() > 700)
        assert agent.descriptors() <= descriptors + 3
        assert agent.memory() < memory + 2048  # KiB; the heap grows a little until about the 2000th pass


def test_a_full_run_breaks_passes_off_and_ends_nothing(node):
    node.provide(1)
    run = str(node.root / "run/multinic")
    node.namespace.run("install", "-d", "-m", "755", run)
    node.namespace.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", run)
    with agent_on(node) as agent:
        node.namespace.run("sh", "-c", f"head -c 1M /dev/zero > {run}/full", check=False)
        node.sql("UPDATE multi_interface SET mtu = 1300")
        until(lambda: agent.document()["last_pass"]["result"] == "host-error")
        assert [agent.ask(path)[0] for path in ("/", "/livez", "/readyz")] == [503, 200, 200]
        node.namespace.run("rm", f"{run}/full")
        until(lambda: agent.document()["status"] == "healthy")
        assert node.link(1)[2] == 1300


def test_a_database_that_hangs_hangs_nobody(in_mariadb, mariadb):
    node = in_mariadb
    node.provide(1)
    limits = {"MULTINIC_DATABASE_CONNECT_TIMEOUT": "200ms", "MULTINIC_DATABASE_READ_TIMEOUT": "200ms"}
    with agent_on(node, limits) as agent:
        with mariadb.frozen():
            until(lambda: agent.document()["last_pass"]["result"] == "database-unreachable")
            assert agent.ask("/livez")[0] == 200
            assert not agent.document()["database_connected"]
        until(lambda: agent.document()["status"] == "healthy")
    slow = {"MULTINIC_DATABASE_READ_TIMEOUT": "60s"}
    with agent_on(node, slow) as agent, mariadb.frozen():
        passes = agent.passes()
        until(lambda: agent.document()["next_pass_in"] == 0 and agent.passes() <= passes + 1)
        assert agent.end() == 0  # in the middle of a wait
