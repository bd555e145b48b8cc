"""Interrupted is not lost, with netplan, networkd and NetworkManager: at whichever moment a run is killed.

Also between writing runtime files, telling udevd and networkd of them, and renaming links. networkd goes on
with what it was told; what counts is where the host is once it is done.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.host.interrupting import SCENARIOS, interrupt
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.node import mac_of


@pytest.mark.parametrize(
    ("kind", "scenario"),
    [
        *(("netplan", scenario) for scenario in SCENARIOS),
        *(("networkd", scenario) for scenario in ("create", "what others have", "slot taken over")),
        *(
            ("networkmanager", scenario)
            for scenario in ("create", "delete", "what others have", "slot taken over")
        ),
    ],
)
def test_killed_at_any_moment_a_change_is_undone_or_done(
    boxes: Callable[[str], Box], kind: str, scenario: str
):
    box = boxes(kind)
    box.clean()
    found = interrupt(box, scenario, kind)
    assert found
    assert [case for case in found if case["outcome"] not in ("old", "new")] == []


def test_a_loss_of_power_in_mid_change_is_made_whole_after_the_boot(clean: Box, server: PrivateMariaDB):
    node = Node(clean, server)
    for slot in (0, 1):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    before = {path: clean.read(path) for path in clean.glob("/etc/netplan/*")}
    node.sql("UPDATE multi_interface SET address = '10.5.0.77' WHERE port_id = 'port-1'")
    node.attach(2, link="ens5")
    # networkctl never comes back: everything is written, and the power goes.
    clean.run("mv", "/usr/bin/networkctl", "/usr/bin/networkctl.real")
    clean.write("/usr/bin/networkctl", "#!/bin/sh\ntouch /root/asked\nexec sleep 3600\n", 0o755)
    process = clean.spawn("multinic", "reconcile")
    try:
        eventually(lambda: clean.exists("/root/asked"), timeout=60)
        assert clean.exists("/var/lib/multinic/checkpoint.json")
    finally:
        clean.run("mv", "/usr/bin/networkctl.real", "/usr/bin/networkctl")
        clean.reboot(hard=True)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    done = node.run("rollback", "--interrupted")

    assert "a change was interrupted" in done.stderr
    assert {path: clean.read(path) for path in clean.glob("/etc/netplan/*")} == before
    assert not clean.exists("/var/lib/multinic/checkpoint.json")
    node.run("reconcile")
    addresses = [clean.addresses(f"multinic{slot}") for slot in (0, 1, 2)]
    assert addresses == [["10.5.0.10/24"], ["10.5.0.77/24"], ["10.5.0.12/24"]]
    assert clean.link_of(mac_of(2))["ifname"] == "multinic2"
    assert node.run("reconcile").stderr == ""
