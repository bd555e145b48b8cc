"""The life of a virtual machine with real NICs, from the installation of the package to its removal.

One machine, as emulation is slow: each step starts from what the one before it left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.node import Node, mac_of
from tests.packages import OLDER, apt, build, configure, older
from tests.passes import COUNTED, do_pass, idle, passes
from tests.vm.image import MANAGEMENT_MAC
from tests.vm.machine import NETWORK_GATEWAY, Machine

SECONDS = 300  # the most that anything may take; emulation is slow, and has to share the machine
DROP_IN = "/etc/systemd/system/multinic.service.d/test.conf"


def until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait for something, without asking all the time a host that has better things to do."""
    eventually(condition, timeout=SECONDS, pause=0.5, what=what)


def reports(node: Node, *slots: int) -> None:
    """Wait until the database says of exactly these ports that they are configured, and no pass runs."""
    until(lambda: node.flags() == {f"port-{slot}": 1 for slot in slots})
    until(lambda: idle(node.host))


def works(machine: Machine, name: str, address: str = "") -> None:
    """Check that a link is configured, and that packets flow through it."""
    expected = [address or f"10.5.0.1{name[-1]}/24"]
    until(lambda: machine.addresses(name) == expected, what=name)
    assert machine.links()[name]["mtu"] == 1450
    ping = ("ping", "-c1", "-W5", "-I", name, NETWORK_GATEWAY)
    until(lambda: not machine.run(*ping, check=False).returncode)


@contextmanager
def undisturbed(machine: Machine) -> Iterator[None]:
    """Check that the kernel has nothing to tell of any link, address or route during a block."""
    watch = "ip monitor link address route > /tmp/events 2>&1 & echo $!"
    pid = machine.run("sh", "-c", f"({watch}) < /dev/null").stdout.strip()
    yield
    machine.run("sh", "-c", f"kill {pid}")
    assert machine.read("/tmp/events") == ""


def test_the_life_of_a_virtual_machine(machine: Machine, server: PrivateMariaDB, tmp_path: Path) -> None:
    new = build("deb", tmp_path)
    machine.put(new, "/root/new.deb")
    machine.put(older(new, tmp_path), "/root/old.deb")
    node = Node(machine, server)
    machine.remove("/etc/multinic/multinic.toml")
    address = machine.addresses("eth0")

    # Installed and configured. One NIC is there already, with its row; of another nobody knows anything.
    machine.plug(mac_of(0), "fa:16:3e:00:00:99")
    assert "multinic: nothing is configured yet" in apt(machine, "install", "/root/old.deb")
    assert node.run("--version").stdout == f"multinic {OLDER}\n"
    configure(node)
    node.attach(0)
    machine.write(DROP_IN, COUNTED)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "multinic.timer")
    reports(node, 0)
    works(machine, "multinic0")
    stranger = machine.link_of("fa:16:3e:00:00:99")
    assert stranger
    assert (stranger["ifname"].startswith("enp"), stranger["operstate"]) == (True, "DOWN")

    # A row that is known before its NIC comes, and a burst of them.
    for slot in range(1, 5):
        node.attach(slot)
    before = passes(machine)
    machine.plug(*map(mac_of, range(1, 5)))
    reports(node, 0, 1, 2, 3, 4)
    for slot in range(1, 5):
        works(machine, f"multinic{slot}")
    assert passes(machine) - before <= 4, "one or two for the burst; the timer has its own"

    # A row that comes after its NIC.
    machine.plug(mac_of(5))
    until(lambda: machine.link_of(mac_of(5)))
    until(lambda: idle(machine))
    node.attach(5)
    reports(node, 0, 1, 2, 3, 4, 5)
    works(machine, "multinic5")

    # Detached: the row first, or the NIC first.
    node.detach(5)
    do_pass(machine)
    assert "multinic5" not in machine.links()
    left = machine.link_of(mac_of(5))
    assert left
    assert (left["ifname"].startswith("enp"), left["addr_info"]) == (True, [])
    machine.unplug(mac_of(5))
    machine.unplug(mac_of(4))
    node.detach(4)
    do_pass(machine)
    assert not machine.glob("/etc/netplan/*multinic4*")

    # A cable that is out is no failure: the interface waits, and in again, all is as it was.
    machine.cable(mac_of(0), connected=False)
    until(lambda: machine.links()["multinic0"]["operstate"] == "DOWN")
    do_pass(machine)
    assert node.flags() == {f"port-{slot}": int(slot > 0) for slot in range(4)}
    machine.cable(mac_of(0), connected=True)
    works(machine, "multinic0")
    reports(node, 0, 1, 2, 3)

    # Power fails, and the database hangs when it comes again.
    with server.frozen():
        machine.reboot(hard=True)
        for slot in range(4):
            works(machine, f"multinic{slot}")
        assert machine.addresses("eth0") == address
    node.sql("UPDATE multi_interface SET netplan_success = 0")
    reports(node, 0, 1, 2, 3)

    # Upgraded, removed, rebooted without it, installed again.
    with undisturbed(machine):
        apt(machine, "install", "/root/new.deb")
        until(lambda: OLDER not in machine.read("/run/multinic/state.json"))
        until(lambda: idle(machine))
    assert machine.run("systemctl", "is-active", "multinic.timer").stdout == "active\n"
    with undisturbed(machine):
        assert "'multinic purge'" in apt(machine, "remove", "multinic")
    machine.reboot()
    for slot in range(4):
        works(machine, f"multinic{slot}")
    apt(machine, "install", "/root/new.deb")
    until(lambda: machine.exists("/run/multinic/state.json") and idle(machine))
    assert {item["state"] for item in node.plan().values()} == {"unchanged"}
    findings = json.loads(node.run("--output", "json", "doctor").stdout)["findings"]
    assert not [finding for finding in findings if finding["level"] == "problem"]

    # Given back.
    machine.run("systemctl", "stop", "multinic.timer")
    until(lambda: idle(machine))
    node.run("purge", "--yes")
    apt(machine, "purge", "multinic")
    links = machine.links()
    assert not [name for name in links if name.startswith("multinic")]
    assert [links["eth0"]["address"], machine.addresses("eth0")] == [MANAGEMENT_MAC, address]
    found = machine.run("find", "/etc", "/usr", "/var/lib", "/run", "-xdev", "-name", "*multinic*").stdout
    ours = (
        "/etc/systemd/system/multinic.service.d",
        "/run/multinic-passes",
        "/var/lib/systemd/timers/",
        "/var/lib/dpkg/",
    )
    assert [path for path in found.splitlines() if not path.startswith(ours)] == []
