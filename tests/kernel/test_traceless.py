"""Whatever the options made of a link, its removal, a rollback and a failed change leave none of it."""

from __future__ import annotations

import json
import signal

import pytest

from tests.kernel.network import Network
from tests.kernel.node import Node, mac_of, until
from tests.snapshot import SHOWN, all_options, different

EVERYTHING = all_options(1)
SOMETHING = {
    "gateway": "10.1.0.1",
    "policy_routing": "auto",
    "routes": [{"to": "10.50.0.0/16", "via": "10.1.0.1", "metric": 60}, {"to": "10.52.0.0/16"}],
    "rp_filter": 1,
    "ethtool": {"gro": False, "rx": False},
    "description": "for a while",
}
ADDRESSES = "10.1.0.11/24, fd00:1::11/64"
TAKEN = "10.1.0.11/24, fd00:1::99/64"
"""The second address of these is another machine's."""


def ask(node: Node, address: str, options: object) -> None:
    """Let the row of the first port ask for this."""
    statement = "UPDATE multi_interface SET address = %s, options = %s, mtu = 1600 WHERE macaddress = %s"
    node.sql(statement, address, json.dumps(options), mac_of(1))


@pytest.fixture
def lived_in(node: Node) -> Node:
    """A node with a managed link without options, rules and routes of its operator, and a second link that
    no row knows yet."""
    network = Network(node.namespace)
    for number in (1, 2):
        node.namespace.plug(f"eth{number}", mac_of(number))
    network.switch("lan", "port1", "port2")
    network.machine(lan="10.1.0.1/24 fd00:1::1/64 fd00:1::99/64")
    node.attach(2, "10.2.0.12", cidr="10.2.0.0/24", subnet_id="others")
    node.reconcile()
    for command in (
        "rule add from 10.77.0.0/16 lookup 77 priority 900",
        "rule add from 10.1.0.11 lookup 77 priority 31000",
        "-6 rule add from fd00:77::/64 lookup 77 priority 900",
        "route add 10.78.0.0/16 dev multinic0 table 77",
    ):
        node.ip(*command.split())
    return node


def add(node: Node, options: object = EVERYTHING, address: str | None = ADDRESSES) -> None:
    """Attach the first port."""
    text = json.dumps(options)
    node.attach(1, address, 1600, cidr="10.1.0.0/24", subnet_id="ours", options=text)


def test_a_removal_leaves_no_rule_no_route_in_any_table_and_no_setting(lived_in):
    node = lived_in
    before = node.everything()
    add(node)
    node.reconcile()
    assert different(before, node.everything()).keys() == SHOWN.keys()
    assert node.reconcile() == ""
    node.detach(1)
    node.reconcile()
    assert different(before, node.everything()) == {}


def test_a_row_that_no_longer_asks_takes_every_option_back(lived_in):
    node = lived_in
    add(node, {})
    node.reconcile()
    before = node.everything()
    ask(node, ADDRESSES, EVERYTHING)
    node.reconcile()
    assert different(before, node.everything()).keys() == SHOWN.keys() - {"addresses"}
    ask(node, ADDRESSES, {})
    node.reconcile()
    assert different(before, node.everything()) == {}


@pytest.mark.parametrize("address", ["10.1.0.11/24", None])
def test_a_link_without_ipv6_leaves_no_trace_of_what_kept_that_off(lived_in, address):
    node = lived_in
    before = node.everything()
    add(node, {}, address)
    node.reconcile()
    assert "sysctls" in different(before, node.everything())
    node.multinic("rollback")
    assert different(before, node.everything()) == {}
    node.reconcile()
    node.detach(1)
    node.reconcile()
    assert different(before, node.everything()) == {}


@pytest.mark.parametrize("options", [None, {}, SOMETHING], ids=["unmanaged", "plain", "with options"])
def test_a_rollback_puts_everything_back(lived_in, options):
    node = lived_in
    if options is None:
        before = node.everything()
        add(node)
    else:
        add(node, options)
        node.reconcile()
        before = node.everything()
        ask(node, ADDRESSES, EVERYTHING)
    node.reconcile()
    assert different(before, node.everything())
    node.multinic("rollback")
    assert different(before, node.everything()) == {}


@pytest.mark.parametrize("options", [None, {}, SOMETHING], ids=["unmanaged", "plain", "with options"])
def test_a_change_that_fails_is_put_back_with_all_its_options(lived_in, options):
    node = lived_in
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth1.dad_transmits=1")
    if options is None:
        before = node.everything()
        add(node, address=TAKEN)
    else:
        add(node, options)
        node.reconcile()
        before = node.everything()
        ask(node, TAKEN, EVERYTHING)
    assert "in use by another machine" in node.reconcile(expect=4)
    assert different(before, node.everything()) == {}


def test_a_link_that_was_unplugged_leaves_no_rule_when_its_row_goes(lived_in):
    node = lived_in
    rules = node.namespace.rules()
    add(node)
    node.reconcile()
    node.unplug(1)
    node.reconcile()
    assert node.namespace.rules() != rules  # they wait for the link
    node.detach(1)
    node.reconcile()
    assert node.namespace.rules() == rules


def test_a_purge_leaves_nothing_of_it(node):
    Network(node.namespace).switch("lan")
    node.namespace.plug("eth1", mac_of(1))
    before = node.everything()
    add(node)
    node.reconcile()
    assert different(before, node.everything()).keys() == SHOWN.keys()
    node.multinic("purge", "--yes")
    assert different(before, node.everything()) == {}


def test_a_pass_that_is_killed_in_the_middle_is_put_back_with_all_its_options(lived_in):
    node = lived_in
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth1.dad_transmits=60")
    before = node.everything()
    add(node)
    process = node.start("reconcile", env={"MULTINIC_VERIFY_TIMEOUT": "60s"})
    until(lambda: node.namespace.run("ip", "-6", "address", "show", "tentative", "to", "fd00:1::11").stdout)
    until(lambda: node.namespace.run("ip", "rule", "show", "from", "10.1.0.11").stdout.count("\n") > 1)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    node.multinic("rollback")
    assert different(before, node.everything()) == {}
