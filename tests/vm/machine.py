"""A virtual machine for tests: a whole host with its own kernel, and NICs that are plugged in and out.

    with Namespace() as cloud, Machine(cloud) as machine:
        machine.plug("fa:16:3e:00:00:07")
        machine.run("ip", "-brief", "link").stdout

QEMU emulates it, unless MULTINIC_TEST_ACCELERATOR names something faster ("kvm"). It runs in a network
namespace, whose loopback the guest reaches as `Machine.gateway`, by its one NIC at boot: a database that
listens there on 127.0.0.1 is the cloud's. NICs that are plugged in are on a network of their own, with a
gateway that answers. Nothing of it reaches further. The disk's changes last as long as the machine.
"""

from __future__ import annotations

import base64
import os
import platform
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests import mariadb, namespaces
from tests.hosts import ENVIRONMENT, CommandFailed, Host, eventually
from tests.k8s.images import BASE
from tests.namespaces import Namespace
from tests.scratch import scratch
from tests.vm.image import MANAGEMENT_MAC, TRIXIE
from tests.vm.qemu import Agent, Channel, Qmp, Refused

# QEMU 7.2 gets the flags wrong after cmpxchg16b: the guest's kernel panics unless cx16 is masked. Without svm
# udev does not load kvm.
CPU = "qemu64,-cx16,-svm"
SLOTS = 12  # of the machine's PCI Express, one for each NIC that can be plugged in
NETWORK = "10.5.0.0/24"
NETWORK_GATEWAY = "10.5.0.1"
BOOT_TIMEOUT = 600  # seconds; emulation on an idle machine needs half a minute


def missing() -> str | None:
    """Say why no virtual machine can be run here, or None if one can."""
    if platform.machine() != "x86_64":
        return "its kernel is one for x86_64"
    if os.geteuid() != 0:
        return "only root can make its disk"
    needed = {"qemu-system-x86_64": "qemu-system-x86", "mke2fs": "e2fsprogs", "buildah": "buildah"}
    if not (TRIXIE.path.exists() and BASE.path.exists()):
        needed["mmdebstrap"] = "mmdebstrap"
    if lacking := [program for program in needed if not shutil.which(program)]:
        packages = " ".join(needed[program] for program in lacking)
        return f"{', '.join(lacking)} not found (Debian, Ubuntu: {packages})"
    return mariadb.missing() or namespaces.missing()


