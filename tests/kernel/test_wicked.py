"""The wicked backend on real links, with a fake wicked that configures them (tests/fake_wicked.py)."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fake_wicked
from tests.kernel.node import Node, mac_of
from tests.namespaces import Namespace

ETC, LINKS = "etc/sysconfig/network", "etc/systemd/network"
UNIT = "run/systemd/units/invocation:wickedd.service"
NANNY = "run/wicked/nanny"
SEED = "STARTMODE=auto\nBOOTPROTO=none\nLLADDR={mac}\nMTU=1500\n"


class Suse(Node):
    """A node with wicked, udevd and their commands."""

    backend = "wicked"

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        super().__init__(namespace, directory)
        for path, text in (("usr/sbin/wicked", ""), (f"{ETC}/config", ""), (f"{ETC}/dhcp", "")):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        (self.root / LINKS).mkdir(parents=True)
        programs = directory / "programs"
        programs.mkdir()
        self.fake = (sys.executable, "-I", fake_wicked.__file__, str(directory))
        for name in ("wicked", "udevadm"):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {shlex.join((*self.fake, name))} "$@"\n')
            script.chmod(0o755)
        namespace.run("mount", "--bind", programs, "/usr/local/sbin")  # seen inside the namespace alone
        self.start_wicked()

    def start_wicked(self) -> None:
        """Start wickedd and its nanny, as systemd does."""
        self.namespace.run(*self.fake, "started")
        (self.root / UNIT).parent.mkdir(parents=True, exist_ok=True)
        (self.root / UNIT).touch()

    def stop_wicked(self) -> None:
        """Stop wickedd; /run/wicked stays."""
        self.namespace.run(*self.fake, "stopped")
        (self.root / UNIT).unlink()

    def rename(self, name: str, new: str) -> None:
        """Rename a link by hand; the nanny hears of it."""
        self.namespace.run(*self.fake, "renamed", name, new)

    def plug(self, number: int) -> None:
        """Plug the n-th port's link in; udevd and the nanny hear of it."""
        self.plug_named(f"eth{number}", number)

    def plug_named(self, name: str, number: int) -> None:
        """Plug a link in under a name that the kernel or somebody gives it."""
        self.namespace.plug(name, mac_of(number))
        self.namespace.run(*self.fake, "plugged", name)

    def provide(self, count: int) -> None:
        for number in range(1, count + 1):
            self.attach(number, f"10.0.0.{number + 10}", 1400 + number)
            self.plug(number)

    def set(self, number: int, **columns: object) -> None:
        """Change the row of the n-th port."""
        for name, value in columns.items():
            self.sql(
                f"UPDATE multi_interface SET {name} = %s WHERE macaddress = %s",
                value,
                mac_of(number),
            )

    def commands(self) -> list[str]:
        """Return what was asked of wicked and udevd since the last time."""
        log = self.directory / "commands.log"
        found = log.read_text().splitlines() if log.exists() else []
        log.write_text("")
        return [line for line in found if "show-config" not in line]

    def killed(self, at: int) -> list[str]:
        """Run a pass that is killed at a moment, 0 for none; return its moments, the first one is 1."""
        command = [
            sys.executable,
            "-m",
            "tests.killing",
            "--at",
            str(at),
            "--",
            *self.command("reconcile")[3:],
        ]
        said = self.namespace.run(*command, check=False, env=self.environment()).stdout
        return [line.strip().split(" ", 1)[1] for line in said.splitlines()]

    def known_to_wicked(self) -> set[str]:
        """Return the files of which the nanny has a policy."""
        known = json.loads((self.directory / "wicked.json").read_text())
        return {f"ifcfg-{name}" for name in known["policies"]}

    def ours(self) -> list[str]:
        """Return the names of the managed files."""
        paths = [*(self.root / ETC).iterdir(), *(self.root / LINKS).iterdir()]
        return sorted(path.name for path in paths if "multinic" in path.name)


