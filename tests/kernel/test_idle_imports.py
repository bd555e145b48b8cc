"""The pass over a converged host is cheap: it imports little, starts no process and writes nothing."""

from __future__ import annotations

import json
import os

import pytest

from tests.kernel.node import ROOT

HEAVY = ("rich", "jinja2", "pyroute2", "subprocess", "asyncio", "logging", "multinic.full", "multinic.view")

# Python imports this by itself before the program begins, and it writes its report when the program ends.
WATCHER = """\
import atexit, json, os, sys

processes, written = [], []

def hook(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"):
        processes.append(event)
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        written.append(str(arguments[0]))

def report():
    found = {"modules": sorted(sys.modules), "processes": processes, "written": list(written)}
    with open(os.environ["WATCHED"], "w") as file:
        json.dump(found, file)

atexit.register(report)
sys.addaudithook(hook)
"""


@pytest.fixture
def watched(node, tmp_path):
    """Return a function that runs one pass and says what it imported, started and opened for writing."""
    (tmp_path / "watcher").mkdir()
    (tmp_path / "watcher/sitecustomize.py").write_text(WATCHER, encoding="utf-8")
    report = tmp_path / "watched.json"
    environment = {
        "PYTHONPATH": f"{tmp_path / 'watcher'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "WATCHED": str(report),
        # Measuring coverage would import and write for itself.
        "COVERAGE_PROCESS_START": "",
        "COVERAGE_PROCESS_CONFIG": "",
    }

    def run():
        report.unlink(missing_ok=True)
        node.reconcile(env=environment)
        return json.loads(report.read_text(encoding="utf-8"))

    return run


def test_a_pass_over_a_converged_host_imports_little_and_starts_nothing(node, watched):
    node.provide(10)
    busy = watched()
    assert set(busy["modules"]) >= {"pyroute2", "multinic.full"}  # the watcher sees what there is to see
    before = node.files()
    idle = watched()
    assert {name for name in idle["modules"] if name.partition(".")[0] in HEAVY or name in HEAVY} == set()
    assert idle["processes"] == []
    assert idle["written"] == [str(node.root / "run/multinic/lock")]
    assert node.files() == before


def test_no_process_is_started_to_configure_links_either(node, watched):
    node.provide(2)
    assert watched()["processes"] == []
