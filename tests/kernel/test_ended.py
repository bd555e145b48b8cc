"""The harness itself: a run of tests that is ended leaves no process, directory or namespace behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.mariadb import missing as mariadb_missing
from tests.namespaces import Namespace

ROOT = Path(__file__).parents[2]
WHERE = "MULTINIC_TEST_WHERE"


def waits(namespace: Namespace, mariadb: PrivateMariaDB) -> None:
    """The test that is ended: it has started all kinds of things."""
    inside = namespace.popen("sh", "-c", "echo started; exec sleep 600", stdout=subprocess.PIPE)
    assert inside.stdout
    inside.stdout.readline()
    pids = (os.getpid(), namespace.pid, namespace.cloud.pid, inside.pid, mariadb.pid)
    place = Path(os.environ[WHERE])
    place.with_suffix(".new").write_text(f"{mariadb.directory} {' '.join(map(str, pids))}")
    place.with_suffix(".new").rename(place)
    signal.pause()


@pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))
@pytest.mark.parametrize(
    ("whom", "how"),
    [("all", signal.SIGINT), ("main", signal.SIGTERM), ("main", signal.SIGKILL), ("worker", signal.SIGKILL)],
)
def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path: Path, whom: str, how: signal.Signals) -> None:
    place = tmp_path / "where"
    command = [sys.executable, "-m", "pytest", "--tiers=kernel", "-n", "1", "--max-worker-restart=0"]
    command += ["-o", "python_functions=waits", __file__]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment, WHERE: str(place)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as main:
        eventually(place.exists, timeout=60)
        directory, *pids = place.read_text().split()
        if whom == "all":
            os.killpg(main.pid, how)
        else:
            os.kill(main.pid if whom == "main" else int(pids[0]), how)
        main.wait(60)
    for pid in pids:
        eventually(lambda pid=pid: not Path("/proc", pid).exists(), timeout=60)
    eventually(lambda: not Path(directory).exists(), timeout=60)