@pytest.fixture
def suse(namespace: Namespace, tmp_path: Path) -> Iterator[Suse]:
    made = Suse(namespace, tmp_path)
    yield made
    made.connection.close()


@pytest.fixture
def two(suse: Suse) -> Suse:
    """A node with two configured ports."""
    suse.provide(2)
    suse.reconcile()
    suse.commands()
    return suse


def test_new_links_are_named_and_configured_by_one_command(suse: Suse) -> None:
    suse.provide(10)
    suse.reconcile()
    assert [suse.link(number) for number in range(1, 11)] == [
        (f"multinic{number - 1}", True, 1400 + number, (f"10.0.0.{number + 10}/24",))
        for number in range(1, 11)
    ]
    names = " ".join(f"multinic{number}" for number in range(10))
    assert suse.commands() == ["udevadm control --reload", f"wicked ifup --timeout 30 {names}"]


def test_a_pass_over_a_converged_node_asks_wicked_nothing(two: Suse) -> None:
    before = two.files()
    assert two.reconcile() == ""
    assert (two.commands(), two.files()) == ([], before)


def test_an_address_and_an_mtu_are_changed_by_reloading_that_link_alone(two: Suse) -> None:
    two.set(1, address="10.0.0.99")
    two.set(2, mtu=1300)
    two.reconcile()
    assert two.link(1) == ("multinic0", True, 1401, ("10.0.0.99/24",))
    assert two.link(2) == ("multinic1", True, 1300, ("10.0.0.12/24",))
    assert two.commands() == ["wicked ifreload --timeout 30 multinic0 multinic1"]
    two.set(2, address="10.0.0.98")
    with two.events() as events:
        two.reconcile()
    assert {event.link for event in events} == {"multinic1"}
    assert two.commands() == ["wicked ifreload --timeout 30 multinic1"]


def test_an_mtu_that_is_no_longer_asked_for_is_set_back(two: Suse) -> None:
    two.set(1, mtu=None)
    two.reconcile()
    assert two.link(1) == ("multinic0", True, 1500, ("10.0.0.11/24",))


def test_drift_is_repaired_without_taking_the_link_down(two: Suse) -> None:
    two.ip("address", "del", "10.0.0.11/24", "dev", "multinic0")
    two.ip("link", "set", "multinic0", "mtu", "1280")
    with two.events() as events:
        two.reconcile()
    assert two.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert two.commands() == ["wicked ifup --timeout 30 multinic0"]
    assert {event.link for event in events} == {"multinic0"}
    assert two.reconcile() == ""


def test_what_wicked_takes_from_another_program_is_given_back_and_counted(two: Suse) -> None:
    (two.root / "srv").mkdir()
    two.ip("address", "add", "10.0.0.200/32", "dev", "multinic0")
    two.sql("UPDATE multi_interface SET mtu = 1390 WHERE id = 1")
    two.reconcile(env={"MULTINIC_METRICS_TEXTFILE": "/srv/multinic.prom"})
    assert two.link(1) == ("multinic0", True, 1390, ("10.0.0.11/24", "10.0.0.200/32"))
    written = (two.root / "srv/multinic.prom").read_text()
    assert 'multinic_given_back_total{kind="address"} 1.0\n' in written


def test_a_file_that_somebody_changed_is_put_back(two: Suse) -> None:
    path = two.root / ETC / "ifcfg-multinic0"
    text = path.read_text()
    path.write_text(text.replace("10.0.0.11", "10.0.0.66"))
    two.ip("address", "add", "10.0.0.66/24", "dev", "multinic0")
    two.ip("address", "del", "10.0.0.11/24", "dev", "multinic0")
    two.reconcile()
    assert path.read_text() == text
    link = two.link(1)
    assert link is not None
    assert "10.0.0.11/24" in link[3]


