"""What cannot be done is put back as it was, alone; what was interrupted is made whole by the next pass."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.kernel.node import mac_of, until

CHECKPOINT = "var/lib/multinic/checkpoint.json"
LONG = {"MULTINIC_VERIFY_TIMEOUT": "60s"}


def in_the_middle(node, number, **options):
    """Start a pass that lasts, and return when it has renamed and begun to configure the n-th port."""
    node.slow_down(number)
    process = node.start("reconcile", **options)
    until(lambda: node.link(number)[0].startswith("multinic"))
    until(lambda: node.namespace.run("ip", "address", "show", "to", "fd00::5").stdout)
    assert process.poll() is None
    return process


def test_an_address_that_another_machine_has_is_put_back_and_the_others_stay(node):
    node.provide(3)
    node.take_address(2)
    before = node.link(2)
    said = node.reconcile(expect=4)
    assert node.link(2) == before
    assert "fd00::5/64 is in use by another machine" in said
    assert (node.link(1)[0], node.link(3)[0]) == ("multinic0", "multinic2")
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0, mac_of(3): 1}
    node.namespace.cloud.run("ip", "address", "del", "fd00::5/64", "dev", "port2")
    node.multinic("apply", "--yes")  # a person need not wait for the next attempt
    assert node.link(2) == ("multinic1", True, 1500, ("fd00::5/64",))
    assert node.flags()[mac_of(2)] == 1


def test_a_failing_change_of_a_working_link_keeps_what_worked(converged):
    node = converged(3)
    node.ip("route", "add", "10.50.0.0/16", "via", "10.0.0.1", "dev", "multinic1")
    node.ip("address", "add", "10.0.0.200/32", "dev", "multinic1")
    before = node.links()
    record = node.record()
    node.take_address(2)
    node.reconcile(expect=4)
    assert node.links() == before
    assert node.namespace.routes("10.50.0.0/16")[0]["gateway"] == "10.0.0.1"
    failure = node.record()[mac_of(2)].pop("failure")
    assert (failure["count"], failure["wish"]["addresses"]) == (1, ["fd00::5/64"])
    assert {mac: held["applied"] for mac, held in node.record().items()} == {
        mac: held["applied"] for mac, held in record.items()
    }
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0, mac_of(3): 1}
    assert CHECKPOINT not in node.files()


def test_an_error_of_one_link_stops_no_other(node):
    node.provide(4)
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth2.disable_ipv6=1")
    node.sql("UPDATE multi_interface SET address = 'fd00::2/64', mtu = 1500 WHERE id = 2")
    before = node.link(2)
    said = node.reconcile(expect=4)
    assert "cannot add fd00::2/64 to multinic1: IPv6 is disabled on multinic1" in said
    assert node.link(2) == before
    assert [node.link(n)[0] for n in (1, 3, 4)] == ["multinic0", "multinic2", "multinic3"]
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0, mac_of(3): 1, mac_of(4): 1}
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth2.disable_ipv6=0")
    node.multinic("apply", "--yes")
    assert set(node.flags().values()) == {1}


def test_links_that_exchange_names_go_back_together_when_one_fails(converged):
    node = converged(3)
    for old, new in (("multinic0", "aside"), ("multinic1", "multinic0"), ("aside", "multinic1")):
        node.ip("link", "set", old, "name", new)
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.multinic1.disable_ipv6=1")
    node.sql("UPDATE multi_interface SET address = 'fd00::1/64', mtu = 1500 WHERE id = 1")
    before = node.links()
    said = node.reconcile(expect=4)
    assert node.links() == before
    assert "could not restore everything" not in said
    states = {item["mac"]: item["reason"] for item in node.document("status")["interfaces"]}
    assert states[mac_of(2)] == "slot-shared"
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.multinic1.disable_ipv6=0")
    node.multinic("apply", "--yes")
    assert [node.link(n)[0] for n in (1, 2, 3)] == ["multinic0", "multinic1", "multinic2"]


def test_a_failing_link_is_told_once_and_not_tried_on_every_pass(node):
    node.provide(2)
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth2.disable_ipv6=1")
    node.sql("UPDATE multi_interface SET address = 'fd00::2/64', mtu = 1500 WHERE id = 2")
    node.reconcile(expect=4)
    with node.events() as events:
        assert node.reconcile(expect=4) == ""
    assert events == []
    node.sql("UPDATE multi_interface SET address = '10.0.0.12' WHERE id = 2")
    node.reconcile()  # another wish is another matter
    assert set(node.flags().values()) == {1}


def test_a_process_that_keeps_undoing_a_change_wins_without_harm_to_others(node):
    node.provide(2)
    loop = "while :; do for l in eth2 multinic1; do ip link set $l mtu 1300; done; done 2>/dev/null"
    hostile = node.namespace.popen("sh", "-c", loop)
    try:
        said = node.reconcile(expect=None, env={"MULTINIC_VERIFY_TIMEOUT": "1s"})
    finally:
        hostile.kill()
        hostile.wait()
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert node.flags()[mac_of(1)] == 1
    assert "Traceback" not in said
    node.multinic("apply", "--yes")
    assert node.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))
    assert node.flags()[mac_of(2)] == 1


def test_what_changes_while_the_result_is_written_is_seen_by_the_next_pass(node):
    node.provide(2)
    node.sql("BEGIN IMMEDIATE")  # the result cannot be written yet
    process = node.start("reconcile")
    until(lambda: (node.link(2) or ("",))[3:] == (("10.0.0.12/24",),))
    until(lambda: CHECKPOINT not in node.files())
    node.ip("link", "set", "multinic1", "mtu", "1300")
    node.sql("COMMIT")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert node.flags() == {mac_of(1): 1, mac_of(2): 1}
    node.reconcile()
    assert node.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))


def test_an_address_that_was_lost_to_another_machine_comes_back_when_that_has_gone(node):
    node.provide(1)
    node.sql("UPDATE multi_interface SET address = 'fd00::5/64', mtu = 1500")
    node.reconcile()
    node.ip("link", "set", "multinic0", "down")
    node.take_address(1)
    node.ip("address", "add", "fd00::5/64", "dev", "multinic0")
    node.ip("link", "set", "multinic0", "up")
    until(lambda: "dadfailed" in node.namespace.run("ip", "address", "show", "dev", "multinic0").stdout)
    assert "in use by another machine" in node.reconcile(expect=4)
    node.namespace.cloud.run("ip", "address", "del", "fd00::5/64", "dev", "port1")
    node.multinic("apply", "--yes")
    assert "dadfailed" not in node.namespace.run("ip", "address", "show", "dev", "multinic0").stdout
    assert node.link(1) == ("multinic0", True, 1500, ("fd00::5/64",))


def test_a_link_unplugged_in_mid_apply_is_waiting_and_the_others_converge(node):
    node.provide(3)
    process = in_the_middle(node, 3, env=LONG)
    node.unplug(2)
    node.speed_up(3)
    node.unplug(3)
    _, said = process.communicate(timeout=30)
    assert "Traceback" not in said
    assert node.link(1)[0] == "multinic0"
    assert node.flags() == {mac_of(1): 1, mac_of(2): 0, mac_of(3): 0}
    assert {i["state"] for i in node.document("status")["interfaces"] if i["mac"] != mac_of(1)} == {"waiting"}


@pytest.mark.parametrize(
    "signal_", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name
)
def test_a_run_ended_in_mid_apply_is_made_whole_by_the_next(node, signal_):
    node.provide(3)
    before = node.links()
    process = in_the_middle(node, 2, env=LONG)
    process.send_signal(signal_)
    process.communicate(timeout=30)
    if signal_ == signal.SIGKILL:
        assert CHECKPOINT in node.files()
    node.multinic("rollback")
    assert node.links() == before
    node.sql("UPDATE multi_interface SET address = '10.0.0.12' WHERE id = 2")
    node.reconcile()
    assert [node.link(n)[0] for n in (1, 2, 3)] == ["multinic0", "multinic1", "multinic2"]
    assert set(node.flags().values()) == {1}
    assert CHECKPOINT not in node.files()
    node.detach(2)
    node.reconcile()
    assert node.link(2) == before[mac_of(2)]  # its name, MTU and state before us are not forgotten


def test_what_an_ended_run_could_not_put_back_is_left_to_a_rollback(converged):
    node = converged(2)
    node.sql("UPDATE multi_interface SET address = 'fd00::1/64' WHERE id = 1")
    node.reconcile()
    before = node.links()
    node.sql("UPDATE multi_interface SET address = '10.0.0.11' WHERE id = 1")
    process = in_the_middle(node, 2, env=LONG)
    until(lambda: (node.link(1) or ())[3] == ("10.0.0.11/24",))
    disabled = "net.ipv6.conf.multinic0.disable_ipv6"
    node.namespace.run("sysctl", "-qw", f"{disabled}=1")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert "could not restore everything" in said
    assert node.links() != before
    node.namespace.run("sysctl", "-qw", f"{disabled}=0")
    node.multinic("rollback")
    assert node.links() == before


def test_a_rollback_that_cannot_put_everything_back_does_not_succeed(converged):
    node = converged(2)
    node.sql("UPDATE multi_interface SET address = 'fd00::1/64' WHERE id = 1")
    node.reconcile()
    before = node.links()
    node.sql("UPDATE multi_interface SET address = '10.0.0.11' WHERE id = 1")
    process = in_the_middle(node, 2, env=LONG)
    until(lambda: (node.link(1) or ())[3] == ("10.0.0.11/24",))
    process.kill()
    process.communicate(timeout=30)
    disabled = "net.ipv6.conf.multinic0.disable_ipv6"
    node.namespace.run("sysctl", "-qw", f"{disabled}=1")
    said = node.multinic("rollback", "--interrupted", expect=1).stderr
    assert said.count("could not restore everything") == 1
    node.namespace.run("sysctl", "-qw", f"{disabled}=0")
    node.multinic("rollback")
    assert node.links() == before


def test_the_pass_after_a_killed_one_needs_no_help(converged):
    node = converged(3)
    process = in_the_middle(node, 2, env=LONG)
    process.kill()
    process.communicate(timeout=30)
    node.speed_up(2)
    said = node.reconcile()
    assert "interrupted" in said
    assert node.link(2) == ("multinic1", True, 1500, ("fd00::5/64",))
    assert node.reconcile() == ""


def test_a_damaged_checkpoint_is_told_and_the_pass_goes_on_from_what_is_there(converged):
    node = converged(2)
    (node.root / CHECKPOINT).write_text("{")
    node.ip("link", "set", "multinic0", "mtu", "1300")
    said = node.reconcile()
    assert f"the checkpoint /{CHECKPOINT} is damaged" in said
    assert node.link(1)[2] == 1401
    assert CHECKPOINT not in node.files()
    assert node.reconcile() == ""


def test_rollback_puts_back_the_last_change_and_only_once(converged):
    node = converged(3)
    before = node.links()
    node.sql("UPDATE multi_interface SET address = '10.0.0.99', mtu = 1300 WHERE id = 2")
    node.reconcile()
    with node.events() as events:
        node.multinic("rollback")
    assert node.links() == before
    assert {event.link for event in events} == {"multinic1"}
    with node.events() as events:
        done = node.multinic("rollback")
    assert events == []
    assert "no change to undo" in done.stdout
    node.reconcile()  # and the next pass does it again: the database has not changed its mind
    assert node.link(2)[2] == 1300


def test_rollback_of_a_first_pass_gives_every_link_its_name_back(node):
    node.provide(2)
    before = node.links()
    node.reconcile()
    node.multinic("rollback")
    assert node.links() == before


def test_rollback_of_a_removal_configures_the_link_again(converged):
    node = converged(3)
    before = node.links()
    node.detach(2)
    node.reconcile()
    node.multinic("rollback")
    assert node.links() == before


def test_rollback_leaves_a_link_alone_that_was_replaced_meanwhile(converged):
    node = converged(2)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE id = 2")
    node.reconcile()
    number = node.namespace.links()["multinic1"]["ifindex"]
    node.unplug(2)
    # As after many hot-plugs: the number of a link that is gone is that of another one.
    node.ip("link", "add", "eth9", "index", str(number), "type", "veth", "peer", "name", "far9")
    assert node.namespace.links()["eth9"]["ifindex"] == number
    with node.events() as events:
        node.multinic("rollback")
    assert events == []


def test_a_full_or_read_only_disk_is_told_and_changes_nothing(node):
    node.provide(2)
    node.reconcile()
    (node.root / "var/lib/multinic").rename(node.root / "var/lib/multinic.away")
    (node.root / "var/lib/multinic").write_text("in the way")
    node.ip("link", "set", "multinic0", "mtu", "1300")
    with node.events() as events:
        said = node.reconcile(expect=1)
    assert events == []
    assert "var/lib/multinic" in said


def test_what_could_not_be_restored_is_not_said_to_be(converged):
    node = converged(2)
    node.sql("UPDATE multi_interface SET address = 'fd00::1/64' WHERE id = 1")
    node.reconcile()
    before = node.link(1)
    node.slow_down(1)
    process = node.start("reconcile")
    until(lambda: (node.link(1) or ())[3] == ("fd00::5/64",))
    disabled = "net.ipv6.conf.multinic0.disable_ipv6"
    node.namespace.run("sysctl", "-qw", f"{disabled}=1")  # somebody else does that, at a bad moment
    _, said = process.communicate(timeout=60)
    assert node.link(1) != before
    assert "could not restore everything" in said
    (message,) = [line for line in said.splitlines() if "multinic0: failed" in line]
    assert message.endswith("multinic0 is not as before: addresses")
    assert "restored as it was" not in said


def test_what_the_kernel_says_no_to_is_said_with_its_cause(converged):
    node = converged(2)
    for number, address in ((1, "fd00::1/64"), (2, "fd00::2/64")):
        node.sql("UPDATE multi_interface SET address = %s, mtu = 1500 WHERE id = %s", address, number)
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.multinic0.disable_ipv6=1")
    node.ip("address", "add", "fd00::2/80", "dev", "multinic1", "nodad")
    said = node.reconcile(expect=4)
    disabled = "IPv6 is disabled on multinic0 by net.ipv6.conf.multinic0.disable_ipv6"
    assert f"multinic0: failed: cannot add fd00::1/64 to multinic0: {disabled} (set " in said
    there = "cannot add fd00::2/64 to multinic1: it has fd00::2/80 already (remove fd00::2/80 from it"
    assert f"multinic1: failed: {there}, or correct the row); restored as it was" in said
    assert node.namespace.addresses("multinic1") == ["10.0.0.12/24", "fd00::2/80"]


RESTORE_IN_VAIN = """
from multinic.host.host import Host
from multinic.kernel import observe
from multinic.kernel.links import Links
import subprocess
(route,) = [found for found in observe.surroundings().routes if found.via]
subprocess.run(["ip", "address", "flush", "dev", "eth1"], check=True)
with Links(Host()) as links:
    links.restore_route("eth1", route)
