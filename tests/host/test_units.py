"""The systemd units on a booted host: what they run, when, how confined, and what they leave alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.node import Node
from tests.host.nspawn import Box
from tests.host.test_commands import HANGS_ONCE, UDEVADM, instead_of, state
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.node import mac_of
from tests.passes import COUNTED, PASSES, complaints, idle, passes, show

# No pass by the timer's own clock: what happens then was asked for by something else.
RARELY = "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnUnitInactiveSec=1d\n"
# The links of a box have no device below them, as those of a container: the rule would not heed them.
REAL, VETH = 'DEVPATH=="/devices/virtual/*"', 'KERNEL!="ens*|multinic*"'
RULES = "/etc/udev/rules.d/90-multinic.rules"
ASK = """\
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen("http://127.0.0.1:8080" + sys.argv[1], timeout=20)
except urllib.error.HTTPError as e:
    answer = e
print(answer.status, answer.read().decode())
"""


SWITCHES = ("multinic.timer", "multinic-agent.service", "multinic-health.socket")


def install(box: Box) -> None:
    """Install the units on a clean host, without starting one."""
    if not box.settled("eth0"):  # networkd 247 lets go of it when files of other links vanish
        box.reboot()
    box.multinic("install-units")
    rule = box.read(RULES)
    assert REAL in rule
    box.write("/etc/udev/rules.d/91-multinic-veth.rules", rule.replace(REAL, VETH))
    box.write("/etc/systemd/system/multinic.service.d/test.conf", COUNTED)
    for unit in ("multinic-health", "multinic-agent"):
        box.write(f"/etc/systemd/system/{unit}.service.d/test.conf", COUNTED.replace("ExecStopPost", "#"))
    box.remove(PASSES)
    box.run("udevadm", "control", "--reload")
    # Unlike on a machine, systemd in a container hears of devices only if udevd ran when it was started.
    box.run("systemctl", "daemon-reexec")
    eventually(lambda: box.settled("eth0"), timeout=60)


@pytest.fixture
def node(clean: Box, server: PrivateMariaDB) -> Iterator[Node]:
    """A host with the units installed and a database in the cloud, no unit started."""
    clean.run("journalctl", "--rotate", "--vacuum-time=1s", check=False)
    node = Node(clean, server)
    install(clean)
    yield node
    clean.run("systemctl", "disable", "--now", *SWITCHES)
    clean.run("systemctl", "reset-failed", "multinic*", check=False)


def test_the_units_are_sound_and_as_confined_as_ever(node: Node) -> None:
    units = [path for path in node.box.glob("/etc/systemd/system/multinic*") if not path.endswith(".d")]
    assert len(units) == 6
    assert node.box.run("systemd-analyze", "verify", *units).stderr == ""
    for unit, tenths in {
        "multinic": 27,
        "multinic-agent": 27,
        "multinic-hotplug": 10,
        "multinic-health": 10,
    }.items():
        path = f"/etc/systemd/system/{unit}.service"
        node.box.run("systemd-analyze", "security", "--offline=true", f"--threshold={tenths}", path)


def test_the_timer_configures_at_once_and_what_is_plugged_in_later_as_it_comes(node: Node) -> None:
    box = node.box
    box.write("/etc/systemd/system/multinic.timer.d/test.conf", RARELY)
    box.run("systemctl", "daemon-reload")
    node.attach(0, link="eno1")  # a name that the rule of these tests does not heed
    for slot in range(1, 9):
        node.attach(slot)
        box.let_udev_know(slot, mac_of(slot))
    box.run("systemctl", "enable", "--now", "multinic.timer")
    eventually(lambda: node.flags()["port-0"] == 1 and idle(box), timeout=60)
    assert passes(box) == 1
    seen = json.loads(node.run("status", "--output", "json").stdout)["passes"]
    assert (seen["by"], seen["running"], seen["exit"]) == ("timer", False, 0)
    assert time.time() - 120 < seen["last"] <= time.time() + 1
    assert 86300 < seen["next"] - seen["last"] < 86500, "a day, and up to ten seconds at random"
    assert "h, by multinic.timer" in node.run("status").stdout

    # Their rows are known: udev renames them as they come.
    for slot in range(1, 9):
        box.plug(f"ens{slot}", mac_of(slot))

    eventually(lambda: set(node.flags().values()) == {1} and idle(box), timeout=60)
    assert passes(box) in (2, 3)

    # Nobody knew of this one; it keeps its name until a pass renames it.
    node.attach(9, link="ens9")
    eventually(lambda: set(node.flags().values()) == {1} and idle(box), timeout=60)

    box.run("ip", "link", "add", "br7", "type", "bridge")
    box.run("systemctl", "stop", "multinic.timer")
    box.run("udevadm", "settle", "--timeout=10")
    assert "multinic" not in box.run("udevadm", "info", "/sys/class/net/br7").stdout
    eventually(lambda: idle(box), timeout=60)
    count = passes(box)
    box.unplug(mac_of(9))
    box.plug("ens9", mac_of(9))
    box.run("udevadm", "settle", "--timeout=10")
    eventually(lambda: idle(box), timeout=60)
    assert passes(box) == count, "the timer is the one switch"
    assert complaints(box) == ""


def test_a_pass_that_is_started_by_a_nic_waits_for_what_udev_has_begun(node: Node) -> None:
    box = node.box
    box.write("/etc/systemd/system/multinic.timer.d/test.conf", RARELY)
    seen = "[Service]\nExecStartPre=+sh -c 'ls /run/slow > /run/seen || true'\n"
    box.write("/etc/systemd/system/multinic.service.d/seen.conf", seen)
    slowly = 'KERNEL=="slow", RUN+="/bin/sh -c \'sleep 2; touch /run/slow\'"\n'
    box.write("/etc/udev/rules.d/99-slow.rules", slowly)
    box.remove("/run/slow")
    box.run("systemctl", "daemon-reload")
    box.run("udevadm", "control", "--reload")
    box.run("systemctl", "start", "multinic.timer")
    eventually(lambda: passes(box) == 1 and idle(box), timeout=60)
    try:
        box.plug("slow", "fa:16:3e:00:00:99")
        node.attach(0, link="ens3")
        eventually(lambda: node.flags() == {"port-0": 1}, timeout=60)
        assert box.read("/run/seen") == "/run/slow\n"
    finally:
        box.remove("/etc/udev/rules.d/99-slow.rules")


def test_who_stops_the_timer_stops_what_a_nic_has_begun(node: Node) -> None:
    box = node.box
    box.write("/etc/systemd/system/multinic.timer.d/test.conf", RARELY)
    box.run("systemctl", "daemon-reload")

    def waits() -> bool:
        return "sleep 86400" in box.run("systemctl", "status", "multinic-hotplug", check=False).stdout

    with instead_of(box, UDEVADM, "#!/bin/sh\nexec sleep 86400\n"):
        box.run("systemctl", "start", "multinic.timer")
        eventually(waits, timeout=60)
        box.run("systemctl", "stop", "multinic.timer")

    assert (idle(box), passes(box)) == (True, 0)
    assert complaints(box) == ""


# Until a file is gone; another one says so.
HELD = "+sh -c 'touch /run/{0}-is-held; while [ -e /run/hold-{0} ]; do sleep 0.1; done'"


def test_a_nic_that_a_running_pass_has_not_seen_is_not_left_to_the_timer(node: Node) -> None:
    """As the timer begins a pass while a first NIC waits for udev, and a second one comes too late for it."""
    box = node.box
    box.write("/etc/systemd/system/multinic.timer.d/test.conf", RARELY)
    waiting, looked = HELD.format("hotplug"), HELD.format("pass")
    box.write("/etc/systemd/system/multinic-hotplug.service.d/a.conf", f"[Service]\nExecStartPre={waiting}\n")
    box.write("/etc/systemd/system/multinic.service.d/a.conf", f"[Service]\nExecStart={looked}\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", "multinic.timer")
    eventually(lambda: passes(box) == 1 and idle(box), timeout=60)

    box.remove("/run/*-is-held")
    box.write("/run/hold-hotplug", "")
    box.write("/run/hold-pass", "")
    box.plug("ens2", mac_of(2))
    eventually(lambda: box.exists("/run/hotplug-is-held"), timeout=60)
    box.run("systemctl", "start", "--no-block", "multinic.service")
    eventually(lambda: box.exists("/run/pass-is-held"), timeout=60)
    node.attach(0, link="ens3")
    known = ("sys-subsystem-net-devices-ens3.device", "ActiveState")
    eventually(lambda: show(box, *known) == "active", timeout=60)
    box.remove("/run/hold-hotplug")
    time.sleep(2)  # here it would start that pass once more, in vain
    box.remove("/run/hold-pass")

    eventually(lambda: node.flags() == {"port-0": 1} and idle(box), timeout=60)
    assert complaints(box) == ""


def test_the_timer_comes_again_by_itself(node: Node) -> None:
    box = node.box
    box.write(
        "/etc/systemd/system/multinic.timer.d/test.conf",
        "[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec=1s\nRandomizedDelaySec=0\n",
    )
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", "multinic.timer")
    eventually(lambda: passes(box) >= 1, timeout=60)
    node.attach(0, link="eno1")
    eventually(lambda: node.flags() == {"port-0": 1}, timeout=60)
    assert box.addresses("multinic0") == ["10.5.0.10/24"]
    node.server.execute("REVOKE ALL PRIVILEGES, GRANT OPTION FROM multinic@'%'")
    try:
        eventually(lambda: show(box, "multinic.service", "ExecMainStatus") == "2", timeout=60)
        count = passes(box)
        eventually(lambda: passes(box) > count, timeout=60, what="a pass after one that failed")
    finally:
        node.server.execute("GRANT SELECT, UPDATE ON *.* TO multinic@'%'")
    eventually(lambda: show(box, "multinic.service", "Result") == "success" and idle(box), timeout=60)


def test_a_killed_pass_is_put_back_by_its_unit(node: Node) -> None:
    box = node.box
    box.remove("/tmp/hanging", "/tmp/hung")
    box.write("/etc/systemd/system/multinic.timer.d/test.conf", RARELY)
    box.write(
        "/etc/systemd/system/multinic.service.d/tmp.conf",
        "[Service]\nPrivateTmp=no\nReadWritePaths=/tmp /var/tmp\n",
    )
    box.run("systemctl", "daemon-reload")
    node.attach(0, link="eno1")
    box.run("systemctl", "start", "multinic.timer")
    eventually(lambda: node.flags() == {"port-0": 1} and idle(box) and box.settled("multinic0"), timeout=60)
    node.attach(1, link="eno2")
    before = state(node)

    with instead_of(box, UDEVADM, HANGS_ONCE):
        box.run("systemctl", "start", "--no-block", "multinic.service")
        eventually(lambda: box.exists("/tmp/hanging"), timeout=60)
        assert box.exists("/var/lib/multinic/checkpoint.json")
        box.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "multinic.service")
        eventually(lambda: idle(box), timeout=60)

    assert state(node) == before
    assert "a change was interrupted; its interfaces are restored as they were" in complaints(box)
    assert "the last run of multinic.service failed (signal, status 9)" in node.run("doctor", expect=4).stdout


def test_the_last_lines_of_a_unit_that_fails_each_time_have_the_cause(node: Node) -> None:
    box = node.box
    box.run("ln", "--symbolic", "templates", "/etc/multinic/templates")
    try:
        for _ in range(3):
            box.run("journalctl", "--rotate", "--vacuum-time=1s", check=False)
            box.run("systemctl", "start", "multinic.service", check=False)
            box.run("journalctl", "--sync")
            last = box.run("journalctl", "--no-pager", "--output=cat", "--unit=multinic", "--lines=8").stdout
            assert "/etc/multinic/templates" in last
            assert show(box, "multinic.service", "ExecMainStatus") == "1"
            assert json.loads(box.read("/run/multinic/state.json"))["exit"] == 1
    finally:
        box.remove("/etc/multinic/templates")


def test_health_is_answered_and_nobody_stays(node: Node) -> None:
    box = node.box

    def ask(path: str) -> tuple[int, Any]:
        status, _, body = box.run("python3", "-c", ASK, path).stdout.partition(" ")
        return int(status), json.loads(body)

    box.run("systemctl", "enable", "--now", "multinic-health.socket")
    assert ask("/")[0] == 503
    node.attach(0, link="eno1")
    box.run("systemctl", "start", "multinic.service")

    status, document = ask("/")

    assert status == 200
    assert document.pop("uptime").endswith("s")
    assert document == {
        "status": "healthy",
        "processed_vms": 1,
        "failed_configs": 0,
        "database_connected": True,
        "deleted_interfaces": 0,
        "held": 0,
    }
    assert (ask("/livez")[0], ask("/readyz")[0], ask("/etc/passwd")[0]) == (200, 200, 404)
    pid = show(box, "multinic-health.service", "MainPID")
    assert int(box.run("stat", "--format=%u", f"/proc/{pid}").stdout) >= 61184, "a dynamic user"
    eventually(lambda: show(box, "multinic-health.service", "ActiveState") == "inactive", timeout=60)
    assert ask("/")[0] == 200
    assert complaints(box) == ""


def test_the_agent_runs_the_passes_instead_of_the_timer_and_never_beside_it(node: Node) -> None:
    box = node.box

    def said(unit: str) -> str:
        return box.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    box.write("/etc/systemd/system/multinic.timer.d/test.conf", RARELY)
    box.write(
        "/etc/systemd/system/multinic-agent.service.d/often.conf",
        "[Service]\nRestartSec=1s\nEnvironment=POLL_INTERVAL=1h\n",
    )
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", "multinic.timer")
    assert box.run("systemctl", "start", "multinic-agent.service", check=False).returncode != 0
    assert "multinic.timer runs the passes of this host" in said("multinic-agent.service")
    eventually(lambda: idle(box), timeout=60)

    # It tries again by itself.
    box.run("systemctl", "stop", "multinic.timer")
    box.run("systemctl", "enable", "multinic-agent.service")
    eventually(lambda: show(box, "multinic-agent.service", "ActiveState") == "active", timeout=60)
    eventually(lambda: "last pass: " in show(box, "multinic-agent.service", "StatusText"), timeout=60)
    node.attach(0)
    box.run("systemctl", "reload", "multinic-agent.service")
    eventually(lambda: "the settings were read again" in said("multinic-agent.service"), timeout=60)
    box.let_udev_know(0, mac_of(0))
    box.plug("eno1", mac_of(0))
    eventually(lambda: node.flags() == {"port-0": 1}, timeout=60)
    assert box.run("python3", "-c", ASK, "/").stdout.startswith('200 {"status": "healthy"')
    seen = json.loads(node.run("status", "--output", "json").stdout)["passes"]
    assert (seen["by"], seen["exit"]) == ("agent", 0)
    assert seen["last"] <= time.time() + 1 < time.time() + 3000 < seen["next"]
    checks = node.run("doctor").stdout
    assert "an agent runs the passes: process" in checks
    assert "no pass runs" not in checks

    box.run("systemctl", "start", "multinic.timer")
    eventually(lambda: "an agent runs the passes of this host" in said("multinic.service"), timeout=60)
    assert "multinic.timer is active beside the agent" in node.run("doctor").stdout
    box.run("systemctl", "stop", "multinic.timer")

    pid = show(box, "multinic-agent.service", "MainPID")
    box.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "multinic-agent.service")
    eventually(
        lambda: (
            show(box, "multinic-agent.service", "MainPID") not in ("0", pid)
            and box.run("python3", "-c", ASK, "/readyz", check=False).stdout.startswith("200")
        ),
        timeout=60,
    )
    box.run("systemctl", "stop", "multinic-agent.service")
    assert show(box, "multinic-agent.service", "Result") == "success"
    assert show(box, "multinic-agent.service", "ExecMainStatus") == "0"


def test_a_boot_waits_for_nothing_of_ours_and_is_followed_by_a_pass(node: Node) -> None:
    box = node.box
    node.attach(0, link="eno1")
    box.run("systemctl", "enable", "--now", "multinic.timer", "multinic-health.socket")
    eventually(lambda: node.flags() == {"port-0": 1}, timeout=60)
    node.attach(1, link="eno2")

    box.reboot()

    assert box.run("systemctl", "is-system-running").stdout == "running\n"
    eventually(lambda: node.flags() == {"port-0": 1, "port-1": 1}, timeout=60)
    assert box.addresses("multinic0") == ["10.5.0.10/24"]
    for target in ("network-online.target", "network.target", "multi-user.target", "basic.target"):
        waits_for = box.run("systemctl", "list-dependencies", "--after", "--all", "--plain", target).stdout
        assert "multinic.service" not in waits_for
        assert "multinic-hotplug" not in waits_for
    assert complaints(box) == ""