def test_removal_leaves_no_trace(two: Suse) -> None:
    two.detach(1)
    two.detach(2)
    two.multinic("apply", "--yes", "--allow-mass-delete")
    assert two.link(1) == ("eth1", False, 1500, ())
    assert two.link(2) == ("eth2", False, 1500, ())
    assert two.ours() == []
    # `ifdown` has taken the policies away: to ask for that again would be an error in the journal.
    assert two.commands() == ["udevadm control --reload", "wicked ifdown --timeout 30 multinic0 multinic1"]


def test_the_leases_of_a_removed_link_go_with_it_and_no_others(two: Suse) -> None:
    kept = two.root / "var/lib/wicked"
    kept.mkdir(parents=True)
    names = [f"lease-{name}-dhcp-ipv4.xml" for name in ("multinic0", "multinic1", "multinic10", "eth0")]
    for name in names:
        (kept / name).touch()
    two.detach(1)
    two.reconcile()
    assert sorted(path.name for path in kept.iterdir()) == sorted(names[1:])


def test_what_was_removed_while_unplugged_does_not_come_back_when_plugged_in(two: Suse) -> None:
    two.unplug(1)
    two.detach(1)
    two.reconcile()
    two.plug(1)
    assert two.link(1) == ("eth1", False, 1500, ())
    two.plug_named("multinic0", 9)  # not even where another link has the name
    assert two.link(9) == ("multinic0", False, 1500, ())


def test_the_next_owner_of_a_slot_gets_nothing_of_the_former_one(two: Suse) -> None:
    two.set(1, macaddress=mac_of(3))
    two.plug(3)
    two.reconcile(env={"MULTINIC_MAX_INTERFACES": "2"})  # no other slot is free
    assert two.link(3) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert two.link(1) == ("eth1", False, 1500, ())
    assert "wicked nanny delpolicy policy__multinic0" not in two.commands()


def test_a_link_whose_row_is_known_is_configured_when_plugged_in(suse: Suse) -> None:
    suse.attach(1, "10.0.0.11", 1400)
    suse.attach(2, "10.0.0.12", 1400)
    suse.reconcile()
    assert suse.commands() == ["udevadm control --reload", "wicked ifup --timeout 1 multinic0 multinic1"]
    suse.plug(1)
    assert suse.link(1) == ("multinic0", True, 1400, ("10.0.0.11/24",))
    suse.reconcile()
    assert suse.flags() == {mac_of(1): 1, mac_of(2): 0}
    assert suse.commands() == []


def test_a_link_that_is_plugged_in_again_is_configured_without_a_pass(two: Suse) -> None:
    two.unplug(1)
    two.plug(1)
    assert two.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))


def test_files_that_wicked_objects_to_are_the_fault_of_their_interface(suse: Suse) -> None:
    (suse.root / "etc/multinic/templates/wicked").mkdir(parents=True)
    (suse.root / "etc/multinic/templates/wicked/ifcfg.j2").write_text(
        "# {{ banner }}\nSTARTMODE='auto'\nIPADDR_0='10.0.0.11/24'\nDHCLIENT_UPDATE='none'\n"
        "DHCLIENT_SET_DEFAULT_ROUTE='no'\n"
        "{{ 'BOOTPROTO=nonsense' if name == 'multinic1' else 'BOOTPROTO=dhcp4' if name == 'multinic2' }}\n"
    )
    suse.attach(1, "10.0.0.11")
    suse.attach(2, "10.0.0.12")
    suse.attach(3, options='{"dhcp4": true}')
    suse.attach(4, options='{"dhcp4": true, "link_local": ["ipv4"]}')
    for number in range(1, 5):
        suse.plug(number)
    log = suse.reconcile(expect=4)
    refused = "failed: wicked refuses its file: "
    assert f'multinic1: {refused}ifcfg-multinic1: Unknown value in BOOTPROTO="nonsense"' in log
    assert f"multinic2: {refused}multinic2: ipv4:dhcp would take all that a server says" in log
    assert f"multinic3: {refused}options.link_local of row 4: beside dhcp4" in log
    assert suse.link(1) == ("multinic0", True, 1500, ("10.0.0.11/24",))
    assert [suse.link(number) for number in (2, 3, 4)] == [(f"eth{n}", False, 1500, ()) for n in (2, 3, 4)]
    assert suse.ours() == ["70-multinic0.link", "ifcfg-multinic0", "ifsysctl-multinic0"]
    assert suse.document("status")["interfaces"][1]["reason"] == "refused-by-backend"


