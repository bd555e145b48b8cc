"""On a booted host too, nothing is left of what the options made of a link: not by us, not by networkd."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually, run
from tests.node import mac_of
from tests.snapshot import SHOWN, Snapshot, all_options, different, take

EVERYTHING = all_options(5)
BACKENDS = ("netplan", "networkd", "networkmanager")
ADDRESSES = "10.5.0.11/24, fd00:5::11/64"


def on(*kinds: str) -> pytest.MarkDecorator:
    """Run a test on hosts of these kinds."""
    return pytest.mark.parametrize("node", kinds, indirect=True)


@pytest.fixture
def node(request: pytest.FixtureRequest, boxes: Callable[[str], Box]) -> Node:
    """A host with one managed link without options, and a second one that no row knows yet."""
    kind = request.param
    box = boxes(kind)
    box.clean()
    node = Node(box, backend=kind if kind in BACKENDS else "netplan")
    node.attach(0, link="ens3")
    node.run("reconcile")
    node.box.let_udev_know(1, mac_of(1))
    node.box.plug("ens4", mac_of(1))
    return node


def is_up(box: Box, name: str) -> bool:
    """Return whether the kernel is done with a link that was set up."""
    link = box.links()[name]
    return link["operstate"] == "UP" and not any(found.get("tentative") for found in link["addr_info"])


def everything(box: Box) -> Snapshot:
    """Return all that the kernel says of the host's links once nothing is going on any more."""

    def ready() -> bool:
        links = box.links().values()
        return all(box.settled(link["ifname"]) for link in links if link["ifname"].startswith("multinic"))

    eventually(ready, what="networkd to be done")
    name = (box.link_of(mac_of(1)) or {})["ifname"]
    if box.kind.service == "NetworkManager":  # it sets every link up, and we set down what we leave
        box.run("ip", "link", "set", name, "up")
        eventually(lambda: is_up(box, name), what="the kernel to see the carrier")
    return take(lambda *argv: run("ip", "netns", "exec", box.host, *argv), name)


@on("netplan", "bullseye", "networkd", "networkmanager")
def test_a_removal_leaves_no_rule_no_route_in_any_table_and_no_setting(node: Node):
    before = everything(node.box)
    node.attach(1)
    node.run("reconcile")
    assert "sysctls" in different(before, everything(node.box))  # no IPv6 without an address of it
    node.detach(1)
    node.run("reconcile")
    assert different(before, everything(node.box)) == {}

    node.attach(1, address=ADDRESSES, mtu=1600, options=json.dumps(EVERYTHING))
    node.run("reconcile")
    assert different(before, everything(node.box)).keys() == SHOWN.keys()
    assert node.run("reconcile").stderr == ""
    node.detach(1)
    node.run("reconcile")
    assert different(before, everything(node.box)) == {}


@on("netplan", "networkmanager")
def test_a_rollback_puts_everything_back(node: Node):
    before = everything(node.box)
    node.attach(1, mtu=1600)
    node.run("reconcile")
    node.run("rollback")
    assert different(before, everything(node.box)) == {}

    node.sql("UPDATE multi_interface SET address = %s WHERE port_id = 'port-1'", ADDRESSES)
    node.run("reconcile")
    before = everything(node.box)
    node.sql("UPDATE multi_interface SET options = %s WHERE port_id = 'port-1'", json.dumps(EVERYTHING))
    node.run("reconcile")
    assert different(before, everything(node.box)).keys() == SHOWN.keys() - {"addresses"}
    node.run("rollback")
    assert different(before, everything(node.box)) == {}
