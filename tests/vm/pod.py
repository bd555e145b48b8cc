"""The pod of the chart on a machine without Kubernetes: containerd does what a kubelet would ask it for.

What the pod may do is read from the chart as it is rendered; the profiles of seccomp and AppArmor that
`RuntimeDefault` means are containerd's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.hosts import CHECKOUT, CommandFailed, run
from tests.k8s.containers import Builder
from tests.vm.machine import Machine

CHART = CHECKOUT / "tests/fleet/chart/least/rendered.yaml"
"""What the tier `fleet` holds the chart to."""
PROFILE = "cri-containerd.apparmor.d"
"""What containerd calls its default profile of AppArmor."""
ROOT = "/run/image"
LOG = "/run/pod.log"
# Those that containerd gives a container of which nothing else is asked.
USUAL = """
CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
AUDIT_WRITE
"""


def fill(file: Path, builder: Builder) -> dict[str, Any]:
    """Build the image, fill a disk with its files, and return what it says of itself."""
    name = builder.program("pod", BASE=builder.base())
    container = builder.run("from", name)
    tree = builder.run("mount", container)
    run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-d", tree, file, "600M", timeout=300)
    builder.run("umount", container)
    config: dict[str, Any] = builder.inspect(name)["OCIv1"]["config"]
    return config


class Pod:
    """The agent's container, on a machine that has the disk of the image."""

    def __init__(self, machine: Machine, image: dict[str, Any], settings: str) -> None:
        """Take a machine, what the image says of itself, and a directory with settings; start containerd."""
        self.machine, self._image, self._settings = machine, image, settings
        documents = yaml.safe_load_all(CHART.read_text())
        (daemonset,) = (one for one in documents if one and one["kind"] == "DaemonSet")
        self.spec: dict[str, Any] = daemonset["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        assert self.spec["hostNetwork"]
        assert self.spec["hostPID"]
        script = (
            f"mkdir -p /run/disk {ROOT}; mount -t tmpfs tmpfs /run/disk;"
            " cd /run/disk; mkdir lower upper work;"
            " mount -o ro /dev/vdb lower;"
            f" mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay {ROOT};"
            " systemctl start containerd; until ctr version >/dev/null 2>&1; do sleep 0.5; done"
        )
        machine.run("sh", "-euc", script, timeout=300)

    @property
    def capabilities(self) -> set[str]:
        """The capabilities that the chart asks for; it drops all others."""
        asked = self.container["securityContext"]["capabilities"]
        assert asked["drop"] == ["ALL"]
        return set(asked["add"])

    def start(self, profile: str = "") -> None:
        """Start the agent, under the AppArmor profile of the chart or another one, such as RuntimeDefault."""
        context = self.container["securityContext"]
        words = ["--detach", f"--log-uri=file://{LOG}", "--net-host", "--with-ns=pid:/proc/1/ns/pid"]
        words += [f"--cap-add=CAP_{name}" for name in self.capabilities]
        words += [f"--cap-drop=CAP_{name}" for name in USUAL.split() if name not in self.capabilities]
        words += ["--read-only"] * context["readOnlyRootFilesystem"]
        words += ["--seccomp"] * (context["seccompProfile"]["type"] == "RuntimeDefault")
        match profile or context["appArmorProfile"]["type"]:
            case "RuntimeDefault":
                words += [f"--apparmor-default-profile={PROFILE}"]
            case asked:
                assert asked == "Unconfined"
        words += [f"--env={variable}" for variable in (*self._image["Env"], "NODE_NAME=node1")]
        words += [*self._mounts(), "--rootfs", ROOT, "agent"]
        command = [*self._image["Entrypoint"], *self.container["args"]]
        self.machine.run("ctr", "run", *words, *command, timeout=300)

    def _mounts(self) -> list[str]:
        places = {"settings": self._settings}
        places |= {one["name"]: one["hostPath"]["path"] for one in self.spec["volumes"] if "hostPath" in one}
        words = []
        for mount in self.container["volumeMounts"]:
            options = [
                "rbind",
                "rslave" if mount.get("mountPropagation") == "HostToContainer" else "rprivate",
            ]
            options.append("ro" if mount.get("readOnly") else "rw")
            source, target = places[mount["name"]], mount["mountPath"]
            words.append(f"--mount=type=bind,src={source},dst={target},options={':'.join(options)}")
        return words

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the container and return what it printed."""
        words = ["ctr", "task", "exec", "--exec-id=test", "agent", *command]
        return self.machine.run(*words, check=check, timeout=300).stdout

    def log(self) -> list[dict[str, Any]]:
        """Return what the agent has logged."""
        return [json.loads(line) for line in self.machine.read(LOG).splitlines() if line.startswith("{")]

    def stop(self) -> None:
        """End the agent, and remove its container."""
        script = (
            "ctr task kill agent; until ctr task delete agent; do sleep 0.5; done; ctr container delete agent"
        )
        try:
            self.machine.run("sh", "-c", f"{script}; rm {LOG}", timeout=300)
        except CommandFailed as e:
            raise AssertionError(f"{e}\n{self.machine.read(LOG)}") from e