class Machine(Host):
    """A host that is booted on entry to the `with` block, and gone after it."""

    gateway = "10.0.2.2"

    def __init__(self, cloud: Namespace) -> None:
        self._cloud = cloud
        self._exits = ExitStack()
        self._slots: dict[str, str] = {}

    def __enter__(self) -> Machine:
        try:
            self._start(TRIXIE.build())
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._exits.close()

    def _start(self, image: Path) -> None:
        self._directory = self._exits.enter_context(scratch("vm"))
        with (self._directory / "qemu.log").open("wb") as log:
            self._qemu = subprocess.Popen(
                [*self._cloud.prefix, *self._command(image)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(self._directory)},  # the changes of the disk
            )
        self._exits.callback(self._end)
        qmp, agent = (Channel(self._directory / name, self._alive) for name in ("qmp", "agent"))
        self._exits.callback(qmp.close)
        self._exits.callback(agent.close)
        self._qmp, self._agent = Qmp(qmp), Agent(agent)
        self._booted()

    def _command(self, image: Path) -> list[str]:
        accelerator = os.environ.get("MULTINIC_TEST_ACCELERATOR", "tcg,thread=multi")
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
        command += ["-machine", "q35,sata=off,smbus=off", "-cpu", CPU, "-accel", accelerator]
        command += ["-m", "1024", "-smp", "2", "-pidfile", f"{self._directory}/pid"]
        command += ["-kernel", f"{image}/vmlinuz", "-initrd", f"{image}/initrd.img"]
        command += ["-append", "root=/dev/vda rw console=ttyS0 quiet"]
        disk = f"file={image}/disk.img,format=raw,if=none,id=disk,cache=unsafe,snapshot=on"
        command += ["-drive", disk, "-device", "virtio-blk-pci,drive=disk"]
        command += ["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
        command += ["-chardev", f"socket,id=agent,path={self._directory}/agent,server=on,wait=off"]
        command += ["-device", "virtserialport,id=agent,chardev=agent,name=org.qemu.guest_agent.0"]
        command += ["-chardev", f"file,id=console,path={self._directory}/console"]
        command += ["-serial", "chardev:console"]
        command += ["-qmp", f"unix:{self._directory}/qmp,server=on,wait=off"]
        command += ["-netdev", "user,id=management,ipv6=off"]
        command += ["-device", f"virtio-net-pci,netdev=management,mac={MANAGEMENT_MAC},romfile="]
        command += ["-netdev", f"user,id=network,net={NETWORK},host={NETWORK_GATEWAY},restrict=on,ipv6=off"]
        command += ["-netdev", "hubport,id=gateway,hubid=1,netdev=network"]
        for slot in range(SLOTS):
            command += ["-device", f"pcie-root-port,id=slot{slot},chassis={slot + 1},slot={slot + 1}"]
        return command

    def _booted(self) -> None:
        try:
            self._qmp.wait_for_agent(BOOT_TIMEOUT)
            self._agent.synchronise(60)
            # Until all that a boot starts is done, the first pass of a timer too.
            self.run("systemctl", "is-system-running", "--wait", check=False, timeout=BOOT_TIMEOUT)
            eventually(lambda: self.addresses("eth0"), timeout=BOOT_TIMEOUT, what="the address of eth0")
        except (OSError, TimeoutError) as e:
            raise RuntimeError(f"the machine did not boot: {e}\n{self.console()}") from e

    def _alive(self) -> None:
        if self._qemu.poll() is not None:
            log = (self._directory / "qemu.log").read_text(errors="replace")
            raise RuntimeError(f"QEMU ended with {self._qemu.returncode}: {log}")

    def _end(self) -> None:
        self._qemu.kill()
        self._qemu.wait()

    def console(self) -> str:
        """Return the last that the kernel and systemd printed."""
        return (self._directory / "console").read_text(errors="replace")[-4000:]

    def run(
        self,
        *argv: str,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        input: str | bytes | None = None,  # noqa: A002 - as subprocess.run calls it
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, as root, with the environment of a service plus `env`."""
        given = input.encode() if isinstance(input, str) else input or b""
        environment = [f"{name}={value}" for name, value in {**ENVIRONMENT, **(env or {})}.items()]
        arguments = {"path": "timeout", "arg": ["--kill-after=5", str(timeout), *argv], "env": environment}
        arguments |= {"capture-output": True, "input-data": base64.b64encode(given).decode()}
        pid = self._agent.command("guest-exec", **arguments)["pid"]
        pause, deadline = 0.01, time.monotonic() + timeout + 60
        while not (state := self._agent.command("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{argv} does not end")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)
        said = [base64.b64decode(state.get(f"{name}-data", "")).decode() for name in ("out", "err")]
        status = state.get("exitcode", -state.get("signal", 0))
        if status == 124:
            raise subprocess.TimeoutExpired(argv, timeout, *said)
        if check and status:
            raise CommandFailed(status, shlex.join(argv), *said)
        return subprocess.CompletedProcess(argv, status, *said)

    def put(self, file: Path, path: str) -> None:
        """Copy a file of this machine to the host."""
        self.run("sh", "-euc", 'cat > "$1"', "sh", path, input=file.read_bytes(), timeout=300)

    def clock(self) -> float:
        """Return the time by the host's clock, in seconds since 1970."""
        return float(self._agent.command("guest-get-time")) / 1e9

    # The cloud's side

    def plug(self, *macs: str) -> None:
        """Plug NICs in, one after the other, as a cloud does while the host runs."""
        for mac in macs:
            slot = next(f"slot{n}" for n in range(SLOTS) if f"slot{n}" not in self._slots.values())
            name = _name(mac)
            self._qmp.command("netdev_add", type="hubport", id=f"{name}-port", hubid=1)
            device = {
                "driver": "virtio-net-pci",
                "id": name,
                "netdev": f"{name}-port",
                "mac": mac,
                "bus": slot,
            }
            self._qmp.command("device_add", **device, romfile="")
            self._slots[mac] = slot

    def insert(self, disk: Path) -> None:
        """Plug a disk in, which the host may read; it is `/dev/vdb` there, and stays."""
        file = {"driver": "file", "filename": str(disk), "read-only": True}
        self._qmp.command(
            "blockdev-add", **{"driver": "raw", "node-name": "disk2", "read-only": True, "file": file}
        )
        slot = f"slot{SLOTS - 1}"
        self._qmp.command("device_add", driver="virtio-blk-pci", id="disk2", drive="disk2", bus=slot)
        self._slots["disk2"] = slot

    def unplug(self, mac: str) -> None:
        """Take a NIC out, and wait until the host has let it go.

        A guest that is busy may miss the press of the button; a second one soon after would take it back.
        """
        for _ in range(6):
            try:
                self._qmp.command("device_del", id=_name(mac))
            except Refused as e:
                if "in the process" not in str(e):
                    raise
            try:
                self._qmp.wait_for("DEVICE_DELETED", 10, device=_name(mac))
            except TimeoutError:
                continue
            self._qmp.command("netdev_del", id=f"{_name(mac)}-port")
            del self._slots[mac]
            return
        raise RuntimeError(f"the host does not let go of {mac}: {self.console()}")

    def cable(self, mac: str, *, connected: bool) -> None:
        """Plug the cable of a NIC in or out."""
        self._qmp.command("set_link", name=_name(mac), up=connected)

    def reboot(self, *, hard: bool = False) -> None:
        """Restart the host; what is plugged in stays. `hard` is a reset, of which it is not told."""
        before = self.read("/proc/sys/kernel/random/boot_id")
        self._qmp.forget()
        if hard:
            self._qmp.command("system_reset")
        else:
            self._agent.send("guest-shutdown", mode="reboot")
        self._qmp.wait_for("RESET", BOOT_TIMEOUT)
        self._qmp.agent_listens = False
        self._booted()
        assert self.read("/proc/sys/kernel/random/boot_id") != before


def _name(mac: str) -> str:
    return f"nic-{mac.replace(':', '')}"
