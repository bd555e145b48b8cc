"""The fake wicked does what was measured of the real one: each line of its docstring, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import fake_wicked
from tests.fake_wicked import FAILED, FORBIDDEN, IN_PROGRESS, NO_CARRIER, NO_DAEMON, NO_DEVICE, NO_FILE, OK
from tests.namespaces import Namespace

NAME = "multinic0"


class Fake:
    """A namespace with wicked."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace, self.directory = namespace, directory
        self.etc = directory / "root/etc/sysconfig/network"
        self.etc.mkdir(parents=True)
        self.run("started")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        words = (sys.executable, "-I", fake_wicked.__file__, str(self.directory), *command)
        return self.namespace.run(*words, check=False)

    def wicked(self, *words: str) -> int:
        return self.run("wicked", *words).returncode

    def up(self, verb: str = "ifup") -> int:
        return self.wicked(verb, "--timeout", "30", NAME)

    def write(self, *lines: str, part: str = "ifcfg") -> None:
        (self.etc / f"{part}-{NAME}").write_text("\n".join(("STARTMODE='auto'", *lines, "")))

    def plug(self, name: str = NAME) -> None:
        self.namespace.plug(name)
        self.run("plugged", name)

    def addresses(self) -> list[str]:
        return self.namespace.addresses(NAME)

    @property
    def link(self) -> dict[str, object]:
        return self.namespace.links()[NAME]


@pytest.fixture
def fake(namespace: Namespace, tmp_path: Path) -> Fake:
    return Fake(namespace, tmp_path)


def test_a_file_is_unknown_until_a_link_of_its_name_was_brought_up_and_its_policy_outlives_it(fake: Fake):
    assert fake.up() == NO_FILE
    fake.write("IPADDR_0='10.0.0.11/24'")
    fake.plug()
    assert fake.addresses() == []
    fake.namespace.unplug(NAME)
    assert fake.up() == NO_DEVICE
    fake.plug()
    assert fake.addresses() == ["10.0.0.11/24"]
    fake.namespace.unplug(NAME)
    (fake.etc / f"ifcfg-{NAME}").unlink()
    fake.plug()
    assert fake.addresses() == ["10.0.0.11/24"]
    assert fake.wicked("ifdown", "--timeout", "30", NAME) == OK  # takes the policy away
    assert (fake.addresses(), fake.link["operstate"]) == ([], "DOWN")
    assert fake.wicked("nanny", "delpolicy", f"policy__{NAME}") == NO_DAEMON
    for forbidden in (("ifup", "--timeout", "30", "all"), ("ifup", NAME), ("restart",)):
        assert fake.wicked(*forbidden) == FORBIDDEN


def test_ifreload_repairs_no_drift_and_ifup_leaves_old_routes_and_moves_ipv6_addresses(fake: Fake):
    fake.write("IPADDR_0='10.0.0.11/24'", "IPADDR_1='fd00::11/64'", "MTU='1400'")
    (fake.etc / f"ifroute-{NAME}").write_text(f"10.20.0.0/16 10.0.0.2 - {NAME}\n")
    fake.plug()
    assert fake.up() == OK
    fake.namespace.run("ip", "address", "del", "10.0.0.11/24", "dev", NAME)
    assert (fake.up("ifreload"), fake.addresses()) == (OK, ["fd00::11/64"])
    (fake.etc / f"ifroute-{NAME}").write_text(f"10.30.0.0/16 10.0.0.2 - {NAME}\n")
    fake.namespace.run("ip", "route", "add", "10.20.0.0/16", "dev", NAME)
    with fake.namespace.monitor() as events:
        assert fake.up() == OK
    assert [e.kind for e in events if "fd00::11" in e.detail and "ADDR" in e.kind] == [
        "RTM_DELADDR",
        "RTM_NEWADDR",
    ]
    assert {route["dst"] for route in fake.namespace.routes()} >= {"10.20.0.0/16", "10.30.0.0/16"}
    fake.write("IPADDR_0='10.0.0.12/24'")
    assert fake.up("ifreload") == OK
    assert (fake.addresses(), fake.link["mtu"]) == (["10.0.0.12/24"], 1400)
    assert "10.20.0.0/16" not in {route["dst"] for route in fake.namespace.routes()}


