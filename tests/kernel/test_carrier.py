"""Links without a carrier, and what a carrier that comes or goes begins."""

from __future__ import annotations

import pytest

from tests.kernel.node import mac_of


def state(node):
    """Return state and reason of the first port, as status has it."""
    (item,) = [item for item in node.document("status")["interfaces"] if item["mac"] == mac_of(1)]
    return item["state"], item["reason"]


def carrier(node, state, number=1):
    """Set the far end of a port up or down."""
    node.namespace.cloud.run("ip", "link", "set", f"port{number}", state)


def test_a_row_without_a_carrier_is_configured_and_waits(node):
    node.provide(2)
    carrier(node, "down")
    said = node.reconcile()
    assert "multinic0: waiting: multinic0 has no carrier" in said
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert node.flags() == {mac_of(1): 0, mac_of(2): 1}
    assert state(node) == ("waiting", "no-carrier")
    assert node.reconcile() == ""
    told = {f["check"]: f["message"] for f in node.document("doctor", expect=None)["findings"]}
    assert told["state"] == "after the last pass everything was as desired, but for what waits: multinic0"


def test_the_next_pass_sees_a_carrier_come_and_go(converged):
    node = converged(1)
    for there, (expected, flag) in (
        ("down", (("waiting", "no-carrier"), 0)),
        ("up", (("converged", "converged"), 1)),
    ):
        carrier(node, there)
        node.reconcile()
        assert (state(node), node.flags()) == (expected, {mac_of(1): flag})
        with node.namespace.monitor() as events:
            assert node.reconcile() == ""
        assert events == []


def test_a_pass_that_set_a_link_up_gives_its_carrier_time_to_come(node):
    node.attach(1, "10.0.0.11", 1401)
    node.namespace.plug("eth1", mac_of(1))
    carrier(node, "down")
    process = node.start("reconcile")
    # A card takes a second or two to agree with its switch.
    late = "until ip -o link show multinic0 up | grep -q NO-CARRIER; do sleep 0.1; done"
    node.namespace.run("timeout", "20", "sh", "-c", late)
    carrier(node, "up")
    _, said = process.communicate(timeout=60)
    assert "multinic0: created: " in said
    assert state(node) == ("converged", "converged")


@pytest.mark.parametrize("there", ["down", "up"])
def test_a_carrier_that_comes_or_goes_ends_the_wait_for_the_next_attempt(converged, there):
    node = converged(1)
    carrier(node, {"up": "down", "down": "up"}[there])
    node.reconcile()
    disabled = "net.ipv6.conf.multinic0.disable_ipv6"
    node.namespace.run("sysctl", "-qw", f"{disabled}=1")
    node.sql("UPDATE multi_interface SET address = 'fd00::3/64'")
    node.reconcile(expect=4)
    node.namespace.run("sysctl", "-qw", f"{disabled}=0")
    node.reconcile(expect=4)
    assert state(node) == ("failed", "backing-off")
    carrier(node, there)
    node.reconcile()
    assert node.link(1) == ("multinic0", True, 1401, ("fd00::3/64",))


def test_an_address_that_a_link_without_a_carrier_lacks_is_added_where_no_service_does_it(converged):
    node = converged(1)
    carrier(node, "down")
    node.reconcile()
    node.ip("address", "flush", "dev", "multinic0")
    node.reconcile()
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert state(node) == ("waiting", "no-carrier")
