"""The service as confined as it is shipped: with every backend it can do its job, and put back what fails."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.host.kinds import BOOKWORM, BULLSEYE, NETWORKD, NETWORKMANAGER, WICKED
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.host.test_commands import instead_of, state
from tests.host.test_units import install
from tests.hosts import eventually
from tests.passes import complaints, do_pass, idle

# By what each backend activates files that changed.
ACTIVATES = {kind.name: "/usr/bin/networkctl" for kind in (BULLSEYE, BOOKWORM, NETWORKD)}
ACTIVATES |= {NETWORKMANAGER.name: "/usr/bin/nmcli", WICKED.name: "/usr/sbin/wicked"}
# In a directory that the confined service may write.
ONCE = """#!/bin/sh
case " $* " in *" reload "* | *" load "* | *" ifreload "*) ;; *) exec "$0.real" "$@" ;; esac
mkdir /run/multinic/{did} 2>/dev/null || exec "$0.real" "$@"
{does}
"""


@pytest.fixture
def node(kind: str, boxes: Callable[[str], Box]) -> Node:
    """A node whose passes systemd runs, as confined as they are shipped."""
    box = boxes(kind)
    box.clean()
    node = Node(box)
    install(box)
    return node


@pytest.mark.parametrize("kind", ACTIVATES)
def test_the_confined_service_can_do_its_job_with_every_backend(kind: str, node: Node) -> None:
    box = node.box
    for slot in range(3):
        node.attach(slot, link=f"eno{slot + 3}")
    do_pass(box)
    assert node.flags() == {f"port-{slot}": 1 for slot in range(3)}
    eventually(lambda: all(box.settled(f"multinic{slot}") for slot in range(3)), timeout=60)
    box.run("ip", "address", "add", "10.5.0.200/32", "dev", "multinic0")

    node.sql(
        "UPDATE multi_interface SET mtu = 1400, options = %s WHERE port_id = 'port-0'",
        json.dumps({"rp_filter": 2, "routes": [{"to": "10.7.0.0/16", "via": "10.5.0.1"}]}),
    )
    node.detach(2)
    do_pass(box)

    assert node.flags() == {"port-0": 1, "port-1": 1}
    link = box.links()["multinic0"]
    assert (link["mtu"], "10.7.0.0/16" in box.run("ip", "route").stdout) == (1400, True)
    assert sorted(box.addresses("multinic0")) == ["10.5.0.10/24", "10.5.0.200/32"]
    assert box.read("/proc/sys/net/ipv4/conf/multinic0/rp_filter") == "2\n"
    assert "multinic2" not in box.links()
    assert {item["state"] for item in node.plan().values()} == {"unchanged"}
    assert complaints(box) == ""


@pytest.mark.parametrize("kind", ACTIVATES)
def test_the_confined_service_puts_back_what_fails_or_is_killed(kind: str, node: Node) -> None:
    box = node.box
    node.attach(0, link="eno3")
    do_pass(box)
    eventually(lambda: box.settled("multinic0"), timeout=60)
    before = state(node)

    node.sql("UPDATE multi_interface SET address = '10.5.0.77', mtu = 1400")
    with instead_of(box, ACTIVATES[kind], ONCE.format(did="failed", does="echo 'it is Tuesday' >&2; exit 1")):
        do_pass(box)
    assert box.exists("/run/multinic/failed")
    eventually(lambda: state(node) == before, timeout=60)
    assert node.flags() == {"port-0": 0}

    node.sql("UPDATE multi_interface SET address = '10.5.0.78'")
    with instead_of(box, ACTIVATES[kind], ONCE.format(did="hung", does="exec sleep 86400")):
        box.run("systemctl", "start", "--no-block", "multinic.service")
        eventually(lambda: box.exists("/run/multinic/hung"), timeout=60)
        assert box.exists("/var/lib/multinic/checkpoint.json")
        box.run("systemctl", "kill", "--kill-who=main", "--signal=SIGKILL", "multinic.service")
        eventually(lambda: idle(box), timeout=60)
    eventually(lambda: state(node) == before, timeout=60)

    do_pass(box)
    assert node.flags() == {"port-0": 1}
    assert box.addresses("multinic0") == ["10.5.0.78/24"]
