"""`multinic reconcile` as a timer starts it, without click: what becomes of it is the same as with click."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.hosts import eventually
from tests.kernel.node import mac_of

TIMER = (sys.executable, "-m", "multinic", "reconcile")
WITH_CLICK = (sys.executable, "-m", "multinic", "--output", "table", "reconcile")

# Writes down what was imported when the program ends.
WATCHER = """\
import os, sys
leave = os._exit
def end(status):
    with open(os.environ["SEEN"], "w") as file:
        file.write(" ".join({name.partition(".")[0] for name in sys.modules}))
    leave(status)
os._exit = end
"""


@pytest.fixture
def pass_of(node):
    """Return a function that runs a pass with one command line or the other."""

    def run(command, *, start=False, **environment):
        said = {
            "MULTINIC_DATABASE_URL": node.url,
            "MULTINIC_NODE": "node1",
            "MULTINIC_ROOT": str(node.root),
            "MULTINIC_BACKEND": node.backend,
        }
        env = node.environment(said | environment)
        if start:
            return node.namespace.popen(*command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        done = node.namespace.run(*command, env=env, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


NOT_IDLE = {"click", "dataclasses", "inspect"}
"""What each takes a tenth of an idle pass, and other passes need."""


def test_an_idle_pass_imports_little_and_a_change_does_without_click(node, pass_of, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WATCHER)
    path = f"{tmp_path}{os.pathsep}{node.environment()['PYTHONPATH']}"
    watched = {"PYTHONPATH": path, "SEEN": str(tmp_path / "seen"), "COVERAGE_PROCESS_CONFIG": ""}
    node.provide(1)
    for _ in range(2):
        assert pass_of(TIMER, **watched)[0] == 0
        seen = set((tmp_path / "seen").read_text().split())
        assert "click" not in seen
    assert seen & NOT_IDLE == set()
    assert pass_of(WITH_CLICK, **watched)[0] == 0
    assert "click" in (tmp_path / "seen").read_text().split()
    assert node.flags() == {mac_of(1): 1}
    assert node.link(1)[3] == ("10.0.0.11/24",)


def nothing(node):
    return {}


def wrong_setting(node):
    return {"MULTINIC_MAX_INTERFACES": "many"}


def no_such_file(node):
    return {"MULTINIC_CONFIG": "/nonexistent.toml"}


def no_database(node):
    return {"MULTINIC_DATABASE_URL": "mysql://root@127.0.0.1:1/none"}


def wrong_row(node):
    node.attach(2, address="10.0.0.300")
    return {}


def as_json(node):
    return {"MULTINIC_LOG_FORMAT": "json", "MULTINIC_BACKEND": "wicket"}


def other_users_root(node):
    os.chown(node.root, 12345, -1)
    return {}


def broken_record(node):
    (node.root / "var/lib/multinic").mkdir(parents=True, exist_ok=True)
    (node.root / "var/lib/multinic/record.json").mkdir()
    return {}


CASES = (
    nothing,
    wrong_setting,
    no_such_file,
    no_database,
    wrong_row,
    as_json,
    other_users_root,
    broken_record,
)


@pytest.mark.parametrize("what", CASES)
def test_it_ends_as_with_click_and_says_the_same(node, pass_of, what):
    node.provide(1)
    environment = what(node)
    pass_of(WITH_CLICK, **environment)  # so that both find the same
    expected = pass_of(WITH_CLICK, **environment)
    found = pass_of(TIMER, **environment)
    assert _timeless(found) == _timeless(expected)
    assert "Traceback" not in found[2]
    assert bool(found[0]) is (what is not nothing)


def _timeless(done):
    status, out, err = done
    lines = [json.loads(line) | {"time": ""} if line.startswith("{") else line for line in err.splitlines()]
    return status, out, lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_as_with_click(node, pass_of, number):
    node.provide(1)
    node.reconcile()
    node.slow_down(1)
    ends = []
    for command in (WITH_CLICK, TIMER):
        process = pass_of(command, start=True)
        eventually(lambda: "fd00::5/64" in node.link(1)[3])
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=60)
        ends.append((process.returncode, out, err))
    assert ends[0] == ends[1]
    assert ends[0][0] == {signal.SIGTERM: 143, signal.SIGINT: 1}[number]


@pytest.mark.parametrize("command", [TIMER, WITH_CLICK], ids=["timer", "with click"])
def test_a_bug_of_ours_is_a_sentence(node, pass_of, tmp_path, command):
    (tmp_path / "sitecustomize.py").write_text(
        "from multinic.database import source\n"
        "def broken(*_): raise ZeroDivisionError('by nothing')\n"
        "source.connect = broken\n"
    )
    path = f"{tmp_path}{os.pathsep}{node.environment()['PYTHONPATH']}"
    status, _, err = pass_of(command, PYTHONPATH=path)
    assert status == 1
    assert "ZeroDivisionError: by nothing" in err
    assert "Traceback" not in err
