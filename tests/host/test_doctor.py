"""`multinic doctor` and `multinic purge` on booted hosts: what really manages them, and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.host.node import Node
from tests.host.nspawn import LEFT_BEHIND, Box
from tests.hosts import eventually
from tests.passes import COUNTED

UNITS = ("systemd-networkd.socket", "systemd-networkd.service")
TIMER = "[Timer]\nOnBootSec=1h\n[Install]\nWantedBy=timers.target\n"
ELSEWHERE = "[Install]\nWantedBy=\nWantedBy=multi-user.target\n"
ONCE = "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=100ms\nRandomizedDelaySec=0\n"
SERVICE = "[Service]\nType=oneshot\nExecStart=/bin/true\n"


@pytest.fixture
def node(clean: Box) -> Node:
    return Node(clean)


def findings(node: Node, check: str) -> list[tuple[str, str]]:
    """Level and words of what a check finds, whatever the whole comes to."""
    done = node.box.multinic("--output", "json", "doctor", check=False)
    assert done.returncode in (0, 4), done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)["findings"]
    return [(item["level"], f"{item['message']} {item['hint']}") for item in found if item["check"] == check]


@pytest.mark.parametrize("kind", ["netplan", "networkd", "networkmanager"])
def test_what_manages_a_host_is_found_out(boxes: Callable[[str], Box], kind: str) -> None:
    box = boxes(kind)
    box.clean()
    ((_, words),) = findings(Node(box), "backend")
    assert kind in words.replace("NetworkManager", "networkmanager")


def test_a_service_that_is_stopped_manages_nothing_and_the_host_waits_for_it(node: Node) -> None:
    node.attach(0, link="ens3")
    assert findings(node, "backend")[0][1].startswith("netplan: ")
    node.box.run("systemctl", "stop", *UNITS)
    try:
        ((_, words),) = findings(node, "backend")
        assert words.startswith("netlink: ")
        node.run("plan")  # nothing of ours is here yet: netlink would do
        node.box.run("systemctl", "start", *UNITS)
        node.run("reconcile")
        eventually(lambda: node.box.settled("multinic0"), what="networkd to be done")
        before = node.box.addresses("multinic0")
        node.box.run("systemctl", "stop", *UNITS)
        said = node.run("reconcile", expect=5).stderr
        assert "/etc/netplan/90-multinic0.yaml is a file of backend netplan" in said
        assert node.box.addresses("multinic0") == before
    finally:
        node.box.run("systemctl", "start", *UNITS)
    node.run("reconcile")


def ours(box: Box) -> list[str]:
    """What is on the host of the program, but for its settings, its lock and what belongs to the tests."""
    found = box.glob(*(pattern for pattern in LEFT_BEHIND if pattern != "/etc/multinic"))
    return [
        path
        for path in found
        if path not in ("/run/multinic", box.kind.management)
        and not path.endswith((".network.d", ".link.d"))
        and "/var/cache" not in path
    ]


@pytest.mark.parametrize("kind", ["netplan", "networkd", "networkmanager"])
def test_purge_leaves_nothing_and_other_links_see_nothing(boxes: Callable[[str], Box], kind: str) -> None:
    box = boxes(kind)
    box.clean()
    node = Node(box)
    for slot in range(3):
        node.attach(slot, link=f"ens{slot + 3}", mtu=1400 + slot)
    node.run("reconcile")
    eventually(lambda: all(box.settled(f"multinic{slot}") for slot in range(3)))
    assert [level for level, _ in findings(node, "owners")] == ["ok"]
    node.run("doctor")
    with box.monitor("eth0") as events:
        node.run("purge", "--yes")
    assert events == []
    links = box.links()
    for slot in range(3):
        link = links[f"ens{slot + 3}"]
        assert (link["mtu"], "UP" in link["flags"]) == (1500, False)
        assert box.addresses(f"ens{slot + 3}") == []
    assert ours(box) == []
    assert set(node.flags().values()) == {0}
    assert "problem" not in {level for level, _ in (*findings(node, "leftovers"), *findings(node, "files"))}
    node.run("reconcile")
    assert box.addresses("multinic0") == ["10.5.0.10/24"]


def test_a_host_moves_from_netplan_to_networkd_by_purge_and_apply(node: Node) -> None:
    node.attach(0, link="ens3")
    node.run("reconcile")
    eventually(lambda: node.box.settled("multinic0"))
    before = node.box.addresses("multinic0")
    said = node.run("--backend", "networkd", "plan", expect=5).stderr
    assert "/etc/netplan/90-multinic0.yaml is a file of backend netplan" in said
    node.run("--backend", "networkd", "purge", "--yes")
    assert ours(node.box) == []
    node.run("--backend", "networkd", "apply", "--yes")
    assert node.box.addresses("multinic0") == before
    assert [path.rpartition("/")[2] for path in ours(node.box)] == [
        "10-multinic0.link",
        "10-multinic0.network",
        "multinic",
    ]
    node.run("purge", "--yes")  # and what networkd reads is found by its name, although auto means netplan
    assert ours(node.box) == []


def test_purge_works_where_the_service_is_gone_and_another_backend_goes_on(node: Node) -> None:
    node.attach(0, link="ens3")
    node.run("reconcile")
    eventually(lambda: node.box.settled("multinic0"))
    node.box.run("systemctl", "stop", *UNITS)
    try:
        node.run("purge", "--yes")
        assert ours(node.box) == []
        assert node.box.addresses("ens3") == []
        node.run("apply", "--yes")
        assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
        assert json.loads(node.run("--output", "json", "status").stdout)["backend"] == "netlink"
        assert not node.box.exists("/etc/netplan/90-multinic0.yaml")
    finally:
        node.box.run("systemctl", "start", *UNITS)


@pytest.mark.parametrize("text", ["network: [\n", "network: {version: 2, ethernets: {x: {dhcp4: maybe}}}\n"])
def test_a_file_of_somebody_else_that_netplan_cannot_read_is_told_before_it_matters(
    node: Node, text: str
) -> None:
    node.attach(0, link="ens3")
    node.run("reconcile")
    assert [level for level, _ in findings(node, "configuration")] == ["ok"]
    before = node.box.glob("/run/systemd/network/*")
    node.box.write("/etc/netplan/60-broken.yaml", text, 0o600)
    ((level, words),) = findings(node, "configuration")
    assert level == "problem"
    assert "/etc/netplan/60-broken.yaml" in words
    assert node.box.glob("/run/systemd/network/*") == before


def test_a_timer_must_be_enabled_and_active(node: Node) -> None:
    assert findings(node, "timer")[0][0] == "note"
    node.box.write("/etc/systemd/system/multinic.timer", TIMER, 0o644)
    node.box.write("/etc/systemd/system/multinic.service", SERVICE, 0o644)
    node.box.write("/etc/systemd/system/multinic-hotplug.service", SERVICE, 0o644)
    node.box.write("/run/udev/rules.d/90-multinic.rules", "# looked for, not at\n", 0o644)
    node.box.run("systemctl", "daemon-reload")
    level, words = findings(node, "timer")[0]
    assert (level, "systemctl enable --now multinic.timer" in words) == ("problem", True)
    node.box.run("systemctl", "start", "multinic.timer")
    assert findings(node, "timer")[0][0] == "warning"
    node.box.run("systemctl", "enable", "multinic.timer")
    assert findings(node, "timer") == [("ok", "multinic.timer is enabled and active ")]
    node.box.run("systemctl", "disable", "--now", "multinic.timer")


@pytest.fixture
def distributed(node: Node) -> Iterator[None]:
    """A drop-in as a distribution would bring it. Without it a pass cannot write its coverage."""
    node.box.write("/usr/lib/systemd/system/multinic.service.d/coverage.conf", COUNTED)
    yield
    node.box.remove("/usr/lib/systemd/system/multinic.service.d")


@pytest.mark.usefixtures("distributed")
def test_what_systemd_knows_of_the_units_is_told(node: Node) -> None:
    box = node.box

    def words(*command: str) -> list[tuple[str, str]]:
        box.run("sh", "-c", " && ".join(command))
        return [(level, text) for level, text in findings(node, "timer") if level != "ok"]

    box.multinic("install-units")
    box.write("/etc/systemd/system/multinic.service.d/test.conf", "[Service]\nNice=1\n")
    assert words("systemctl daemon-reload", "systemctl enable --now multinic.timer") == [
        ("note", "multinic.service is changed by /etc/systemd/system/multinic.service.d/test.conf ")
    ]
    box.remove("/etc/systemd/system/multinic.service.d")
    level, text = words("true")[0]
    assert (level, text.startswith("changed "), "daemon-reload" in text) == ("warning", True, True), text
    ((level, text),) = words("systemctl daemon-reload", "systemctl enable multinic-health.socket")
    assert (level, "multinic-health.socket is enabled, but not active" in text) == ("warning", True)
    box.write("/etc/systemd/system/multinic.service.d/test.conf", "[Service]\nExecStart=\n")
    unusable, changed = words("systemctl disable multinic-health.socket", "systemctl daemon-reload")
    assert (unusable[0], "systemd cannot use multinic.service: no pass runs" in unusable[1]) == (
        "problem",
        True,
    )
    assert changed[0] == "note"
    box.remove("/etc/systemd/system/multinic.service.d")
    box.write("/etc/systemd/system/multinic.timer.d/test.conf", ELSEWHERE)
    ((level, text),) = words("systemctl daemon-reload", "systemctl reenable multinic.timer")
    assert (level, "multinic.timer is changed by" in text) == ("note", True)
    box.write("/etc/systemd/system/multinic.timer.d/test.conf", ONCE)
    words("systemctl daemon-reload", "systemctl reenable multinic.timer", "systemctl restart multinic.timer")
    elapsed = "multinic.timer is active, but has nothing to wait for any more: no pass runs"
    eventually(lambda: any(elapsed in text for _, text in words("true")), timeout=60)
    box.write(
        "/etc/systemd/system/multinic.service.d/slow.conf", "[Service]\nExecStart=\nExecStart=sleep 1000\n"
    )
    # To start a pass that runs already would begin no other one.
    until = "until systemctl is-active {} | grep -qx {}; do sleep 0.1; done".format
    words(until("multinic-hotplug.service", "inactive"), until("multinic.service", "inactive"))
    slow = "systemctl start --no-block multinic.service"
    found = words("systemctl daemon-reload", slow, until("multinic.service", "activating"))
    assert not any(elapsed in text for _, text in found), "it waits for the end of this pass"
    words("systemctl stop multinic.service")
    box.remove("/etc/systemd/system/multinic.service.d")
    box.remove("/etc/systemd/system/multinic.timer.d", "/etc/systemd/system/multinic.timer")
    ((level, text),) = words("systemctl stop multinic.timer", "systemctl mask multinic.timer")
    assert (level, "is masked" in text, "unmask" in text) == ("problem", True, True)


def test_rules_of_others_are_told_with_a_remedy_that_networkd_understands(node: Node) -> None:
    node.box.run("ip", "rule", "add", "from", "10.1.1.1", "lookup", "100", "priority", "5000")
    ((level, words),) = findings(node, "foreign-routes")
    assert (level, "1 policy rule " in words) == ("warning", True)
    drop_in = "/etc/systemd/networkd.conf.d/multinic.conf"
    node.box.write(drop_in, "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n", 0o644)
    try:
        node.box.run("systemctl", "restart", "systemd-networkd")
        assert findings(node, "foreign-routes")[0][0] == "ok"
        assert "5000:" in node.box.run("ip", "rule").stdout
    finally:
        node.box.remove(drop_in)
        node.box.run("systemctl", "restart", "systemd-networkd")