def test_what_wicked_says_of_the_host_is_no_objection_to_an_interface(suse: Suse) -> None:
    (suse.root / ETC / "config").write_text("")
    (suse.root / ETC / "dhcp").unlink()  # then it complains of every directory
    suse.provide(1)
    suse.reconcile()
    assert suse.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))


def test_links_that_are_not_ours_see_nothing(suse: Suse) -> None:
    suse.namespace.plug("eth0", "fa:16:3e:00:01:00", up=True)
    suse.ip("address", "add", "10.9.0.2/24", "dev", "eth0")
    suse.provide(2)
    with suse.events() as events:
        suse.reconcile()
        suse.set(1, address="10.0.0.99")
        suse.reconcile()
        suse.detach(2)
        suse.reconcile()
    assert "eth0" not in {event.link for event in events}
    assert not [line for line in suse.commands() if "eth0" in line or " all" in line]


def test_the_file_of_an_earlier_agent_is_taken_over_without_taking_the_link_down(suse: Suse) -> None:
    suse.attach(1)
    suse.namespace.plug("multinic3", mac_of(1))
    seed = suse.root / ETC / "ifcfg-multinic3"
    seed.write_text(SEED.format(mac=mac_of(1)))
    suse.namespace.run(*suse.fake, "wicked", "ifup", "--timeout", "30", "multinic3")
    suse.commands()
    with suse.events() as events:
        suse.reconcile()
    assert suse.link(1) == ("multinic3", True, 1500, ())
    assert "LLADDR" not in seed.read_text()
    assert suse.commands() == ["udevadm control --reload", "wicked ifup --timeout 30 multinic3"]
    assert not [event for event in events if event.kind == "RTM_NEWLINK"], "the link went down or changed"
    assert suse.reconcile() == ""


def test_a_link_that_has_a_file_of_somebody_else_is_left_to_them(suse: Suse) -> None:
    (suse.root / ETC / "ifcfg-eth1").write_text("STARTMODE='auto'\nBOOTPROTO='dhcp'\n")
    suse.provide(2)
    log = suse.reconcile(expect=5)
    assert "link eth1 is configured by /etc/sysconfig/network/ifcfg-eth1" in log
    assert suse.link(1) == ("eth1", False, 1500, ())
    assert suse.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))


def test_two_ports_exchange_their_slots(two: Suse) -> None:
    two.ip("link", "set", "multinic0", "down")
    two.ip("link", "set", "multinic1", "down")
    two.ip("link", "set", "multinic0", "name", "aside")
    two.ip("link", "set", "multinic1", "name", "multinic0")
    two.ip("link", "set", "aside", "name", "multinic1")
    two.reconcile()
    assert two.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert two.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))


def test_what_could_not_be_configured_is_put_back_and_forgotten(suse: Suse) -> None:
    (suse.root / "etc/multinic/templates/wicked").mkdir(parents=True)
    template = suse.root / "etc/multinic/templates/wicked/ifcfg.j2"
    template.write_text("# {{ banner }}\nSTARTMODE='auto'\nIPADDR_0='10.7.7.7/24'\n")
    suse.provide(1)
    log = suse.reconcile(expect=4)
    assert "not there after" in log
    assert suse.link(1) == ("eth1", False, 1500, ())
    assert suse.ours() == []
    suse.unplug(1)
    suse.plug_named("multinic0", 9)
    assert suse.link(9) == ("multinic0", False, 1500, ())


