"""scripts/deploy.sh against booted nodes with real sshd and containerd; the API of the cluster is a fake."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from multinic import __version__
from tests.fleet import helm
from tests.fleet.ansible import PLAYER
from tests.fleet.nodes import NODE
from tests.host.nspawn import Box
from tests.hosts import CHECKOUT, eventually, run
from tests.scratch import scratch

NAMES = ("n1", "n2", "n3")
IMAGE = f"docker.io/library/multinic:{__version__}"
SECRETS = ("let-me-in", "nobody-else-says-this")
BIN = Path(__file__).parent / "bin"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
# The way to a node: its own sshd, as if it had answered on a port; and a note of all command lines meanwhile.
WAY = """ps -eo args >>{there}/seen
exec nsenter --target {leader} --mount --uts --ipc --net --pid /usr/sbin/sshd -i
"""


def items(kind: str) -> dict[str, Any]:
    """Return the nodes, or their pods, as the API has them."""
    ready = {"type": "Ready", "status": "True"}
    found: list[dict[str, Any]] = []
    for number, name in enumerate(NAMES, 1):
        status: dict[str, Any] = {"conditions": [ready]}
        if kind == "nodes":
            status |= {"addresses": [{"type": "InternalIP", "address": f"10.77.0.{number}"}]}
            status |= {"nodeInfo": {"architecture": ARCHITECTURE}}
            found.append({"metadata": {"name": name}, "status": status})
        else:
            found.append({"metadata": {"name": f"pod-{name}"}, "spec": {"nodeName": name}, "status": status})
    return {"items": found}


class Cluster:
    """Nodes, what answers for them, and a machine from which an operator works."""

    def __init__(self, there: Path, boxes: dict[str, Box]) -> None:
        self.there = there
        self.boxes = boxes
        for kind in ("nodes", "pods"):
            (there / kind).write_text(json.dumps(items(kind)))
        self.let_in(NAMES)

    def let_in(self, names: tuple[str, ...]) -> None:
        """Have the ssh of the operator reach these nodes, and no others."""
        lines = [
            f"IdentityFile {self.there}/key",
            "StrictHostKeyChecking no",
            "UserKnownHostsFile /dev/null",
            "LogLevel ERROR",
        ]
        for number, name in enumerate(NAMES, 1):
            way = self.there / f"to-{name}"
            way.write_text(WAY.format(there=self.there, leader=self.boxes[name].leader))
            command = f"sh {way}" if name in names else "false"
            lines += [f"Host 10.77.0.{number}", f"  ProxyCommand {command}"]
        (self.there / "ssh").write_text("\n".join(lines) + "\n")

    def deploy(self, *options: str, **more: str) -> CompletedProcess[str]:
        """Run the command as an operator does, and note what it said."""
        environment = {
            "PATH": f"{BIN}:{PLAYER}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.there),
            "LANG": "C.UTF-8",
            "CLUSTER": str(self.there),
            "HELM": str(helm.THERE / "v4/helm"),
            "ARCHITECTURE": ARCHITECTURE,
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {self.there}/ssh",
            # A login that stays would keep the node from its end.
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=8s",
            "ANSIBLE_NOCOLOR": "1",
            "SSH_USER": "admin",
            "SSH_PASSWORD": SECRETS[0],
            "DB_PASSWORD": SECRETS[1],
            **more,
        }
        (self.there / "calls").unlink(missing_ok=True)
        script = CHECKOUT / "scripts/deploy.sh"
        done = run(script, "--set", "database.host=db1", *options, check=False, env=environment, timeout=300)
        print(done.stdout, done.stderr)
        seen = [done.stdout, done.stderr, *(self.text(name) for name in ("seen", "calls"))]
        assert [secret for secret in SECRETS for text in seen if secret in text] == []
        return done

    def text(self, name: str) -> str:
        path = self.there / name
        return path.read_text() if path.exists() else ""

    def images(self, name: str) -> str:
        """Return the line of the image in a node's containerd; an empty text if it has none."""
        return self.boxes[name].run("ctr", "-n", "k8s.io", "images", "list", f"name=={IMAGE}").stdout


def items_of(text: str) -> list[str]:
    """Return the lines of the first list that Ansible shows in a text."""
    lines = re.findall(r"^    msg:\n((?:    - .*\n)+)", text, re.MULTILINE)
    return [str(yaml.safe_load(line[len("    - ") :])) for line in lines[0].splitlines()]


