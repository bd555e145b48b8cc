"""Who deploys by scripts/deploy.sh: in the cluster's network, where ssh reaches the nodes' own sshd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.fleet.ansible import ENVIRONMENT
from tests.hosts import CHECKOUT, run
from tests.k8s.cluster import IMAGE, RELEASE, Cluster
from tests.scratch import scratch

SSH = """\
IdentityFile {home}/key
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
"""
TIMEOUT = 580  # seconds; one run takes 15 on an idle machine
LEFT = ("/root/.ssh", "/var/lib/multinic-image")
"""What there is of it on a node."""


class Deployed(NamedTuple):
    """How a run ended."""

    status: int
    said: str
    """What it printed, in one line: Ansible breaks sentences."""


class Operator:
    """A home directory with a key, an administrator's kubeconfig, helm and kubectl."""

    def __init__(self, cluster: Cluster, home: Path) -> None:
        self._cluster, self._home = cluster, home
        self.kubeconfig = cluster.control.admin
        tools = cluster.control.programs
        files = {
            "helm": f'#!/bin/sh\nexec {tools}/helm "$@"\n',
            "kubectl": f'#!/bin/sh\nexec {tools}/kube kubectl "$@"\n',
            "ssh": SSH.format(home=home),
        }
        for name, text in files.items():
            (home / name).write_text(text)
            (home / name).chmod(0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / "key")

    def deploy(self, version: str, *options: str, **more: str) -> Deployed:
        """Run the command with the image of a version."""
        cluster = self._cluster
        environment = {
            "PATH": f"{self._home}:{ENVIRONMENT}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "KUBECONFIG": str(self.kubeconfig),
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {self._home}/ssh",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",  # a login that stays would outlive the run
            "ANSIBLE_NOCOLOR": "1",
            "SSH_USER": "root",
            "NAMESPACE": "kube-system",
            "RELEASE_NAME": RELEASE,
            "IMAGE_NAME": IMAGE,
            "IMAGE_TAG": version,
            "IMAGE_ARCHIVE": str(cluster.control.programs / f"{version}.tar"),
            "DB_PASSWORD": cluster.password,
            **more,
        }
        words = [word for name, value in cluster.values().items() for word in ("--set", f"{name}={value}")]
        command = [*cluster.control.prefix, CHECKOUT / "scripts/deploy.sh", *words, *options]
        done = run(*command, check=False, env=environment, timeout=TIMEOUT)
        print(done.stdout, done.stderr)
        assert cluster.password not in done.stdout + done.stderr
        return Deployed(done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr))


@contextmanager
def operator(cluster: Cluster) -> Iterator[Operator]:
    """Let somebody into the nodes as root, with a key, and afterwards nobody any more."""
    with scratch("operator") as home:
        made = Operator(cluster, home)
        for node in cluster.nodes.values():
            node.write("/root/.ssh/authorized_keys", (home / "key.pub").read_text(), 0o600)
            node.run("systemctl", "start", "ssh")
        try:
            yield made
        finally:
            for node in cluster.nodes.values():
                node.run("systemctl", "stop", "ssh")
                node.remove(*LEFT)