def test_a_change_is_rolled_back_with_its_files_and_what_wicked_knows(two: Suse) -> None:
    before = two.links()
    two.set(1, address="10.0.0.99")
    two.reconcile()
    two.multinic("rollback")
    assert two.links() == before
    two.unplug(1)
    two.plug(1)
    assert two.links() == before


def test_a_link_without_a_carrier_is_configured_at_once_and_waits_for_it(suse: Suse) -> None:
    suse.provide(2)
    suse.attach(3, options='{"dhcp4": true}')
    suse.plug(3)
    for number in (2, 3):
        suse.namespace.cloud.run("ip", "link", "set", f"port{number}", "down")
    log = suse.reconcile()
    assert "multinic1: waiting: multinic1 has no carrier" in log
    assert "multinic2: waiting: multinic2 has no carrier" in log
    assert suse.commands()[1:] == [
        "wicked ifup --timeout 30 multinic0 multinic1",
        "wicked ifup --timeout 5 multinic2",  # it would wait for a server until its end
    ]
    assert suse.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert suse.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))
    suse.namespace.cloud.run("ip", "link", "set", "port2", "up")
    suse.reconcile()
    assert suse.flags() == {mac_of(1): 1, mac_of(2): 1, mac_of(3): 0}


def test_an_address_that_wicked_finds_on_another_machine_is_named(two: Suse) -> None:
    (two.directory / "asks-the-network").touch()
    two.set(2, address="fd00::12/64", mtu=1500)
    two.ip("address", "del", "10.0.0.11/24", "dev", "multinic0")
    for number, address in ((1, "10.0.0.11/24"), (2, "fd00::12/64")):
        two.namespace.cloud.run("ip", "address", "add", address, "dev", f"port{number}", "nodad")
    log = two.reconcile(expect=4)
    assert "multinic0: failed: 10.0.0.11 is in use by another machine on that network" in log
    assert "multinic1: failed: fd00::12/64 is in use by another machine on that network" in log
    reasons = [item["reason"] for item in two.document("status")["interfaces"]]
    assert reasons == ["duplicate-address"] * 2
    assert (two.link(1), two.link(2)) == (
        ("multinic0", True, 1401, ()),
        ("multinic1", True, 1402, ("10.0.0.12/24",)),
    )


def test_a_link_renamed_by_hand_gets_its_name_and_its_configuration_again(two: Suse) -> None:
    two.rename("multinic0", "byhand0")
    two.reconcile()
    assert two.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    assert two.commands() == [
        "wicked nanny delpolicy policy__multinic0",
        "wicked ifup --timeout 30 multinic0",
    ]


def test_a_wicked_that_does_not_answer_leaves_all_as_it_was_and_is_not_said_to_know(two: Suse) -> None:
    before = two.links()
    two.set(1, address="10.0.0.99")
    (two.directory / "wickedd-is-stopped").touch()  # and systemd has not noticed yet
    log = two.reconcile(expect=4)
    assert "multinic0: failed: wicked ifreload --timeout 30 multinic0 ended with status 1" in log
    assert "; restored, but not without an error: wicked ifreload" in log
    assert two.links() == before


def test_while_wickedd_is_stopped_a_change_is_taken_back_without_a_command_to_the_nanny(suse: Suse) -> None:
    suse.attach(1, "10.0.0.11")
    suse.attach(2, "10.0.0.12")
    suse.plug(1)
    moments = suse.killed(0)
    suse.multinic("rollback")
    suse.killed(moments.index("before run wicked ifup --timeout 1 multinic1") + 2)
    assert suse.known_to_wicked() == {"ifcfg-multinic0", "ifcfg-multinic1"}
    suse.commands()
    suse.stop_wicked()
    suse.multinic("rollback", "--interrupted")
    assert (suse.link(1), suse.ours()) == (("eth1", False, 1500, ()), [])
    assert suse.commands() == ["udevadm control --reload"]
    suse.start_wicked()
    suse.plug_named("multinic1", 9)
    assert suse.link(9) == ("multinic1", False, 1500, ())


