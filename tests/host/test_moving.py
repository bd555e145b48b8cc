"""A host that the earlier agent in Go served: what its newest version left there when it was run on one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.node import mac_of

# Its order of keys, indentation and spelling of the MAC address, which is that of the row.
FILE = """\
network:
    ethernets:
        multinic{slot}:
            addresses:
                - 10.5.0.{host}/24
            dhcp4: false
            match:
                macaddress: {mac}
            mtu: 1450
            set-name: multinic{slot}
    version: 2
"""
WITHOUT_ADDRESS = """\
network:
    ethernets:
        multinic{slot}:
            match:
                macaddress: {mac}
            set-name: multinic{slot}
    version: 2
"""
# Its charts had Kubernetes make these on every node, whatever its system.
DIRECTORIES = ("/etc/sysconfig/network", "/etc/sysconfig/network-scripts", "/var/lib/multinic")


@pytest.fixture
def node(clean: Box, server: PrivateMariaDB) -> Iterator[Node]:
    yield Node(clean, server)
    clean.run("rmdir", *DIRECTORIES[1::-1], "/etc/sysconfig")


def leave(node: Node) -> None:
    """Leave four ports: with an address, without, not plugged in, and one whose row was removed."""
    box = node.box
    box.run("mkdir", "-p", *DIRECTORIES)
    for slot in (0, 1, 3):
        mac = node.attach(slot, link=f"ens{slot + 3}")
        box.let_udev_know(slot, mac)
        text = WITHOUT_ADDRESS if slot == 1 else FILE
        text = text.format(slot=slot, host=slot + 10, mac=mac.upper())
        box.write(f"/etc/netplan/9{slot}-multinic{slot}.yaml", text, 0o644)
    node.attach(2)
    node.sql("UPDATE multi_interface SET address = NULL, mtu = NULL WHERE port_id = 'port-1'")
    box.run("netplan", "apply")
    eventually(lambda: box.addresses("multinic0") == ["10.5.0.10/24"] and box.addresses("multinic3"))
    # It removes the file, has netplan apply the rest, and leaves the link its name.
    box.remove("/etc/netplan/93-multinic3.yaml")
    box.run("netplan", "apply")
    eventually(lambda: box.addresses("multinic3") == [] and box.addresses("multinic0") == ["10.5.0.10/24"])
    node.detach(3)
    node.sql("UPDATE multi_interface SET netplan_success = 1 WHERE port_id <> 'port-2'")
    eventually(lambda: box.settled("multinic0"))


def test_what_the_earlier_agent_left_is_taken_over_without_a_flap_and_put_in_order(node: Node):
    leave(node)
    planned = node.plan()
    assert {name: (item["state"], item["reason"]) for name, item in planned.items()} == {
        "multinic0": ("update", "adopt"),
        "multinic1": ("update", "adopt"),
        "multinic2": ("waiting", "not-plugged-in"),
        "multinic3": ("delete", "orphan"),
    }
    assert planned["multinic0"]["changes"] == []

    with node.box.monitor("eth0", "multinic0", "multinic1") as events:
        node.run("reconcile")

    assert [event for event in events if "eth0" in str(event)] == []
    assert [event for event in events if " down " in str(event)] == []
    assert [event for event in events if "DEL" in str(event) and "10.5.0.10" in str(event)] == []
    assert node.box.addresses("multinic0") == ["10.5.0.10/24"]
    assert not node.box.link_of(mac_of(3))["ifname"].startswith("multinic")
    files = node.box.glob("/etc/netplan/9*")
    assert [(path, node.box.stat(path).mode) for path in files] == [
        (f"/etc/netplan/9{slot}-multinic{slot}.yaml", 0o600) for slot in range(3)
    ]
    assert node.flags() == {"port-0": 1, "port-1": 1, "port-2": 0}
    assert {item["state"] for item in node.plan().values()} <= {"unchanged", "waiting"}
    assert node.run("reconcile").stderr == ""
