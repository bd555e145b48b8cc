"""A booted host for tests: systemd, udev and what manages its links, in a throw-away container.

    with Box() as box:  # with netplan; Box(NETWORKD) and the like: kinds.py
        box.plug("eth1", "52:54:00:00:00:07")
        box.run("netplan", "--version").stdout

Nothing of it is seen by the machine underneath: no link, no mount, no D-Bus name. Two network namespaces
belong to a box. In `box.host` the host runs; `box.cloud` is everything around it: one bridge per network,
with the far ends of the host's links. A NIC is made there and appears in the host, down and under a kernel's
name, as a hypervisor does it. Servers of a test (the database) run in `box.cloud`.

All processes of a box live in a process namespace whose first process reads a pipe from us: however we end,
even by SIGKILL, the kernel ends the host with us, and its mounts go too.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.host.image import IMAGES, build_image
from tests.host.kinds import ADDRESS, GATEWAY, MANAGEMENT_MAC, NETPLAN, Kind
from tests.hosts import CHECKOUT, ENVIRONMENT, Host, eventually, run
from tests.namespaces import FAR_INDICES, Event, monitor
from tests.scratch import CGROUPS, END_WITH_TESTS, mark, remove_cgroup, scratch

TOOLS = ("dnsmasq", "ip", "mount", "nsenter", "systemd-nspawn", "unshare")
BOOT_TIMEOUT = 120  # seconds; it takes less than one on an idle machine
SLOTS = range(64)
DEFAULT_RULES = (0, 32766, 32767)
LEFT_BEHIND = (
    "/etc/netplan/*",
    "/etc/NetworkManager/system-connections/*multinic*",
    "/run/NetworkManager/system-connections/*multinic*",
    "/run/systemd/network/*multinic*",
    "/run/udev/rules.d/*multinic*",
    "/etc/udev/rules.d/*multinic*",
    "/etc/systemd/network/*multinic*.link*",
    "/etc/systemd/network/*multinic*.network",
    "/etc/systemd/network/*multinic*.network.d/multinic.conf",
    "/etc/sysconfig/network/*multinic*",
    "/run/wicked/nanny/*multinic*",
    "/var/lib/wicked/*multinic*",
    "/etc/multinic",
    "/run/multinic",
    "/var/lib/multinic",
    "/var/cache/multinic",
)
"""What the program may leave on a host, as shell patterns; the drop-ins for veth links are ours."""

# netplan (0.106 and later) matches the MAC of a renamed link by PermanentMACAddress=, which no veth has. With
# that match emptied, Name= is left of it. Only links without a permanent MAC need this; the product must not.
# In a .link file nothing would be left, so there the drop-in names the MAC (Box.let_udev_know). With it, udev
# in a box does rename a veth, when it is plugged in and when the host boots. It looks for new .link files
# only every three seconds: a NIC that arrives sooner keeps its name without a `udevadm control --reload`.
VETH_DROP_IN = "[Match]\nPermanentMACAddress=\n"

PROGRAM = """\
#!/bin/sh
export PYTHONPATH=/srv/checkout PYTHONPYCACHEPREFIX=/var/cache/pycache PYTHONSAFEPATH=1
exec {python} {program} "$@"
"""
# A host whose own Python is too old runs that of another image, with the loader and libraries of that one.
LENDER = "trixie"
LENT = "/srv/python"
LENT_PYTHON = "/usr/local/bin/lent-python3"
LEND = f"""\
#!/bin/sh
for libraries in {LENT}/usr/lib/*-linux-gnu; do
    set -- --library-path "$libraries" --argv0 {LENT}/usr/bin/python3 {LENT}/usr/bin/python3 "$@"
done
exec {LENT}/lib64/ld-linux-*.so.2 "$@"
"""
COVERAGE_RC = "/etc/multinic-coverage.ini"
COVERAGE = """\
[run]
branch = true
source_pkgs = multinic
parallel = true
sigterm = true
data_file = /srv/coverage/{name}
disable_warnings = no-data-collected,module-not-imported
"""
MEASURED = "/usr/local/lib/measured.py"
# The program ends by os._exit; coverage saves its data before that only since a version that no Debian has.
MEASURE = f"""\
import os, runpy, coverage
measuring, end = coverage.Coverage(config_file="{COVERAGE_RC}"), os._exit
def save_and_end(status):
    measuring.stop()
    measuring.save()
    end(status)
os._exit = save_and_end
measuring.start()
runpy.run_module("multinic", run_name="__main__", alter_sys=True)
"""

# The first process of a box. It gives the box a /run/systemd/nspawn of its own, as systemd-nspawn does not
# tidy up there, and lets go of the named network namespaces, which would live on in this mount namespace.
KEEPER = """\
set -e
umount -R -l /run/netns 2>/dev/null || true
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mount -t tmpfs -o mode=0700 tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/root"
chmod 0755 "$1/changes"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/changes,workdir=$1/work" "$1/root"
echo ready
exec cat
"""

# Enters the cgroups whose files come first among the arguments, then runs the rest.
IN_CGROUPS = """\
while [ "${1%/cgroup.procs}" != "$1" ]; do echo 0 > "$1"; shift; done
exec "$@"
"""

# The same steps, gone with the shell that took them: what cannot be done here cannot be done for a box.
PROBE = """\
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/lower /mnt/changes /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/changes,workdir=/mnt/work /mnt/root
ip link add bridge type bridge
ip link add port type veth peer name nic
ip link set port master bridge
"""


def available() -> str | None:
    """Say why no host can be booted on this machine, or None if one can."""
    if os.geteuid() != 0:
        return "only root can boot a host"
    needed = TOOLS if all(image.path.exists() for image in IMAGES.values()) else (*TOOLS, "mmdebstrap")
    if lacking := [tool for tool in needed if not shutil.which(tool)]:
        packages = "mmdebstrap systemd-container iproute2 dnsmasq-base"
        return f"{', '.join(lacking)} not found (Debian, Ubuntu: {packages})"
    probe = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", PROBE]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        return f"no namespaces, overlays or veth links here: {done.stderr.strip()}"
    return None


@dataclass(frozen=True)
class Nic:
    """A link plugged into a box."""

    name: str
    """What the kernel calls it when it appears."""
    mac: str
    network: str
    port: str
    """The far end, in the cloud."""


class Box(Host):
    """A host of its own: booted on entry to the `with` block, gone after it; `reboot()` keeps its files."""

    gateway = GATEWAY
    address = ADDRESS
    management_mac = MANAGEMENT_MAC

    def __init__(
        self,
        kind: Kind = NETPLAN,
        *,
        hostname: str = "node1",
        coverage: str | os.PathLike[str] | None = None,
    ) -> None:
        """Set up a box that is not booted yet.

        With `coverage`, the path of coverage's data file on this machine, every run of the program in the box
        leaves its measurements beside that file, where `coverage combine` finds them.
        """
        ident = uuid4().hex[:8]
        self.kind = kind
        self.hostname = hostname
        self.host = f"{mark()}host-{ident}"
        self.cloud = f"{mark()}cloud-{ident}"
        self.coverage = Path(coverage).absolute() if coverage else None
        self.nics: list[Nic] = []
        self.leader = 0
        self._machine = f"multinic-{ident}"
        self._cgroup = f"{mark()}box-{ident}"
        self._numbers = itertools.count()
        self._indices = itertools.count(FAR_INDICES)
        self._exits = ExitStack()
        self._exits_of_host = ExitStack()
        self._nspawn: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Box:
        try:
            self._enter()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Shut the host down and remove every trace of it."""
        try:
            self._shut_down("poweroff")
        finally:
            self._exits.close()

    # The host's life

    def reboot(self, *, hard: bool = False) -> None:
        """Restart the host: new processes, new /run, NICs as just plugged in; `hard` is a loss of power."""
        if hard:
            self._kill()
        else:
            self._shut_down("reboot")
        self._exits_of_host.close()
        self._start()

    def _enter(self) -> None:
        image = build_image(self.kind.suite)
        self.directory = self._exits.enter_context(scratch("box"))
        self._exits.callback(self._leave_cgroups)
        self.shared = self._exits.enter_context(scratch("shared"))
        """A directory of this machine that the host has as /srv/shared."""
        self._console = self._exits.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed by _exits
        self._keep(image)
        self._furnish()
        self._namespace(self.cloud, self._exits)
        self._exits.enter_context(self._exits_of_host)
        self.nics.append(Nic("eth0", self.management_mac, "mgmt", "management"))
        self.bridge("mgmt")
        self.in_cloud("ip", "address", "add", f"{self.gateway}/24", "dev", "br-mgmt")
        self._start()

    def _keep(self, image: Path) -> None:
        """Start the first process of the box, and in its mount namespace the file system of the host."""
        options = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        keeper = subprocess.Popen(
            ["unshare", *options, "sh", "-c", KEEPER, "sh", self.directory, image],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._console,
            start_new_session=True,
        )
        (self.directory / "pid").write_text(str(keeper.pid))
        assert keeper.stdin
        assert keeper.stdout
        self._exits.callback(keeper.wait, 30)
        self._exits.callback(keeper.stdout.close)
        self._exits.callback(keeper.stdin.close)
        if keeper.stdout.readline() != b"ready\n":
            raise RuntimeError(f"no file system for the box: {self.console_text()}")
        self._keeper = _children(keeper.pid)[0]
        self.tree = Path(f"/proc/{self._keeper}/root{self.directory}/root")
        """The host's root as this machine sees it, host booted or not; without its /run and /tmp."""

    def _furnish(self) -> None:
        """Write what a cloud, and an installed package, would have put on the host."""
        chroot = ["nsenter", f"--target={self._keeper}", "--mount", "chroot", f"{self.directory}/root"]
        if self.kind.without:
            run(*chroot, "dpkg", "--purge", "--force-depends", *self.kind.without, env=ENVIRONMENT)
        program, settings = "-m multinic", ""
        if self.coverage:
            program = MEASURED
            settings = COVERAGE.format(name=self.coverage.name)
        files = {
            "etc/hostname": (0o644, f"{self.hostname}\n"),
            "etc/hosts": (0o644, f"127.0.0.1 localhost\n127.0.1.1 {self.hostname}\n"),
            "etc/machine-id": (0o444, f"{uuid4().hex}\n"),
            COVERAGE_RC: (0o644, settings),
            MEASURED: (0o644, MEASURE),
            "usr/local/bin/multinic": (0o755, PROGRAM.format(python=self.python, program=program)),
            **self.kind.files,
        }
        if self._borrows:
            files[LENT_PYTHON] = (0o755, LEND)
        for slot in SLOTS:
            drop_in = f"etc/systemd/network/10-netplan-multinic{slot}.network.d/veth.conf"
            files[drop_in] = (0o644, VETH_DROP_IN)
        for name, (mode, text) in files.items():
            path = self.tree / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_text(text)
            path.chmod(mode)
        run(*chroot, "systemctl", "--quiet", "enable", self.kind.service, env=ENVIRONMENT)

    def _start(self) -> None:
        self._namespace(self.host, self._exits_of_host)
        for nic in self.nics:
            self._connect(nic)
        # Duplicate address detection would make every boot two seconds longer, and eth0 is not what we test.
        dad = ["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad"]
        run("ip", "netns", "exec", self.host, *dad)
        # Started within the namespace, not by --network-namespace-path=: so /sys shows the links of the host
        # and not those of this machine. systemd-nspawn takes CAP_NET_ADMIN away then, hence the option.
        # With --keep-unit a reboot is an exit, and we start the next host with its NICs plugged in.
        enter = ["nsenter", f"--target={self._keeper}", "--mount", "--pid", f"--net=/run/netns/{self.host}"]
        options = ["--quiet", "--register=no", "--keep-unit", *self._options()]
        options += ["--resolv-conf=off", "--timezone=off", "--link-journal=no"]
        options += [f"--machine={self._machine}", f"--hostname={self.hostname}"]
        options += [f"--directory={self.directory}/root", f"--bind-ro={CHECKOUT}:/srv/checkout"]
        options += [f"--bind={self.shared}:/srv/shared"]
        if self._borrows:
            options += [f"--bind-ro={build_image(LENDER)}:{LENT}"]
        if self.coverage:
            self.coverage.parent.mkdir(parents=True, exist_ok=True)
            options += [f"--bind={self.coverage.parent}:/srv/coverage"]
        own = ["sh", "-c", IN_CGROUPS, "sh", *self._own_cgroups()]
        self._nspawn = subprocess.Popen(
            [*own, *enter, "systemd-nspawn", *options, "--boot"],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=self._console,
            env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
            start_new_session=True,
        )
        self.leader = eventually(self._find_leader, timeout=BOOT_TIMEOUT, what="a first process")
        eventually(self._booted, timeout=BOOT_TIMEOUT, what="a running system")
        address = [f"{self.address}/24"]
        eventually(
            lambda: self.settled("eth0") and self.addresses("eth0") == address,
            timeout=BOOT_TIMEOUT,
            what="the address of eth0",
        )
        self._management_at_boot = self._management()

    def _options(self) -> list[str]:
        """Return what systemd-nspawn is to be told of this kind of box."""
        return ["--capability=CAP_NET_ADMIN"]

    def _own_cgroups(self) -> list[str]:
        """Return the files by which a process enters a cgroup of this box's own.

        In one that they share, the systemd of each host removes what is another's.
        """
        hierarchies = [path for path in CGROUPS if (path / "cgroup.procs").exists()]
        for hierarchy in hierarchies:
            (hierarchy / self._cgroup).mkdir(exist_ok=True)
        return [f"{hierarchy}/{self._cgroup}/cgroup.procs" for hierarchy in hierarchies]

    def _leave_cgroups(self) -> None:
        for hierarchy in CGROUPS:
            remove_cgroup(hierarchy / self._cgroup)

    def _find_leader(self) -> int:
        """Return the process that is number 1 in the third namespace, after this machine's and the box's."""
        assert self._nspawn
        if self._nspawn.poll() is not None:
            raise RuntimeError(f"systemd-nspawn ended with {self._nspawn.returncode}: {self.console_text()}")
        for nspawn in _children(self._nspawn.pid):
            for child in _children(nspawn):
                numbers = re.search(r"^NSpid:(.*)$", _read(f"/proc/{child}/status"), re.MULTILINE)
                if numbers and numbers[1].split()[2:] == ["1"]:
                    return child
        return 0

    def _booted(self) -> bool:
        if self._nspawn and self._nspawn.poll() is not None:
            raise RuntimeError(f"the host ended while booting: {self.console_text()}")
        state = self.run("systemctl", "is-system-running", check=False)
        return state.stdout.strip() in {"running", "degraded"}

    def _shut_down(self, verb: str) -> None:
        if self._nspawn and self._nspawn.poll() is None:
            if self.leader:
                self.run("systemctl", verb, check=False)
            with suppress(subprocess.TimeoutExpired):  # a host that hangs is switched off
                self._nspawn.wait(30)
        self._kill()

    def _kill(self) -> None:
        if not self._nspawn:
            return
        if self._nspawn.poll() is None and self.leader:
            os.kill(self.leader, signal.SIGKILL)  # the kernel ends all other processes of the host with it
            with suppress(subprocess.TimeoutExpired):
                self._nspawn.wait(10)
        if self._nspawn.poll() is None:
            os.killpg(self._nspawn.pid, signal.SIGKILL)
            self._nspawn.wait()
        self._nspawn, self.leader = None, 0

    def console_text(self) -> str:
        """Return what the host printed while it booted, and systemd-nspawn about it."""
        size = os.fstat(self._console.fileno()).st_size
        return os.pread(self._console.fileno(), size, 0).decode(errors="replace")

    @property
    def _borrows(self) -> bool:
        """Whether the host's own Python is older than the program allows."""
        return self.kind.suite == "bullseye"

    @property
    def python(self) -> str:
        """The interpreter that runs the program on the host."""
        return LENT_PYTHON if self._borrows else "python3"

    # Commands and files on the host

    def run(
        self,
        *argv: str,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        input: str | None = None,  # noqa: A002 - as subprocess.run calls it
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, as root, with the environment of a service plus `env`."""
        environment = {**ENVIRONMENT, **(env or {})}
        return run(*self._enter_host(argv), check=check, env=environment, timeout=timeout, input=input)

    def spawn(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command on the host without waiting; `os.killpg(process.pid, …)` is what reaches it."""
        return subprocess.Popen(
            self._enter_host(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**ENVIRONMENT, **(env or {})},
            start_new_session=True,
        )

    def _enter_host(self, argv: Sequence[str]) -> list[str]:
        if not self.leader:
            raise RuntimeError("the host is not running")
        nsenter = shutil.which("nsenter") or "nsenter"
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        return [nsenter, f"--target={self.leader}", *namespaces, "--", *argv]

    def clean(self) -> None:
        """Take everything off the host that a test may have put there; its eth0 and its uptime stay."""
        self.run("systemctl", "stop", "multinic*")
        self.nics = [nic for nic in self.nics if nic.network == "mgmt"]
        for name in self.links().keys() - {"lo", "eth0"}:
            self.run("ip", "link", "delete", name, check=False)  # the other end of a pair may be gone by now
        for family in ("-4", "-6"):
            for rule in json.loads(self.run("ip", family, "-json", "rule").stdout):
                if rule["priority"] not in DEFAULT_RULES:
                    self.run("ip", family, "rule", "delete", "priority", str(rule["priority"]))
        units = self.glob("/etc/systemd/system/*multinic*", "/run/systemd/system/*multinic*")
        self.remove(*units, *LEFT_BEHIND)
        for path, (mode, text) in self.kind.files.items():
            self.write(path, text, mode)
        if units:
            self.run("systemctl", "daemon-reload")  # netplan's generator comes with it, and needs the files
        self.run("udevadm", "control", "--reload")
        if self.kind.service == "NetworkManager":
            self.run("nmcli", "general", "reload")
            self.run("nmcli", "connection", "reload")
        elif self.kind.service == "wickedd":
            self.run("systemctl", "restart", "wickedd")
        else:
            self.run("networkctl", "reload")
            if (
                units
            ):  # by its generator all files of netplan are newer: networkd sets up eth0 again, in a moment
                time.sleep(0.5)
                eventually(lambda: self.settled("eth0"), timeout=BOOT_TIMEOUT, what="eth0 as before")
        if self._management() != self._management_at_boot:
            self.reboot()

    def _management(self) -> Any:
        """Return what must not change of the link that the host is reached by."""
        link = self.links().get("eth0", {})
        addresses = sorted(f"{one['local']}/{one['prefixlen']}" for one in link.get("addr_info", ()))
        routes = self.run("ip", "route").stdout + self.run("ip", "-6", "route").stdout
        return link.get("flags"), link.get("mtu"), addresses, routes

    # Links

    def settled(self, name: str) -> bool:
        """Return whether the service has configured a link and no address of it is still tentative."""
        link = self.links().get(name, {})
        if self.kind.service == "NetworkManager":
            state = self.run("nmcli", "-g", "GENERAL.STATE", "device", "show", name, check=False).stdout
            configured = state.startswith("100 ")
        elif self.kind.service == "wickedd":
            configured = not self.run("wicked", "ifstatus", "--quiet", name, check=False).returncode
        else:  # networkctl says it as JSON, but not that of every Debian
            state = self.run("cat", f"/run/systemd/netif/links/{link.get('ifindex')}", check=False).stdout
            configured = "ADMIN_STATE=configured" in state.splitlines()
        return configured and not any(address.get("tentative") for address in link.get("addr_info", ()))

    def plug(self, name: str, mac: str, *, network: str = "lan") -> None:
        """Plug a NIC in, as a cloud does while the host runs; `name` is what the kernel calls it."""
        nic = Nic(name, mac.lower(), network, f"port{next(self._numbers)}")
        self._connect(nic)
        self.nics.append(nic)

    def let_udev_know(self, slot: int, mac: str) -> None:
        """Make the .link file that the program writes for a slot match a veth, as it would a real NIC."""
        match = f"[Match]\nPermanentMACAddress=\nMACAddress={mac}\n"
        for prefix in ("10-netplan-", "10-"):
            self.write(f"/etc/systemd/network/{prefix}multinic{slot}.link.d/veth.conf", match)

    def unplug(self, mac: str) -> None:
        """Take the NICs with this MAC out."""
        for nic in [nic for nic in self.nics if nic.mac == mac.lower()]:
            self.in_cloud("ip", "link", "delete", nic.port)
            self.nics.remove(nic)

    def carrier(self, mac: str, state: str) -> None:
        """Give the NICs with this MAC a carrier ("up"), or take it away ("down"), as a cloud does."""
        for nic in [nic for nic in self.nics if nic.mac == mac.lower()]:
            self.in_cloud("ip", "link", "set", nic.port, state)

    def in_cloud(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine in the cloud's namespace; options are those of `run`."""
        return run(*self.cloud_prefix, *argv, **options)

    @property
    def cloud_prefix(self) -> list[str]:
        """The command to put before one that has to run in the cloud, such as a database server."""
        return [*END_WITH_TESTS, "ip", "netns", "exec", self.cloud]

    def _connect(self, nic: Nic) -> None:
        self.bridge(nic.network)
        # A host that was switched off leaves its far ends behind for as long as the kernel tidies up.
        self.in_cloud("ip", "link", "delete", nic.port, check=False)
        near = ["peer", "name", nic.name, "address", nic.mac, "netns", self.host]
        # Its index is none of a link of the host: wicked would take that one for the link below.
        far = ["ip", "link", "add", nic.port, "index", str(next(self._indices))]
        self.in_cloud(*far, "type", "veth", *near)
        self.in_cloud("ip", "link", "set", nic.port, "master", f"br-{nic.network}", "up")

    def bridge(self, network: str) -> None:
        """Make the bridge of a network, `br-NETWORK` in the cloud, unless it is there."""
        bridge = f"br-{network}"
        if self.in_cloud("ip", "link", "show", bridge, check=False).returncode:
            self.in_cloud("ip", "link", "add", bridge, "type", "bridge")
            self.in_cloud("ip", "link", "set", bridge, "up")

    @staticmethod
    def _namespace(name: str, exits: ExitStack) -> None:
        run("ip", "netns", "add", name)
        exits.callback(run, "ip", "netns", "delete", name, check=False)
        run("ip", "-netns", name, "link", "set", "lo", "up")

    @contextmanager
    def monitor(self, *links: str) -> Iterator[list[Event]]:
        """Collect what the kernel tells of these links while the block runs, or of all if none is named.

        The list is filled as the block is left. A link that is renamed has two names.
        """
        wanted: list[Event] = []
        with monitor(["nsenter", f"--net=/run/netns/{self.host}"]) as events:
            yield wanted
        wanted.extend(event for event in events if not links or event.link in links)


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _read(path: str) -> str:
    """Return the text of a file in /proc; nothing once the process is gone."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