def test_a_purge_frees_the_links_also_while_wickedd_is_stopped(two: Suse) -> None:
    two.stop_wicked()
    two.multinic("purge", "--yes")
    assert (two.link(1), two.link(2)) == (("eth1", False, 1500, ()), ("eth2", False, 1500, ()))
    assert (two.ours(), list((two.root / NANNY).iterdir())) == ([], [])
    two.start_wicked()
    two.plug_named("multinic0", 9)
    assert two.link(9) == ("multinic0", False, 1500, ())
    assert two.commands() == []


def test_what_wicked_does_not_set_is_set_before_a_router_is_heard(suse: Suse) -> None:
    suse.attach(1, options='{"accept_ra": true}')
    suse.plug(1)
    moments = suse.killed(0)
    set_variable = "after set /proc/sys/net/ipv6/conf/multinic0/accept_ra_defrtr to 0"
    assert moments.index(set_variable) < moments.index("before run wicked ifup --timeout 30 multinic0")


ROUTED = {
    "gateway": "10.0.0.1",
    "default_route": True,
    "policy_routing": "auto",
    "routes": [
        {"to": "10.20.0.0/16", "via": "10.0.0.2", "metric": 77},
        {"to": "10.30.0.0/16", "via": "172.16.0.1", "on_link": True},
        {"to": "fd00:9::/64", "via": "fd00::1", "table": 500},
    ],
}


def routing(node: Node) -> list[str]:
    """Return all routes and rules but those that follow from addresses."""
    node.namespace.settle()
    found = []
    for version in ("-4", "-6"):
        for what in (("rule",), ("route", "show", "table", "all")):
            output = node.namespace.run("ip", version, *what).stdout.splitlines()
            found += [" ".join(line.split()) for line in output]
    return [line for line in found if "proto kernel" not in line and "table local" not in line]


@pytest.fixture
def routed(suse: Suse) -> Suse:
    """A node with one port that has routes and rules."""
    suse.attach(1, "10.0.0.11/24 fd00::11/64", options=json.dumps(ROUTED))
    suse.plug(1)
    suse.reconcile()
    suse.commands()
    return suse


def test_routes_and_rules_are_made_and_removed_with_their_row(suse: Suse) -> None:
    before = routing(suse)
    suse.attach(1, "10.0.0.11/24 fd00::11/64", options=json.dumps(ROUTED))
    suse.plug(1)
    suse.reconcile()
    assert sorted(set(routing(suse)) - set(before)) == sorted(
        [
            "1000: from 10.0.0.11 lookup 1000",
            "1000: from fd00::11 lookup 1000",
            "10.0.0.0/24 dev multinic0 table 1000 scope link",
            "default via 10.0.0.1 dev multinic0 table 1000",
            "default via 10.0.0.1 dev multinic0 metric 2000",
            "10.20.0.0/16 via 10.0.0.2 dev multinic0 metric 77",
            "172.16.0.1 dev multinic0 scope link metric 2000",
            "10.30.0.0/16 via 172.16.0.1 dev multinic0",
            "fd00::/64 dev multinic0 table 1000 metric 1024 pref medium",
            "fd00:9::/64 via fd00::1 dev multinic0 table 500 metric 1024 pref medium",
        ]
    )
    assert suse.reconcile() == ""
    suse.detach(1)
    suse.multinic("apply", "--yes", "--allow-mass-delete")
    assert routing(suse) == before
    assert suse.ours() == []


def test_options_that_are_no_longer_asked_for_leave_nothing(routed: Suse) -> None:
    routed.set(1, options=None)
    routed.reconcile()
    assert [line for line in routing(routed) if "multinic0" in line or "1000" in line] == []
    assert routed.ours() == ["70-multinic0.link", "ifcfg-multinic0", "ifsysctl-multinic0"]
    assert routed.commands() == ["wicked ifreload --timeout 30 multinic0"]


