"""The box of this tier is a real host, as far as netplan, networkd, udev and the program can see."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.host.kinds import MANAGEMENT_MAC
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import CommandFailed, eventually, run
from tests.scratch import CGROUPS, sweep

MAC = "52:54:00:00:00:01"


def machine_links() -> set[str]:
    return {link["ifname"] for link in json.loads(run("ip", "-json", "link").stdout)}


def test_the_host_is_booted_and_reaches_the_cloud(box: Box):
    # Below it may be a machine on which some unit cannot start: none of those that configure the network.
    failed = box.run("systemctl", "--failed", "--plain", "--no-legend", "--no-pager").stdout.split()
    assert not any(re.match("systemd-(networkd|udev)|dbus|netplan", unit) for unit in failed), failed
    assert box.run("systemctl", "is-active", "systemd-networkd", "systemd-udevd").stdout == "active\nactive\n"
    assert box.run("hostname").stdout == "node1\n"
    assert box.links()["eth0"]["address"] == MANAGEMENT_MAC
    assert box.addresses("eth0") == ["10.99.0.2/24"]
    assert box.stat("/etc/netplan/50-cloud-init.yaml").mode == 0o600
    box.run("ping", "-c1", "-W2", box.gateway)
    box.in_cloud("ping", "-c1", "-W2", box.address)


@pytest.mark.parametrize(
    ("kind", "netplan", "service"),
    [
        ("bullseye", "0.101", "systemd-networkd"),
        ("bookworm", "0.106", "systemd-networkd"),
        ("netplan", "1.1", "systemd-networkd"),
        ("networkd", "", "systemd-networkd"),
        ("networkmanager", "", "NetworkManager"),
    ],
)
def test_every_kind_of_host_has_what_it_should_and_runs_the_program(
    boxes: Callable[[str], Box], kind: str, netplan: str, service: str
):
    box = boxes(kind)
    box.clean()
    version = box.run("dpkg-query", "--show", "--showformat=${Version}", "netplan.io", check=False).stdout
    assert version.startswith(netplan) if netplan else not version
    manages = box.run("systemctl", "is-active", "systemd-networkd", "NetworkManager", check=False).stdout
    assert manages.split() == [
        "active" if service == name else "inactive" for name in ("systemd-networkd", "NetworkManager")
    ]
    assert box.addresses("eth0") == [f"{box.address}/24"]
    box.run("ping", "-c1", "-W2", box.gateway)
    assert box.multinic("--version").stdout.startswith("multinic")
    node = Node(box, backend="netlink")
    node.attach(0, link="ens3")
    with box.monitor("eth0") as events:
        node.run("reconcile")
    assert events == []
    assert box.addresses("multinic0") == ["10.5.0.10/24"]


def test_a_command_that_fails_says_what_it_printed(box: Box):
    with pytest.raises(CommandFailed, match="no such luck"):
        box.run("sh", "-c", "echo no such luck >&2; exit 3")
    assert box.run("sh", "-c", "exit 3", check=False).returncode == 3


def test_a_command_that_hangs_is_ended_with_its_children(box: Box):
    with pytest.raises(subprocess.TimeoutExpired):
        box.run("sh", "-c", "sleep 4711 & wait", timeout=0.3)
    commands = ["sh", "-c", "cat /proc/[0-9]*/cmdline"]  # of which one may end while it is read
    eventually(lambda: "4711" not in box.run(*commands, check=False).stdout)


def test_commands_get_their_input_and_environment(box: Box):
    assert box.run("cat", input="one\r\ntwo").stdout == "one\r\ntwo"
    assert box.run("sh", "-c", "echo $COLOUR", env={"COLOUR": "red"}).stdout == "red\n"


def test_files_are_written_as_told(clean: Box):
    clean.write("/etc/multinic/some/file", "text\n", mode=0o640)
    assert clean.read("/etc/multinic/some/file") == "text\n"
    stat = clean.stat("/etc/multinic/some/file")
    assert (stat.mode, stat.owner, stat.group, stat.size) == (0o640, "root", "root", 5)
    assert clean.glob("/etc/multinic/*") == ["/etc/multinic/some"]
    clean.remove("/etc/multinic")
    assert not clean.exists("/etc/multinic/some")


def test_a_plugged_nic_appears_under_a_kernel_name_and_down(clean: Box):
    before = machine_links()
    with clean.monitor() as events:
        clean.plug("eth5", MAC.upper())
    assert machine_links() == before
    assert {event.link for event in events} == {"eth5"}
    link = clean.link_of(MAC)
    assert link is not None
    assert link["ifname"] == "eth5"
    assert "UP" not in link["flags"]
    eventually(lambda: "ID_NET_DRIVER=veth" in clean.run("udevadm", "info", "/sys/class/net/eth5").stdout)

    clean.unplug(MAC)
    assert clean.link_of(MAC) is None


def test_the_monitor_tells_every_kind_of_event(clean: Box):
    clean.plug("eth5", MAC)
    with clean.monitor() as events:
        clean.run("ip", "link", "set", "eth5", "up")
        clean.run("ip", "address", "add", "198.51.100.7/24", "dev", "eth5")
        clean.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth5")
        clean.run("ip", "rule", "add", "from", "198.51.100.7", "table", "77")
        clean.run("ip", "address", "delete", "198.51.100.7/24", "dev", "eth5")
    kinds = {event.kind.removeprefix("RTM_") for event in events}
    assert kinds >= {"NEWLINK", "NEWADDR", "DELADDR", "NEWROUTE", "NEWRULE"}


def test_netplan_and_networkd_configure_a_link_by_its_mac(clean: Box):
    clean.plug("eth5", MAC)
    clean.write("/etc/netplan/90-multinic0.yaml", NETPLAN, mode=0o600)
    clean.run("netplan", "generate")
    clean.run("ip", "link", "set", "eth5", "name", "multinic0")
    clean.run("networkctl", "reload")
    eventually(lambda: clean.addresses("multinic0") == ["198.51.100.7/24"])


NETPLAN = f"""\
network:
  version: 2
  ethernets:
    multinic0:
      match: {{macaddress: "{MAC}"}}
      set-name: multinic0
      addresses: [198.51.100.7/24]
      link-local: []
