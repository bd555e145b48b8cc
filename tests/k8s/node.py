"""A booted host that is a node of a cluster: containerd and a kubelet run in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.host.kinds import ADDRESS, GATEWAY, NETPLAN
from tests.host.nspawn import Box
from tests.hosts import eventually, run
from tests.k8s.control import SERVICES
from tests.k8s.images import NODE
from tests.scratch import HIERARCHIES, remove_cgroup

NETWORK = "10.66.0"
PROGRAMS = "/srv/programs"
SANDBOX = "localhost/sandbox:1"
"""The image of the process that holds the namespaces of a pod."""
KUBELET_DIRECTORIES = ("/var/lib/containerd", "/var/lib/kubelet")
"""What cannot be on the overlay that the host's root is: containerd makes overlays in there."""

# The kubelet demands these of the kernel, and would set them for the whole machine: in the host, files with
# what it wants to see are mounted over them.
KERNEL_SETTINGS = (
    "vm/overcommit_memory=1",
    "vm/panic_on_oom=0",
    "kernel/panic=10",
    "kernel/panic_on_oops=1",
    "kernel/keys/root_maxkeys=1000000",
    "kernel/keys/root_maxbytes=25000000",
)
# Before containerd, at every boot. systemd-nspawn mounts the hierarchies read-only, although those of a host
# are its own; of /dev/kmsg the kubelet only wants to know that it can be opened; containers see later mounts.
PREPARE = f"""\
#!/bin/sh
set -e
for hierarchy in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$hierarchy"; done
mkdir -p /run/kernel-settings
for setting in {" ".join(KERNEL_SETTINGS)}; do
    file=/run/kernel-settings/$(echo "${{setting%=*}}" | tr / _)
    echo "${{setting#*=}}" >"$file"
    mount --bind "$file" "/proc/sys/${{setting%=*}}"
done
[ -e /dev/kmsg ] || mknod /dev/kmsg c 1 3
mount --make-rshared /
"""
BEFORE_CONTAINERD = "[Service]\nExecStartPre=/usr/local/sbin/prepare-node\n"
# Without CAP_SYS_RESOURCE nobody may protect a process from the OOM killer.
CONTAINERD = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""
# For pods with a network of their own. Its plugin makes links, routes and rules of the firewall.
IPAM = {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}]}
# As multinic doctor asks for it: else networkd itself removes the rules of others when a NIC is plugged in.
NETWORKD = "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"
KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  x509: {clientCAFile: /etc/kubelet/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
syncFrequency: 2s
resolvConf: ""
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
"""
# The CRI may answer a little after containerd says that it runs; the kubelet is started again then.
UNIT = """\
[Unit]
Requires=containerd.service
After=containerd.service
[Service]
ExecStart={programs}/kube kubelet --config /etc/kubelet/settings.yaml --kubeconfig /etc/kubelet/kubeconfig \\
    --hostname-override {name} --node-ip {address}
Restart=always
RestartSec=1
KillMode=process
[Install]
WantedBy=multi-user.target
"""


class KubeNode(Box):
    """A node. It reaches the cluster's network by its first NIC, of which the far end is in that network."""

    def __init__(self, number: int, programs: Path, hub: str) -> None:
        """Take the number of the node, where kube is, and the network namespace of the cluster."""
        self.address = f"{NETWORK}.{10 + number}"
        self.gateway = f"{NETWORK}.{100 + number}"
        text = NETPLAN.management_text.replace(ADDRESS, self.address).replace(GATEWAY, self.gateway)
        text += f"      - to: {SERVICES}\n        via: {NETWORK}.1\n"
        kind = replace(NETPLAN, suite=NODE.name, management_text=text, without=())
        super().__init__(kind, hostname=f"node{number}")
        self.management_mac = f"52:54:00:99:01:{number:02x}"
        self._programs, self._hub, self._number = programs, hub, number

    def join(self, kubeconfig: str, authority: str, images: list[Path]) -> None:
        """Make this host a node, with these images in its store."""
        unit = UNIT.format(programs=PROGRAMS, name=self.hostname, address=self.address)
        files = {
            "/usr/local/sbin/prepare-node": PREPARE,
            "/etc/systemd/system/containerd.service.d/prepare.conf": BEFORE_CONTAINERD,
            "/etc/containerd/config.toml": CONTAINERD,
            "/etc/cni/net.d/10-pods.conflist": self._cni(),
            "/etc/kubelet/settings.yaml": KUBELET,
            "/etc/kubelet/kubeconfig": kubeconfig,
            "/etc/kubelet/ca.crt": authority,
            "/etc/systemd/system/kubelet.service": unit,
        }
        for path, text in files.items():
            self.write(path, text, 0o755 if "sbin" in path else 0o600)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "enable", "--now", "containerd")
        eventually(lambda: not self.run("ctr", "version", check=False).returncode, timeout=60)
        for image in images:
            self.load(image)
        self.run("systemctl", "enable", "--now", "kubelet")

    def _cni(self) -> str:
        ipam = {**IPAM, "subnet": f"10.244.{self._number}.0/24"}
        plugin = {"type": "ptp", "ipMasq": True, "ipam": ipam}
        return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [plugin]})

    def close(self) -> None:
        """Switch the node off and remove every trace of it; kubelet and containerd would take long to end."""
        self._kill()
        super().close()

    def load(self, image: Path) -> None:
        """Put an image (an archive) into the node's store."""
        self.run("ctr", "--namespace=k8s.io", "images", "import", f"{PROGRAMS}/{image.name}", timeout=120)

    def _options(self) -> list[str]:
        binds = [f"--bind={self.directory}{path}:{path}" for path in KUBELET_DIRECTORIES]
        # add_key, keyctl and bpf: what runc calls.
        more = ["--capability=all", "--system-call-filter=add_key keyctl bpf"]
        return [*more, f"--bind-ro={self._programs}:{PROGRAMS}", *binds]

    def _furnish(self) -> None:
        super()._furnish()
        settings = Path(
            f"/proc/{self._keeper}/root{self.directory}/root/etc/systemd/networkd.conf.d/cni.conf"
        )
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(NETWORKD)
        for path in KUBELET_DIRECTORIES:
            Path(f"/proc/{self._keeper}/root{self.directory}{path}").mkdir(parents=True)

    def bridge(self, network: str) -> None:
        """Make the bridge of a network; that of the management is part of the cluster's network."""
        super().bridge(network)
        if network == "mgmt" and self.in_cloud("ip", "link", "show", "hub", check=False).returncode:
            far = ["peer", "name", f"node{self._number}", "netns", self._hub]
            self.in_cloud("ip", "link", "add", "hub", "type", "veth", *far)
            self.in_cloud("ip", "link", "set", "hub", "master", "br-mgmt", "up")
            run("ip", "-netns", self._hub, "link", "set", f"node{self._number}", "master", "hub", "up")

    def _own_cgroups(self) -> list[str]:
        """Return the files by which a process enters a cgroup of this node's own, in every hierarchy."""
        for hierarchy in HIERARCHIES:
            (own := hierarchy / self._cgroup).mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (own / name).exists() and not (own / name).read_text().strip():
                    (own / name).write_text((hierarchy / name).read_text())
            if (own / "cgroup.clone_children").exists() and (own / "cpuset.cpus").exists():
                (own / "cgroup.clone_children").write_text("1")
        return [f"{hierarchy}/{self._cgroup}/cgroup.procs" for hierarchy in HIERARCHIES]

    def _leave_cgroups(self) -> None:
        for hierarchy in HIERARCHIES:
            remove_cgroup(hierarchy / self._cgroup)

    def processes(self, pattern: str) -> list[int]:
        """Return the processes of the node, containers' too, whose command line has this in it."""
        found = self.run("pgrep", "--full", "--", pattern, check=False).stdout
        return [int(pid) for pid in found.split()]

    def http(self, path: str) -> tuple[int, Any]:
        """Return status and document of what the agent answers on the node's loopback."""
        script = (
            "import json, sys, urllib.request, urllib.error\n"
            "try: answer = urllib.request.urlopen('http://127.0.0.1:8080' + sys.argv[1], timeout=5)\n"
            "except urllib.error.HTTPError as e: answer = e\n"
            "print(json.dumps([answer.status, json.load(answer)]))\n"
        )
        status, document = json.loads(self.run("python3", "-Ic", script, path).stdout)
        return status, document