def test_routes_that_drifted_are_repaired_and_old_ones_that_ifup_leaves_are_removed(routed: Suse) -> None:
    before = routing(routed)
    routed.ip("route", "del", "10.20.0.0/16")
    routed.ip("rule", "del", "from", "10.0.0.11", "table", "1000")
    routed.ip("route", "add", "10.99.0.0/16", "via", "10.0.0.3", "table", "1000")
    routed.reconcile()
    assert sorted(routing(routed)) == sorted(before)
    assert routed.commands() == ["wicked ifup --timeout 30 multinic0"]


def test_a_memory_that_is_lost_does_not_make_our_rules_those_of_somebody_else(routed: Suse) -> None:
    (routed.root / "var/lib/multinic/record.json").unlink()
    before = routing(routed)
    routed.reconcile()
    assert routing(routed) == before


def test_of_several_links_that_are_brought_up_the_failing_one_is_named(suse: Suse) -> None:
    (suse.root / "etc/multinic/templates/wicked").mkdir(parents=True)
    (suse.root / "etc/multinic/templates/wicked/ifroute.j2").write_text(
        "# {{ banner }}\n10.20.0.0/16 {{ '10.0.0.1' if name == 'multinic0' else '10.8.0.1' }} - {{ name }}\n"
    )
    for number in (1, 2):
        suse.attach(
            number,
            f"10.0.0.{number + 10}/24",
            options='{"routes": [{"to": "10.20.0.0/16", "via": "10.0.0.1"}]}',
        )
        suse.plug(number)
    suse.set(2, options='{"routes": [{"to": "10.20.0.0/16", "via": "10.0.0.1", "metric": 9}]}')
    assert "multinic1: failed: wicked ifup multinic1: setting it up failed" in suse.reconcile(expect=4)
    assert suse.link(1) == ("multinic0", True, 1500, ("10.0.0.11/24",))
    assert suse.link(2) == ("eth2", False, 1500, ())


def test_router_advertisements_are_for_those_who_ask_for_them(two: Suse) -> None:
    two.set(2, options='{"accept_ra": true}')
    two.reconcile()
    found = two.namespace.run(
        "sysctl", "-n", *(f"net.ipv6.conf.multinic{n}.accept_ra" for n in (0, 1))
    ).stdout
    assert found.split() == ["0", "2"]
    assert two.reconcile() == ""


def test_purge_takes_everything_off_and_has_wicked_forget_it(routed: Suse) -> None:
    routed.attach(2, "10.0.0.12")  # never plugged in
    routed.reconcile()
    routed.multinic("purge", "--yes")
    assert routed.link(1) == ("eth1", False, 1500, ())
    assert (routed.ours(), routed.known_to_wicked()) == ([], set())
    assert [line for line in routing(routed) if "multinic" in line or "1000" in line] == []


def test_a_run_that_is_killed_between_two_commands_leaves_nothing_half_done(suse: Suse) -> None:
    def settle(*, changed: bool) -> None:
        suse.set(1, address="10.0.0.99" if changed else "10.0.0.11")
        for number, wanted in ((2, changed), (3, not changed)):
            suse.detach(number)
            if wanted:
                suse.attach(number, f"10.0.0.{number + 10}")

    for number in (1, 2, 3):
        suse.plug(number)
    suse.attach(1, "10.0.0.11")
    settle(changed=False)
    suse.reconcile()
    old = suse.links()
    settle(changed=True)
    moments = suse.killed(0)
    new = suse.links()
    assert new != old
    after = [n for n, what in enumerate(moments, 1) if what.startswith(("after run ", "after rename "))]
    assert len(after) > 6, moments
    for at in after:
        settle(changed=False)
        suse.reconcile()
        assert suse.links() == old
        settle(changed=True)
        suse.killed(at)
        suse.multinic("rollback", "--interrupted")
        assert suse.links() in (old, new), moments[at - 1]
        assert suse.known_to_wicked() == {name for name in suse.ours() if name.startswith("ifcfg-")}
        suse.reconcile()
        assert suse.links() == new