"""


def test_udev_names_a_nic_by_its_mac_when_it_is_plugged_in(clean: Box):
    clean.let_udev_know(0, MAC)
    clean.write("/etc/netplan/90-multinic0.yaml", NETPLAN, mode=0o600)
    clean.run("netplan", "generate")
    clean.run("networkctl", "reload")
    clean.run("udevadm", "control", "--reload")
    clean.plug("eth5", MAC)
    eventually(lambda: clean.addresses("multinic0") == ["198.51.100.7/24"])
    clean.reboot()
    eventually(lambda: clean.addresses("multinic0") == ["198.51.100.7/24"])


@pytest.mark.parametrize("hard", [False, True], ids=["reboot", "loss of power"])
def test_a_restarted_host_keeps_its_files_and_finds_its_nics(clean: Box, hard: bool):
    clean.plug("eth5", MAC)
    clean.write("/etc/multinic/kept", "yes")
    clean.write("/run/multinic/lost", "yes")
    boot = clean.run("journalctl", "--list-boots", "-o", "json").stdout
    clean.reboot(hard=hard)
    assert clean.run("journalctl", "--list-boots", "-o", "json").stdout != boot
    assert clean.exists("/etc/multinic/kept")
    assert not clean.exists("/run/multinic/lost")
    link = clean.link_of(MAC)
    assert link is not None
    assert link["ifname"] == "eth5"
    assert clean.addresses("eth0") == ["10.99.0.2/24"]


def test_cleaning_leaves_eth0_alone(clean: Box):
    clean.plug("eth5", MAC)
    clean.run("ip", "rule", "add", "from", "198.51.100.7", "table", "77", "priority", "1077")
    clean.write("/etc/netplan/90-multinic0.yaml", NETPLAN, mode=0o600)
    clean.write("/var/lib/multinic/slots.json", "{}")
    leader = clean.leader
    with clean.monitor("eth0") as events:
        clean.clean()
    assert not events
    assert clean.leader == leader
    assert set(clean.links()) == {"lo", "eth0"}
    assert "1077" not in clean.run("ip", "rule").stdout
    assert clean.glob("/etc/netplan/*", "/var/lib/multinic") == ["/etc/netplan/50-cloud-init.yaml"]


def test_cleaning_repairs_what_a_test_did_to_eth0(clean: Box):
    clean.run("ip", "address", "flush", "dev", "eth0")
    clean.clean()
    assert clean.addresses("eth0") == ["10.99.0.2/24"]
    clean.run("ping", "-c1", "-W2", clean.gateway)


def test_the_program_runs_on_the_hosts_own_python(box: Box):
    done = box.multinic("--version")
    assert done.stdout.startswith("multinic")
    assert box.run("sh", "-c", "touch /srv/checkout/x", check=False).returncode != 0


def test_runs_of_the_program_are_measured(tmp_path: Path):
    with Box(coverage=tmp_path / "data") as box:
        box.multinic("--version")
    (measured,) = tmp_path.glob("data.*")
    with closing(sqlite3.connect(measured)) as data:
        files = {row[0] for row in data.execute("SELECT path FROM file")}
    assert "/srv/checkout/multinic/cli/base.py" in files


def test_two_hosts_live_side_by_side_and_the_second_leaves_nothing(box: Box):
    with Box(hostname="other") as other:
        assert other.run("hostname").stdout == "other\n"
        other.plug("eth5", MAC)
        assert box.link_of(MAC) is None
        names, directory = {other.host, other.cloud}, other.directory
        assert names <= set(namespaces())
    assert not names & set(namespaces())
    assert not directory.exists()
    assert box.run("hostname").stdout == "node1\n"


def test_a_host_ends_with_the_process_that_started_it_and_the_next_run_removes_its_names():
    done = run(sys.executable, "-c", KILLED, check=False)
    leader, *names, shared, directory = done.stdout.split()
    eventually(lambda: not Path("/proc", leader).exists())
    eventually(lambda: not Path(directory).exists() and not Path(shared).exists())
    assert {*names} <= {*namespaces()}
    sweep()
    assert not {*names} & {*namespaces()}
    assert [found for hierarchy in CGROUPS for found in hierarchy.glob(f"{mark_of(directory)}*")] == []


KILLED = """\
import os
from tests.host.nspawn import Box

with Box() as box:
    print(box.leader, box.host, box.cloud, box.shared, box.directory, flush=True)
    os.kill(os.getpid(), 9)
"""


def mark_of(directory: str) -> str:
    return Path(directory).name.partition("-box-")[0]


def namespaces() -> list[str]:
    return [name.split()[0] for name in run("ip", "netns", "list").stdout.splitlines()]