def documented(name: str) -> list[str]:
    """Return the lines of a block in the documentation."""
    page = (CHECKOUT / "docs/fleet.md").read_text()
    (block,) = re.findall(rf"^```text {name}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return block.splitlines()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes with containerd. admin logs in with a password, which sudo wants, too; root with a key."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        there = stack.enter_context(scratch("deploy"))
        boxes = {name: Box(NODE, hostname=name) for name in NAMES}
        for box in boxes.values():
            stack.push(box)
        list(pool.map(Box.__enter__, boxes.values()))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", there / "key")
        for box in boxes.values():
            box.run("mkdir", "-p", "/run/sshd", "/var/lib/containerd")
            box.run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/containerd")
            box.run("systemctl", "start", "containerd")
            box.run("useradd", "--create-home", "--groups=sudo", "--shell=/bin/bash", "admin")
            box.run("chpasswd", input=f"admin:{SECRETS[0]}\n")
            box.write("/root/.ssh/authorized_keys", (there / "key.pub").read_text(), 0o600)
        yield Cluster(there, boxes)
        log_out(there)


def log_out(there: Path) -> None:
    """End the logins that ssh keeps for later.

    A host that ends stops all its processes for a moment; nsenter stops with the one that it waits for, and
    nobody would have it go on.
    """

    def kept() -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if f"{there}/".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    for pid in kept():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    eventually(lambda: not kept(), timeout=30, what="logins end")


def test_a_node_that_cannot_be_reached_is_named_before_anything_changes(cluster: Cluster) -> None:
    cluster.let_in(NAMES[:2])
    done = cluster.deploy()
    cluster.let_in(NAMES)

    assert done.returncode != 0
    assert "not reached: n3:" in done.stdout
    assert "nothing was changed anywhere" in done.stdout
    assert "nerdctl" not in cluster.text("calls")
    assert "apply" not in cluster.text("calls")
    assert [name for name in NAMES if IMAGE in cluster.images(name)] == []


def test_a_dry_run_shows_every_step_and_changes_nothing(cluster: Cluster) -> None:
    done = cluster.deploy("--dry-run", NAMESPACE="multinic", SSH_USER="root", SSH_PASSWORD="")

    assert done.returncode == 0
    assert items_of(done.stdout.replace(f"{CHECKOUT}/", "")) == documented("deploy")
    assert "nerdctl" not in cluster.text("calls")
    assert "apply" not in cluster.text("calls")
    assert [name for name in NAMES if IMAGE in cluster.images(name)] == []


def test_one_command_brings_the_image_to_every_node_and_shows_how_each_fares(cluster: Cluster) -> None:
    done = cluster.deploy(NAMESPACE="network")

    assert done.returncode == 0
    for name in NAMES:
        assert "io.cri-containerd.pinned=pinned" in cluster.images(name)
        assert cluster.boxes[name].exists(f"/var/lib/multinic-image/multinic-{__version__}.tar")
        assert cluster.boxes[name].glob("/var/tmp/multinic*") == []
    assert items_of(done.stdout.partition("TASK [Show how the nodes fare]")[2]) == documented("health")
    found = helm.objects(cluster.text("installed"))
    (container,) = found["DaemonSet/multinic-agent"]["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == (IMAGE, "Never")
    assert "Secret/multinic-agent-db" not in found
    labels = json.loads(cluster.text("Namespace"))["metadata"]["labels"]
    assert labels == {"pod-security.kubernetes.io/enforce": "privileged"}
    assert json.loads(cluster.text("Secret"))["stringData"] == {"password": SECRETS[1]}


def test_a_second_run_copies_nothing_and_in_batches_stops_at_a_node_that_is_ill(
    cluster: Cluster,
) -> None:
    (cluster.there / "ill").touch()
    runs = []
    for _ in range(2):
        done = cluster.deploy(NAMESPACE="network", BATCHES="1 1", SOAK="0")
        calls = [line.split() for line in cluster.text("calls").splitlines() if " delete pods " in line]
        runs.append([call[-1] for call in calls])
        assert done.returncode != 0
        assert set(re.findall(r"^n\d +.*changed=(\d+)", done.stdout, re.MULTILINE)) == {"0"}
        assert "the rollout stops here, not healthy: n2" in re.sub(r"\s+", " ", done.stdout)
    (cluster.there / "ill").unlink()

    assert runs == [["pod-n1", "pod-n2"], []]
    strategy = helm.objects(cluster.text("installed"))["DaemonSet/multinic-agent"]["spec"]["updateStrategy"]
    assert strategy == {"type": "OnDelete"}


def test_an_image_of_another_architecture_is_refused(cluster: Cluster) -> None:
    archive = cluster.there / "foreign.tar"
    other = {"CLUSTER": str(cluster.there), "ARCHITECTURE": "s390x", "PATH": os.environ["PATH"]}
    run(BIN / "nerdctl", "save", "--output", archive, IMAGE, env=other)

    done = cluster.deploy(IMAGE_ARCHIVE=str(archive))

    assert done.returncode != 0
    said = re.sub(r"\s+", " ", done.stdout)
    assert f"the image is for s390x, and these nodes have another architecture: n1 ({ARCHITECTURE})" in said
    assert "apply" not in cluster.text("calls")


def test_a_cluster_that_lets_nobody_in_and_a_password_on_the_command_line_are_named(cluster: Cluster) -> None:
    (cluster.there / "expired").touch()
    done = cluster.deploy()
    (cluster.there / "expired").unlink()
    assert done.returncode != 0
    said = re.sub(r"\s+", " ", done.stdout)
    assert "You must be logged in to the server (Unauthorized) -- the cluster does not answer" in said

    refused = cluster.deploy("--set", "database.password=x")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "DB_PASSWORD" in refused.stderr