"""


def test_the_kernels_own_sentence_is_in_the_message(node):
    node.namespace.plug("eth1", up=True)
    node.ip("address", "add", "10.0.0.11/24", "dev", "eth1")
    node.ip("route", "add", "10.9.0.0/16", "via", "10.0.0.2")
    done = node.namespace.run(sys.executable, "-c", RESTORE_IN_VAIN, check=False, env=node.environment())
    words = "cannot add the route 10.9.0.0/16 on eth1: Network is unreachable (Nexthop has invalid gateway)"
    assert words in done.stderr


REMOVE_WHAT_IS_GONE = """
from multinic.host.host import Host
from multinic.kernel import observe
from multinic.kernel.links import Links
import subprocess
found = [route for route in observe.surroundings().routes if route.via]
assert len(found) == 2, found
subprocess.run(["ip", "nexthop", "flush"], check=True)
with Links(Host()) as links:
    for route in found:
        links.remove_route("eth1", route)
"""


def test_a_route_that_went_with_its_next_hop_object_is_gone(node):
    """So networkd takes away what routers told, once it is to listen to them no more."""
    node.namespace.plug("eth1", up=True)
    routes = [("4", "10.0.0.11/24", "10.0.0.2", "10.9.0.0/16"), ("6", "fd00::b/64", "fd00::2", "fd09::/48")]
    for number, address, via, to in routes:
        node.ip("address", "add", address, "dev", "eth1")
        node.ip("nexthop", "add", "id", number, "via", via, "dev", "eth1")
        node.ip("route", "add", to, "nhid", number)
    node.namespace.run(sys.executable, "-c", REMOVE_WHAT_IS_GONE, env=node.environment())
