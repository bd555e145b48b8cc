"""`multinic apply`: with a question, from a saved plan; two runs at once; users without the right."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.kernel.node import Node, mac_of, until


def on_a_terminal(node, answer, *arguments, command="apply"):
    """Run a command with a terminal as its input, type an answer, and return (status, output)."""
    ours, theirs = pty.openpty()
    try:
        process = node.namespace.popen(
            *node.command(command, *arguments),
            env=node.environment(),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.write(ours, answer.encode())
        said, _ = process.communicate(timeout=30)
        return process.returncode, said
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "only return", "end of input"])
def test_on_a_terminal_it_asks_and_everything_but_yes_changes_nothing(node, answer):
    node.provide(2)
    before = node.links()
    with node.events() as events:
        status, said = on_a_terminal(node, answer)
    assert (events, node.links()) == ([], before)
    assert set(node.flags().values()) == {0}
    assert status != 0
    assert "eth1 → multinic0" in said
    assert "Traceback" not in said
    assert [name for name in node.files() if "lock" not in name] == []


def test_on_a_terminal_yes_carries_it_out(node):
    node.provide(2)
    status, said = on_a_terminal(node, "y\n")
    assert status == 0, said
    assert node.link(2)[0] == "multinic1"


def test_on_a_terminal_it_does_not_ask_when_nothing_is_to_be_done_or_yes_was_given(node):
    node.provide(2)
    status, said = on_a_terminal(node, "", "--yes")
    assert (status, "Carry this out" in said) == (0, False)
    status, said = on_a_terminal(node, "")
    assert (status, "nothing to do" in said) == (0, True)


def test_without_a_terminal_it_needs_a_yes_and_carries_the_plan_out(node):
    node.provide(2)
    assert (
        "there is no terminal to ask on; nothing was changed\n  add --yes"
        in node.multinic("apply", expect=2).stderr
    )
    assert node.flags() == {mac_of(1): 0, mac_of(2): 0}
    assert "2 to change" in node.multinic("apply", "--yes").stdout
    assert node.flags() == {mac_of(1): 1, mac_of(2): 1}


def test_a_rollback_is_shown_first_and_on_a_terminal_asked_for(node):
    node.provide(2)
    node.reconcile()
    node.sql("UPDATE multi_interface SET address = '10.0.0.99', mtu = 1300 WHERE id = 1")
    node.reconcile()
    with node.events() as events:
        said = node.multinic("rollback", "--plan").stdout
        (shown,) = node.document("rollback", "--plan")["interfaces"]
        status, asked = on_a_terminal(node, "n\n", command="rollback")
    assert events == []
    assert said.startswith("node node1, backend netlink (it made the change)\n")
    assert "mtu 1300 → 1401" in said
    assert {(change["field"], change["from"], change["to"]) for change in shown["changes"]} == {
        ("mtu", "1300", "1401"),
        ("address", "10.0.0.99/24", None),
        ("address", None, "10.0.0.11/24"),
    }
    assert (status, "mtu 1300 → 1401" in asked, "nothing was changed" in asked) == (5, True, True)
    assert on_a_terminal(node, "y\n", command="rollback")[0] == 0
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert node.multinic("rollback", "--plan").stdout == "there is no change to undo\n"


def test_one_that_is_interrupted_says_what_it_restored(node):
    node.provide(2)
    node.sql("UPDATE multi_interface SET address = 'fd00::5/64', mtu = 1500 WHERE id = 1")
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth1.dad_transmits=60")
    process = node.start("apply", "--yes")
    until(lambda: node.namespace.run("ip", "address", "show", "to", "fd00::5").stdout)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "warning: the change was broken off; restored as before: multinic0, multinic1\n" in said
    assert [node.link(number)[0] for number in (1, 2)] == ["eth1", "eth2"]


def test_apply_prints_one_document_where_json_is_asked_for(node):
    node.provide(1)
    assert node.document("apply", "--yes")["interfaces"][0]["state"] == "converged"


def test_a_saved_plan_is_carried_out(node, tmp_path):
    node.provide(2)
    saved = tmp_path / "plan.json"
    node.multinic("plan", "--out", saved)
    assert len(json.loads(saved.read_text())["interfaces"]) == 2
    node.multinic("apply", "--yes", saved)
    assert node.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(
            lambda node: node.sql("UPDATE multi_interface SET mtu = 1300 WHERE id = 2"), id="the database"
        ),
        pytest.param(lambda node: node.ip("link", "set", "eth2", "mtu", "1444"), id="a link"),
        pytest.param(lambda node: node.detach(1), id="a row less"),
        pytest.param(lambda node: node.attach(3, "10.0.0.13"), id="a row more"),
        pytest.param(lambda node: node.unplug(2), id="unplugged"),
    ],
)
def test_a_stale_plan_is_refused_and_nothing_is_changed(node, tmp_path, meanwhile):
    node.provide(2)
    saved = tmp_path / "plan.json"
    node.multinic("plan", "--out", saved)
    meanwhile(node)
    before = node.links()
    with node.events() as events:
        done = node.multinic("apply", "--yes", saved, expect=5)
    assert (events, node.links()) == ([], before)
    assert "stale" in done.stderr
    assert set(node.flags().values()) <= {0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"version": 99}',
        '{"version": 1, "interfaces": {}}',
        "\xff",
        '{"version": 1}',
    ],
)
def test_what_is_not_a_plan_is_refused(node, tmp_path, text):
    node.provide(1)
    saved = tmp_path / "plan.json"
    saved.write_bytes(text.encode("latin-1"))
    with node.events() as events:
        done = node.multinic("apply", "--yes", saved, expect=2)
    assert events == []
    assert "plan" in done.stderr


def test_a_plan_of_another_node_is_refused(node, tmp_path):
    node.provide(1)
    saved = tmp_path / "plan.json"
    document = node.document("plan")
    for field, value in (("node", "node\x1b[7m2"), ("backend", "netplan")):
        saved.write_text(json.dumps(document | {field: value}))
        done = node.multinic("apply", "--yes", saved, expect=5)
        assert field in done.stderr
        assert "\x1b" not in done.stderr
    assert node.link(1)[0] == "eth1"


def test_two_passes_at_once_the_second_ends_and_names_the_first(node):
    node.provide(1)
    node.slow_down(1)
    first = node.start("reconcile", env={"MULTINIC_VERIFY_TIMEOUT": "60s"})
    until(lambda: node.link(1)[0] == "multinic0")
    done = node.multinic("reconcile", expect=75)
    assert "another run is busy" in done.stderr
    assert "multinic" in done.stderr
    node.multinic("apply", "--yes", expect=75)
    node.multinic("rollback", expect=75)
    node.multinic("plan", expect=0)
    node.multinic("status", expect=0)
    assert first.poll() is None
    first.kill()
    first.wait()


def test_a_run_in_another_process_namespace_is_kept_out_too(node):
    """As from a container that has the host's /run: the holder cannot be seen, and is there."""
    node.provide(1)
    node.slow_down(1)
    first = node.start("reconcile", env={"MULTINIC_VERIFY_TIMEOUT": "60s"})
    until(lambda: node.link(1)[0] == "multinic0")
    apart = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--")
    done = node.namespace.run(*apart, *node.command("reconcile"), check=False, env=node.environment())
    first.kill()
    first.wait()
    assert done.returncode == 75
    assert "another run is busy on this host: a process that cannot be seen from here" in done.stderr


