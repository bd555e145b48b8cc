"""What helm runs when a release with purgeOnUninstall is deleted: the script of the chart, as pods run it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.fleet.api import Api, api
from tests.fleet.helm import CHART
from tests.hosts import eventually

SCRIPT = CHART / "files/purge.py"
DAEMONSET = "/apis/apps/v1/namespaces/network/daemonsets/nics-purge"
PODS = "/api/v1/namespaces/network/pods"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def purge(cluster: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as in a pod with a service account."""
    spec = importlib.util.spec_from_file_location("purge", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("network")
    monkeypatch.setattr(module, "ACCOUNT", str(tmp_path))
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.port))
    return module


def hold(cluster: Api, ready: int) -> None:
    """Have three nodes, of which so many are done."""
    status = {"observedGeneration": 1, "desiredNumberScheduled": 3, "numberReady": ready}
    selector = {"matchLabels": {"app.kubernetes.io/name": "nics-purge"}}
    cluster.answers[DAEMONSET] = {
        "metadata": {"generation": 1},
        "spec": {"selector": selector},
        "status": status,
    }


def pod(node: str, *, placed: bool = True, **status: Any) -> dict[str, Any]:
    """Return a pod for a node, as the DaemonSet controller makes it."""
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return {"spec": {"affinity": affinity} | ({"nodeName": node} if placed else {}), "status": status}


def test_nodes_that_are_not_done_are_named_with_the_reason(purge: ModuleType, cluster: Api) -> None:
    hold(cluster, 1)
    ended = {"terminated": {"message": "starting\nmultinic: multinic0 is in use\n"}}
    again = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    nowhere = {"type": "PodScheduled", "status": "False", "message": "no room"}
    cluster.answers[PODS] = {
        "items": [
            pod(
                "n3",
                placed=False,
                conditions=[nowhere],
            ),
            pod("n1", conditions=[{"type": "Ready", "status": "True"}]),
            pod("n2", containerStatuses=[again]),
        ]
    }

    with pytest.raises(SystemExit) as e:
        purge.wait("nics-purge", 0.5)

    assert str(e.value).splitlines() == [
        "not taken off these nodes:",
        "  n2: multinic: multinic0 is in use",
        "  n3: no room",
        "Correct that. Then install the release again with the same values and uninstall it once more,",
        "or run multinic purge on these nodes.",
    ]
    assert {token for _, token in cluster.asked} == {"Bearer secret"}


def test_it_waits_until_all_nodes_are_done_and_for_the_api_server(purge: ModuleType, cluster: Api) -> None:
    steps = iter([lambda: None, lambda: hold(cluster, 2), lambda: hold(cluster, 3)])
    cluster.answers[PODS] = {"items": []}
    purge.time.sleep = lambda seconds: next(steps)()
    purge.wait("nics-purge", 60)
    assert next(steps, None) is None


STAND_IN = """\
#!/bin/sh
case "$*" in
    *status) [ -e agent ] && echo '{"agent": {"process": "process 7"}}' || echo '{"agent": null}' ;;
    "purge --yes") echo purge >>said; read status 2>/dev/null <status || status=0; exit $status ;;
esac
"""


def test_a_node_is_purged_when_its_agent_has_ended_and_no_run_is_busy(
    tmp_path: Path,
) -> None:
    (tmp_path / "multinic").write_text(STAND_IN)
    (tmp_path / "multinic").chmod(0o755)
    (tmp_path / "agent").touch()
    (tmp_path / "status").write_text("75\n")
    script = tmp_path / "purge.py"
    quick = SCRIPT.read_text().replace("time.sleep(2)", "time.sleep(0.02)")
    script.write_text(quick.replace('"/tmp/done"', repr(str(tmp_path / "done"))))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [sys.executable, script, "node"]
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment}
    with subprocess.Popen(command, **options, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "waiting for the agent to end: process 7\n"
        assert not (tmp_path / "said").exists()
        (tmp_path / "agent").unlink()
        eventually((tmp_path / "said").exists)
        assert not (tmp_path / "done").exists()
        (tmp_path / "status").unlink()
        eventually((tmp_path / "done").exists)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
    (tmp_path / "status").write_text("4\n")
    assert subprocess.run(command, **options, check=False).returncode == 4
