"""The chart's pod under a kernel that confines containers by AppArmor, as Ubuntu's nodes do."""

from __future__ import annotations

from tests.k8s.containers import Builder
from tests.node import Node, mac_of
from tests.scratch import scratch
from tests.vm.machine import Machine
from tests.vm.pod import PROFILE, Pod, fill
from tests.vm.test_life import until, works

SETTINGS = "/etc/multinic-pod"
ENFORCED = "/sys/kernel/security/apparmor/profiles"
# As the kernel counts them.
NUMBERS = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
}


def test_apparmor_lets_the_pod_work_as_the_chart_asks_for_it(
    shared_machine: Machine, shared_node: Node
) -> None:
    machine, node = shared_machine, shared_node
    url = f"mysql://multinic@{machine.gateway}:{node.server.port}/{node.database}"
    text = f'log_format = "json"\n[agent]\npoll_interval = "3s"\n[database]\nurl = "{url}"\n'
    text += 'password_file = "/etc/multinic/password"\n'
    machine.write(f"{SETTINGS}/multinic.toml", text, 0o400)
    machine.write(f"{SETTINGS}/password", "hush-hush\n", 0o400)
    node.attach(6)
    with scratch("pod") as directory:
        (directory / "images").mkdir()
        disk = directory / "disk"
        image = fill(disk, Builder(directory / "images"))
        machine.plug(mac_of(6))
        machine.insert(disk)
        pod = Pod(machine, image, SETTINGS)

        # The default profile denies what the agent needs of its node: one reason, and what to do.
        pod.start("RuntimeDefault")
        assert f"{PROFILE} (enforce)" in machine.read(ENFORCED)
        until(lambda: any(PROFILE in line.get("hint", "") for line in pod.log()), "what the pod says")
        (said, *_) = [line for line in pod.log() if PROFILE in line.get("hint", "")]
        assert "nsenter" in said["msg"]
        assert "appArmorProfile" in said["hint"]
        assert node.flags()["port-6"] == 0
        assert "configuration" in pod.run("sh", "-c", "multinic-ready; true")
        pod.stop()

        # As the chart asks for it: confined by nothing but its few capabilities and seccomp.
        pod.start()
        until(lambda: node.flags()["port-6"] == 1, "a row that is done")
        link = machine.link_of(mac_of(6))
        assert link
        works(machine, link["ifname"], "10.5.0.16/24")
        status = dict(line.split(":", 1) for line in pod.run("cat", "/proc/self/status").splitlines())
        assert int(status["CapEff"], 16) == sum(1 << NUMBERS[name] for name in pod.capabilities)
        assert int(status["Seccomp"]) == 2
        assert pod.run("cat", "/proc/self/attr/current").strip() == "unconfined"
        pod.stop()