def test_a_lock_file_left_by_a_killed_run_locks_nobody_out(node):
    node.provide(1)
    lock = node.root / "run/multinic/lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("12345\n")
    node.reconcile()


def test_a_symlink_in_place_of_the_lock_is_not_followed(node, tmp_path):
    lock = node.root / "run/multinic/lock"
    lock.parent.mkdir(parents=True)
    lock.symlink_to(tmp_path / "elsewhere")
    assert "lock" in node.reconcile(expect=1)
    assert not (tmp_path / "elsewhere").exists()


def test_without_the_right_to_change_links_it_says_so_and_nothing_is_changed(node):
    node.provide(2)
    before = node.links()
    with node.events() as events:
        done = node.namespace.run(
            *("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"),
            *node.command("reconcile"),
            check=False,
            env=node.environment(),
        )
    assert (events, node.links()) == ([], before)
    assert done.returncode in (1, 4)
    assert "run as root" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(node.flags().values()) == {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_another_user_it_says_so_and_nothing_is_changed(namespace):
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        node = Node(namespace, Path(directory))
        (node.root / "run").mkdir()
        node.provide(2)
        before = node.links()
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
        if namespace.run(*nobody, sys.executable, "-c", "import click", check=False).returncode:
            pytest.skip("nobody may not read this Python")
        for command, status in (
            ("reconcile", 1),
            ("apply --yes", 1),
            ("rollback", 1),
            ("plan", 0),
            ("status", 0),
        ):
            done = namespace.run(
                *nobody, *node.command(*command.split()), check=False, env=node.environment()
            )
            assert done.returncode == status, done.stderr
            assert "Traceback" not in done.stderr
            assert ("run as root" in done.stderr) is (status == 1)
        assert node.links() == before
        node.connection.close()


QUESTION = """\
import os, pty, subprocess, sys, time
before, after = int(sys.argv[1]), sys.argv[2 : 2 + int(sys.argv[1])]
command = sys.argv[2 + before :]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
said = b""
while b"[y/N]" not in said:
    said += os.read(terminal, 65536)
meanwhile = subprocess.run(after)
os.write(terminal, b"y\\n")
try:
    while found := os.read(terminal, 65536):
        said += found
except OSError:
    pass
print(said.decode(errors="replace"))
print("meanwhile", meanwhile.returncode, "status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("command", ["apply", "purge"])
def test_while_a_person_thinks_passes_go_on_and_a_plan_that_is_old_by_then_is_refused(node, command):
    node.provide(2)
    node.reconcile()
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    meanwhile = node.command("reconcile")
    words = [str(len(meanwhile)), *meanwhile, *node.command(command)]
    done = node.namespace.run(sys.executable, "-c", QUESTION, *words, env=node.environment())
    assert "meanwhile 0 status 5" in done.stdout, done.stdout
    assert ("it was not carried out" in done.stdout) == (command == "apply")
    assert ("nothing was removed" in done.stdout) == (command == "purge")
    assert node.link(1)[:3] == ("multinic0", True, 1300)


def test_a_plan_that_is_still_the_same_after_the_question_is_carried_out(node):
    node.provide(1)
    done = node.namespace.run(
        sys.executable, "-c", QUESTION, "1", "true", *node.command("apply"), env=node.environment()
    )
    assert "meanwhile 0 status 0" in done.stdout, done.stdout
    assert node.link(1)[0] == "multinic0"
    done = node.namespace.run(
        sys.executable, "-c", QUESTION, "1", "true", *node.command("purge"), env=node.environment()
    )
    assert "meanwhile 0 status 0" in done.stdout, done.stdout
    assert node.link(1)[0] == "eth1"
