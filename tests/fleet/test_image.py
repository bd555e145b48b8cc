"""The image of the dashboard: not as root, nothing to write to, with the settings of the chart."""

from __future__ import annotations

import http.client
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from multinic.database import grants
from multinic.demo.fleet import Fleet
from multinic.values.settings import DatabaseSettings, Secret
from tests.fleet.helm import objects, template
from tests.hosts import eventually
from tests.k8s.containers import Builder
from tests.mariadb import PrivateMariaDB, free_port
from tests.scratch import END_WITH_TESTS, scratch
from tests.unpacked import end_without

PASSWORD = "only-to-read"
DASHBOARD = "localhost/multinic-dashboard:1"
AGENT = "localhost/multinic:1"
# In a mount namespace of its own: the mounts end with the process.
START = """
set -e
files=$1; shift
root=$("$@")
mount --bind "$files" "$root/etc/multinic"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all \\
    multinic dashboard
"""


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    """Both images, from one base and one build of the program."""
    if not shutil.which("buildah"):
        end_without("buildah not found (Debian, Ubuntu: buildah)", "fleet")
    with scratch("image") as directory:
        made = Builder(directory)
        base = made.base()
        assert made.program("1", BASE=base) == AGENT
        assert made.program("1", "dashboard", BASE=base) == DASHBOARD
        yield made


def test_the_dashboard_runs_from_its_image_with_the_settings_of_the_chart(
    builder: Builder, tmp_path: Path
) -> None:
    port = free_port()
    with PrivateMariaDB() as server:
        server.start()
        name = server.fresh_database()
        settings = DatabaseSettings(server.url(database=name), Secret(""), 3, 5, ignore_deleted_at=False)
        with Fleet(settings, nodes=3):
            pass
        for text in grants.statements("multinic", name)["a dashboard: it reads"]:
            server.execute(text.replace("'choose a password'", f"'{PASSWORD}'"))
        address = f"database.host=127.0.0.1,database.port={server.port},database.name={name}"
        secrets = "database.existingSecret=agent,dashboard.database.existingSecret=reader"
        done = template("v4", "--set", f"dashboard.enabled=true,dashboard.port={port},{address},{secrets}")
        text = objects(done.stdout)["ConfigMap/multinic-agent-dashboard"]["data"]["multinic.toml"]
        files = tmp_path / "files"
        (files / "secrets").mkdir(parents=True)
        (files / "multinic.toml").write_text(text)
        (files / "secrets/password").write_text(f"{PASSWORD}\n")
        for path in ("secrets", "multinic.toml", "secrets/password"):
            shutil.chown(files / path, group=65534)
            (files / path).chmod(0o550 if path == "secrets" else 0o440)

        with started(builder, files, tmp_path / "log") as process:
            eventually(lambda: get(port, "/readyz") == (200, "ready\n"), timeout=60)
            assert process.poll() is None
            assert "worker-a001" in get(port, "/nodes")[1]
            assert get(port, "/")[0] == 200
            server.stop()
            eventually(lambda: get(port, "/readyz")[0] == 503, timeout=60)
            assert get(port, "/livez") == (200, "alive\n")
            assert "cannot be read" in get(port, "/nodes?q=other")[1]
        log = (tmp_path / "log").read_text()
        assert PASSWORD not in log
        assert "Traceback" not in log


@contextmanager
def started(builder: Builder, files: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the dashboard with the files of its volume during a block."""
    container = builder.run("from", DASHBOARD)
    builder.run("run", "--isolation=chroot", "--user=0", container, "--", "mkdir", "-p", "/etc/multinic")
    command = [*END_WITH_TESTS, "unshare", "--mount", "sh", "-c", START, "sh", str(files)]
    with log.open("wb") as stream:
        process = subprocess.Popen([*command, *builder._command, "mount", container], stderr=stream)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        print(log.read_text())


def get(port: int, path: str) -> tuple[int, str]:
    """Ask; (0, "") as long as nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except ConnectionError:
        return 0, ""
    finally:
        connection.close()


def test_the_image_of_the_agent_has_nothing_of_the_dashboard_and_that_of_the_dashboard_no_way_to_a_node(
    builder: Builder,
) -> None:
    listed = [builder.within(image, "ls", "/usr/local/lib/multinic") for image in (AGENT, DASHBOARD)]
    agents, dashboards = (set(text.split()) for text in listed)
    assert {"starlette", "uvicorn"} < dashboards - agents
    assert {"multinic", "pymysql", "pyroute2"} < agents & dashboards
    ours = builder.inspect(DASHBOARD)["OCIv1"]["config"]
    assert (ours["User"], ours["Entrypoint"], ours["Cmd"]) == ("65534:65534", ["multinic"], ["dashboard"])
    assert not [one for one in ours["Env"] if one.startswith("MULTINIC_")]
    agent = builder.inspect(AGENT)["OCIv1"]["config"]
    assert (agent["User"], agent["Entrypoint"], agent["Cmd"]) == ("0:0", ["multinic"], ["agent"])
