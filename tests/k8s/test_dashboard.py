"""The dashboard beside the agents, as the chart runs it."""

from __future__ import annotations

import errno
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymysql.constants import ER

from multinic.database import grants
from tests.hosts import run
from tests.k8s.checks import ROWS, converged, soon
from tests.k8s.cluster import ADDRESS, IMAGE, RELEASE, VERSIONS, Cluster
from tests.k8s.containers import BASED_ON

READS = "only-to-read"
NAME = f"{RELEASE}-dashboard"
READER = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "reader", "namespace": "kube-system"}}
ON_NODE2 = "dashboard.nodeSelector.kubernetes\\.io/hostname=node2"
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())"
# What a process in its container sees, and what happens when it tries more.
TRY = """\
import json, os, pathlib, sys, tomllib, urllib.parse
sys.path.insert(0, "/usr/local/lib/multinic")
import pymysql
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines)
found = {name: status[name].strip() for name in ("CapBnd", "NoNewPrivs", "Seccomp")}
found |= {"user": os.getuid(), "group": os.getgid()}
found["links"] = [name for name in os.listdir("/sys/class/net") if name.startswith("multinic")]
found["token"] = os.path.exists("/var/run/secrets/kubernetes.io")
found["first"] = pathlib.Path("/proc/1/cmdline").read_text().split("\\0")[-2]
def tried(what, *arguments):
    try:
        what(*arguments)
    except (OSError, pymysql.MySQLError) as e:
        return e.args[0]
places = ("/mine", "/tmp/mine", "/etc/multinic/mine", "/usr/local/lib/multinic/mine")
found["written"] = sorted({tried(open, place, "w") for place in places}, key=str)
settings = tomllib.loads(pathlib.Path("/etc/multinic/multinic.toml").read_text())
url = urllib.parse.urlsplit(settings["database"]["url"])
there = {"host": url.hostname, "port": url.port, "database": url.path[1:], "user": url.username}
password = pathlib.Path("/etc/multinic/secrets/password").read_text()
cursor = pymysql.connect(password=password, **there).cursor()
statements = ("UPDATE multi_interface SET mtu = 1", "DELETE FROM multinic_node", "CREATE TABLE t (a INT)")
found["changed"] = sorted({tried(cursor.execute, statement) for statement in statements}, key=str)
print(json.dumps(found))
"""
MAY = {
    "CapBnd": "0" * 16,
    "NoNewPrivs": "1",
    "Seccomp": "2",
    "user": 65534,
    "group": 65534,
    "links": [],
    "token": False,
    "first": "dashboard",
    "written": [errno.EROFS],
    "changed": [ER.TABLEACCESS_DENIED_ERROR],
}


def let_read(cluster: Cluster) -> None:
    """Make the status tables and the users as docs/dashboard.md says, and have the agents use them."""
    administrator, hosts, reader = grants.statements("multinic", cluster.database).values()

    def as_root(statements: list[str]) -> None:
        for statement in statements:
            cluster.server.execute(statement.replace("'choose a password'", f"'{READS}'"))

    as_root(administrator)
    url = f"mysql://{grants.ADMINISTRATOR}@{ADDRESS}:{cluster.server.port}/{cluster.database}"
    secret = {"MULTINIC_DATABASE_PASSWORD": READS}
    cluster.nodes["node1"].multinic("--database-url", url, "db", "migrate", env=secret)
    as_root(hosts)
    as_root(reader)
    cluster.sql("UPDATE multi_interface SET mtu = 1430")  # news; a sign of life comes within five minutes
    for node, slot in ROWS.items():
        soon(lambda h=cluster.nodes[node]: h.links()["multinic0"]["mtu"] == 1430, "another MTU")
        converged(cluster, node, slot)


def reported(cluster: Cluster, node: str) -> tuple[str, str, str]:
    """Return name, MAC and state of the interface of a node, as its agent has them."""
    (one,) = cluster.nodes[node].http("/")[1]["interfaces"]
    return one["name"], one["mac"], one["state"]


@contextmanager
def forwarded(cluster: Cluster) -> Iterator[str]:
    """Forward a port to the Service, as NOTES.txt says, and yield the address of the dashboard."""
    command = [*cluster.control.prefix, cluster.control.programs / "kube", "kubectl"]
    command += [f"--kubeconfig={cluster.control.admin}", "--namespace=kube-system"]
    command += ["port-forward", f"service/{NAME}", "8090:80"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith(b"Forwarding from 127.0.0.1:8090 ")
            yield "http://127.0.0.1:8090"
        finally:
            process.terminate()


def test_it_shows_what_the_agents_report_and_has_no_right_on_a_node_or_in_the_cluster(
    cluster: Cluster,
) -> None:
    """By its own image and its own user of the database; the agents are not disturbed by it."""
    archive = cluster.control.programs / "dashboard.tar"
    image = cluster.builder.program(VERSIONS[0], "dashboard", BASE=BASED_ON)
    cluster.nodes["node2"].load(cluster.builder.save(image, archive))
    let_read(cluster)
    agents = cluster.names()
    cluster.control.apply({**READER, "stringData": {"password": READS}})
    cluster.install(
        "dashboard.enabled=true",
        f"dashboard.image.repository={IMAGE}-dashboard",
        f"dashboard.image.tag={VERSIONS[0]}",
        "dashboard.database.existingSecret=reader",
        ON_NODE2,
    )
    cluster.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=150s", timeout=160)
    assert cluster.names() == agents

    with forwarded(cluster) as address:

        def get(path: str) -> str:
            return run(*cluster.control.prefix, "python3", "-Ic", ASK, f"{address}{path}").stdout

        def shown() -> dict[str, Any]:
            rows = json.loads(get("/api/v1/interfaces"))["rows"]
            return {row["node"]: (row["name"], row["mac"], row["state"]) for row in rows}

        told = {node: reported(cluster, node) for node in ROWS}
        soon(lambda: shown() == told, "the interfaces of both nodes")
        found = json.loads(get("/api/v1/overview"))
        assert (found["nodes"]["total"], found["nodes"]["ok"]) == (2, 2)
        assert "node1" in get("/nodes")
        assert "node2" in get("/nodes")

    tried = json.loads(cluster.kubectl("exec", f"deployment/{NAME}", "--", "python3", "-c", TRY))
    assert tried == MAY
    cluster.install()
    soon(lambda: "dashboard" not in cluster.kubectl("get", "pods", "--output=name"), "no dashboard")
    assert cluster.names() == agents
    cluster.kubectl("delete", "secret", "reader")
