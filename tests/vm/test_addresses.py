"""Links with the MAC addresses of others, on NICs with permanent ones: links in a namespace have none."""

from __future__ import annotations

from pathlib import Path

from tests.node import Node, mac_of
from tests.packages import apt, build, configure
from tests.vm.machine import Machine
from tests.vm.test_life import until, works

SET_BY_HAND = "fa:16:3e:00:00:77"


def name_of(machine: Machine, mac: str) -> str:
    until(lambda: machine.link_of(mac), what=mac)
    link = machine.link_of(mac)
    assert link
    return link["ifname"]


def test_whose_a_mac_address_is(shared_machine: Machine, shared_node: Node, tmp_path: Path) -> None:
    machine, node = shared_machine, shared_node
    machine.put(build("deb", tmp_path), "/root/new.deb")
    machine.remove("/etc/multinic/multinic.toml")
    apt(machine, "install", "/root/new.deb")
    configure(node)

    # What lies on a NIC shares its address, some kinds even the permanent one: the NIC is meant.
    machine.plug(mac_of(0))
    name_of(machine, mac_of(0))
    node.attach(0)
    node.run("reconcile")
    works(machine, "multinic0")
    for kind in (["ipvlan", "mode", "l2"], ["macvtap", "mode", "passthru"]):
        made = ["ip", "link", "add", "link", "multinic0", "name", "above", "type", *kind]
        machine.run(*made)
        assert node.plan()["multinic0"]["state"] == "unchanged", kind
        machine.run("ip", "link", "delete", "above")

    # netplan finds a NIC by the address of the card: one that was set since is no way to it.
    machine.plug(mac_of(1))
    name = name_of(machine, mac_of(1))
    machine.run("ip", "link", "set", name, "address", SET_BY_HAND)
    node.attach(1, macaddress=SET_BY_HAND)
    said = node.run("reconcile", expect=5).stderr
    words = f"link {name} has the MAC address {SET_BY_HAND} only for now, that of the card is {mac_of(1)}"
    assert words in said
    assert not machine.glob("/etc/netplan/*multinic1*")
    node.detach(1)
    node.attach(1)
    node.run("reconcile")
    works(machine, "multinic1")
