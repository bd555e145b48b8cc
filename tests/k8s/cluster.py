"""A cluster: its control plane, two nodes, a database in its network, and the program's chart."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.hosts import CHECKOUT, eventually, run
from tests.k8s import programs
from tests.k8s.containers import Builder
from tests.k8s.control import SERVICE, ControlPlane
from tests.k8s.node import NETWORK, SANDBOX, KubeNode
from tests.mariadb import PrivateMariaDB
from tests.node import database_server, mac_of
from tests.schemas import CONTROLLER, execute
from tests.scratch import END_WITH_TESTS, mark, scratch

ADDRESS = f"{NETWORK}.1"
"""Where the control plane and the database are."""
CHART = CHECKOUT / "deployments/helm/multinic"
RELEASE = "multinic-agent"
CAPABILITIES = "{NET_ADMIN,NET_RAW,SYS_ADMIN,SYS_PTRACE,SYS_CHROOT,CHOWN,DAC_OVERRIDE,FOWNER}"
PASSWORD = "hush-hush"
IMAGE = "localhost/multinic"
VERSIONS = ("first", "second")
"""Tags of two images of the program; the second says that it is another version."""
OTHER_VERSION = "0.0.9"


class Cluster:
    """A cluster without the program."""

    def __init__(self, directory: Path, control: ControlPlane, nodes: dict[str, KubeNode]) -> None:
        self.directory, self.control, self.nodes = directory, control, nodes
        self.server: PrivateMariaDB
        self.builder: Builder
        self.connection: Any = None
        self.database = ""
        self.password = PASSWORD
        """What the chart is given."""

    def attach(self, node: str, slot: int, *, link: str = "", **values: Any) -> str:
        """Insert the row of a port, plug its NIC in under the name `link`, and return its MAC."""
        mac = mac_of(slot)
        address = f"10.5.0.{slot + 10}"
        row = {"address": address, "mtu": 1450, "cidr": "10.5.0.0/24", "port_id": f"port-{slot}"}
        CONTROLLER.attach(self.connection, mac, node=node, cr_name=f"port-{slot}", **(row | values))
        if link:
            self.plug(node, slot, link)
        return mac

    def plug(self, node: str, slot: int, link: str) -> None:
        """Plug the NIC of a port in."""
        # The number of a link on its node is that of the last one and one more: names begin there with 0.
        self.nodes[node].plug(link, mac_of(slot))

    def detach(self, slot: int) -> None:
        """Delete the row of a port."""
        self.sql("DELETE FROM multi_interface WHERE port_id = %s", f"port-{slot}")

    def sql(self, statement: str, *values: Any) -> None:
        """Run one statement as the controller."""
        execute(self.connection, statement, *values)

    def start_database(self) -> None:
        """Start the database, also again with what it had."""
        self.server.start(self.control.prefix, address=ADDRESS)
        self.connection = self.server.connect(database=self.database, autocommit=True)

    def disconnect(self) -> None:
        """Break the connections of the nodes with the database."""
        self.server.execute("KILL USER multinic")

    def flags(self) -> dict[str, int]:
        """Return `netplan_success` of every row, by port."""
        rows = execute(self.connection, "SELECT port_id, netplan_success FROM multi_interface").fetchall()
        return {row["port_id"]: row["netplan_success"] for row in rows}

    # The program

    def install(self, *values: str, version: str = VERSIONS[0], wait: bool = True) -> None:
        """Install the chart, or upgrade to other values; wait until its pods are ready."""
        image = {"image.repository": IMAGE, "image.tag": version, "image.pullPolicy": "Never"}
        given = {**self.values(), **image, "database.password": self.password}
        words = [f"--set={name}={value}" for name, value in given.items()]
        words += [f"--set={value}" for value in values]
        self.control.helm("upgrade", "--install", RELEASE, str(CHART), "--namespace=kube-system", *words)
        if wait:
            self.rolled_out()

    def values(self) -> dict[str, str]:
        """Return the values that every release has, besides its image and the password."""
        return {
            "database.host": ADDRESS,
            "database.port": str(self.server.port),
            "database.user": "multinic",
            "database.name": self.database,
            "agent.pollInterval": "2s",
            "livenessProbe.periodSeconds": "1",
            "readinessProbe.exec.command": "{multinic-ready}",
            "readinessProbe.periodSeconds": "1",
            "readinessProbe.initialDelaySeconds": "0",
            "minReadySeconds": "0",
            "securityContext.capabilities.add": CAPABILITIES,
        }

    def rolled_out(self) -> None:
        """Wait until every node has the pod that the DaemonSet wants."""
        self.kubectl("rollout", "status", f"daemonset/{RELEASE}", "--timeout=150s", timeout=160)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Run kubectl in the namespace of the program."""
        return self.control.kubectl("--namespace=kube-system", *arguments, **options)

    def pods(self) -> dict[str, Any]:
        """Return the program's pods by node, without those that end."""
        found = self.control.get(
            "--namespace=kube-system", "pods", "--selector=app.kubernetes.io/name=multinic-agent"
        )
        pods = [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]
        return {pod["spec"].get("nodeName", ""): pod for pod in pods}

    def pod(self, node: str) -> str:
        """Return the name of the program's pod on a node."""
        return self.names()[node]

    def names(self) -> dict[str, str]:
        """Return the names of the program's pods by node."""
        return {node: str(pod["metadata"]["name"]) for node, pod in self.pods().items()}

    def described(self, node: str) -> str:
        """Return what `kubectl describe` says of the program's pod on a node; nothing if there is none."""
        pod = self.pods().get(node)
        return self.kubectl("describe", "pod", pod["metadata"]["name"], check=False) if pod else ""

    def restarts(self) -> int:
        """Return how often containers of the program have been started again."""
        statuses = [pod["status"].get("containerStatuses", ()) for pod in self.pods().values()]
        return sum(status["restartCount"] for found in statuses for status in found)

    def unavailable(self) -> int:
        """Return on how many nodes the program is not available."""
        status = self.control.get("--namespace=kube-system", "daemonset", RELEASE)["status"]
        return int(status.get("numberUnavailable", 0))

    def logs(self, node: str, *options: str) -> list[dict[str, Any]]:
        """Return what the program has logged on a node."""
        lines = self.kubectl("logs", self.pod(node), *options).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def report(self) -> str:
        """Return what may say why a test has failed."""
        parts = [self.kubectl("get", "pods,daemonsets", "--output=wide", check=False)]
        parts += [self.kubectl("describe", "pods", check=False)[-6000:]]
        for node in self.nodes:
            parts += [f"--- {node}", self.kubectl("logs", "--tail=30", f"daemonset/{RELEASE}", check=False)]
        return "\n".join(parts)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Boot the nodes, start the control plane and the database, and build the images, all at once."""
    with ExitStack() as stack:
        directory = stack.enter_context(scratch("k8s"))
        tools = directory / "tools"
        tools.mkdir()
        for name in ("kube", "helm"):
            _lend(programs.directory() / name, tools / name)
        hub = _hub(stack)
        prefix = [*END_WITH_TESTS, "ip", "netns", "exec", hub]
        control = ControlPlane(_made(directory / "control"), tools, prefix, ADDRESS)
        stack.callback(control.close)
        boxes = [KubeNode(number, tools, hub) for number in (1, 2)]
        for box in boxes:
            stack.push(box)
        pool = stack.enter_context(ThreadPoolExecutor())
        builder = Builder(_made(directory / "images"))
        images = pool.submit(_images, builder, tools)
        booting = [pool.submit(box.__enter__) for box in boxes]
        starting = pool.submit(control.start)
        server = stack.enter_context(database_server(prefix, ADDRESS))
        for one in (*booting, starting):
            one.result()
        archives = images.result()
        authority = control.authority.certificate.read_text()
        list(pool.map(lambda box: box.join(control.kubeconfig_of(box.hostname), authority, archives), boxes))
        eventually(lambda: _ready(control) == len(boxes), timeout=120, pause=0.5, what="nodes that are ready")
        made = Cluster(directory, control, {box.hostname: box for box in boxes})
        made.server, made.builder, made.database = server, builder, server.fresh_database()
        made.connection = server.connect(database=made.database, autocommit=True)
        CONTROLLER.create(made.connection)
        yield made


def _ready(control: ControlPlane) -> int:
    """Return how many nodes are ready."""
    conditions = [
        one for node in control.get("nodes")["items"] for one in node["status"].get("conditions", ())
    ]
    return sum(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _lend(program: Path, place: Path) -> None:
    """Have a program at another place, without a copy where that can be."""
    try:
        os.link(program, place)
    except OSError:
        shutil.copy2(program, place)


def _hub(stack: ExitStack) -> str:
    """Make the network of the cluster: a bridge in a namespace of its own."""
    hub = f"{mark()}hub-{uuid4().hex[:8]}"
    run("ip", "netns", "add", hub)
    stack.callback(run, "ip", "netns", "delete", hub, check=False)
    for words in (
        ("link", "set", "lo", "up"),
        ("link", "add", "hub", "type", "bridge"),
        ("address", "add", f"{ADDRESS}/24", "dev", "hub"),
        ("address", "add", f"{SERVICE}/32", "dev", "hub"),
        ("link", "set", "hub", "up"),
    ):
        run("ip", "-netns", hub, *words)
    return hub


def _images(builder: Builder, where: Path) -> list[Path]:
    """Build the images of the program and the one of sandboxes; return archives of them."""
    first = builder.program(VERSIONS[0], BASE=builder.base())
    change = (
        "cd /usr/local/lib/multinic/multinic && rm __pycache__/__init__.*"
        f" && sed -i 's/^__version__ = .*/__version__ = \"{OTHER_VERSION}\"/' __init__.py"
    )
    second = builder.changed(first, f"{IMAGE}:{VERSIONS[1]}", "sh", "-c", change)
    sandbox = builder.sandbox(SANDBOX)
    named = {**dict(zip(VERSIONS, (first, second), strict=True)), "sandbox": sandbox}
    return [builder.save(image, where / f"{name}.tar") for name, image in named.items()]