def test_of_a_link_that_was_renamed_the_nanny_has_an_unchanged_policy(fake: Fake):
    fake.write("IPADDR_0='10.0.0.11/24'")
    fake.plug()
    fake.up()
    fake.run("renamed", NAME, "byhand0")
    fake.run("renamed", "byhand0", NAME)
    fake.namespace.run("ip", "address", "flush", "dev", NAME)
    assert (fake.up(), fake.addresses()) == (IN_PROGRESS, [])
    assert fake.wicked("nanny", "delpolicy", f"policy__{NAME}") == OK
    assert (fake.up(), fake.addresses()) == (OK, ["10.0.0.11/24"])


def test_without_a_carrier_a_link_gets_nothing_unless_it_need_not_have_one(fake: Fake):
    fake.write("IPADDR_0='10.0.0.11/24'")
    fake.plug()
    fake.namespace.cloud.run("ip", "link", "set", "port1", "down")
    assert (fake.up(), fake.addresses()) == (NO_CARRIER, [])
    fake.write("IPADDR_0='10.0.0.11/24'", "LINK_REQUIRED='no'")
    assert (fake.up(), fake.addresses()) == (OK, ["10.0.0.11/24"])
    fake.write("BOOTPROTO='dhcp4'", "LINK_REQUIRED='no'")
    assert (fake.up(), fake.addresses()) == (IN_PROGRESS, [])


def test_an_address_of_another_machine_is_left_out_without_a_word_or_fails(fake: Fake):
    (fake.directory / "asks-the-network").touch()
    fake.write("IPADDR_0='10.0.0.11/24'", "IPADDR_1='10.0.0.12/24'", "IPADDR_2='fd00::12/64'")
    fake.plug()
    for address in ("10.0.0.11/24", "fd00::11/64"):
        fake.namespace.cloud.run("ip", "address", "add", address, "dev", "port1", "nodad")
    assert (fake.up(), fake.addresses()) == (OK, ["10.0.0.12/24", "fd00::12/64"])
    fake.namespace.run("ip", "link", "set", NAME, "down")
    fake.write("IPADDR_0='10.0.0.11/24'", "LINK_REQUIRED='no'")
    assert (fake.up(), fake.addresses()) == (OK, ["10.0.0.11/24"])  # it did not ask before the carrier came
    fake.write("IPADDR_0='fd00::11/64'")
    assert fake.up() == FAILED


def test_while_it_is_stopped_a_command_to_the_nanny_makes_that_deaf(fake: Fake):
    fake.write("IPADDR_0='10.0.0.11/24'")
    fake.up()
    fake.run("stopped")
    assert (fake.up(), fake.wicked("nanny", "delpolicy", f"policy__{NAME}")) == (NO_DAEMON, NO_DAEMON)
    (fake.directory / "wickedd-is-stopped").unlink()  # wickedd alone is there again
    fake.plug()
    assert (fake.up(), fake.addresses()) == (IN_PROGRESS, [])
    fake.run("started")
    assert (fake.up(), fake.addresses()) == (OK, ["10.0.0.11/24"])
    fake.run("stopped")
    assert [path.name for path in (fake.directory / "root/run/wicked/nanny").iterdir()] == [
        f"policy__{NAME}.xml"
    ]
    (fake.directory / f"root/run/wicked/nanny/policy__{NAME}.xml").unlink()
    fake.run("started")
    fake.namespace.unplug(NAME)
    fake.plug()
    assert fake.addresses() == []


def test_it_sets_few_variables_takes_link_local_for_a_fallback_and_clips_an_mtu(fake: Fake):
    (fake.etc / f"ifsysctl-{NAME}").write_text(
        f"net.ipv6.conf.{NAME}.accept_ra = 2\nnet.ipv6.conf.{NAME}.accept_ra_defrtr = 0\n"
    )
    fake.write("BOOTPROTO='dhcp4+auto4'")
    fake.plug()
    assert (fake.up(), fake.addresses()) == (IN_PROGRESS, [])
    keys = (f"net.ipv6.conf.{NAME}.{key}" for key in ("accept_ra", "accept_ra_defrtr"))
    assert fake.namespace.run("sysctl", "-n", *keys).stdout.split() == ["2", "1"]
    fake.write("BOOTPROTO='auto4'")
    fake.up()
    assert "169.254." in str(fake.link["addr_info"])

    far = fake.link["link_index"]
    fake.namespace.run("ip", "link", "add", "low0", "index", str(far), "type", "bridge")
    fake.namespace.run("ip", "link", "set", "low0", "mtu", "1300")
    fake.write("MTU='1400'")
    fake.up()
    assert fake.link["mtu"] == 1300
