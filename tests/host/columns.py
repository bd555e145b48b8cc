"""The table of all backends and the hosts on which they run: a column for each.

To add a backend, add its column to COLUMNS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.node import mac_of


@dataclass(frozen=True)
class Column:
    """A backend on a kind of host."""

    backend: str
    kind: str
    files: tuple[str, ...] = ()
    """Every file of a slot, as shell patterns: {slot} is its number, {name} its link's."""
    written: str = ""
    """The file that the backend writes and a person may edit; "" for none."""
    template: str = ""
    """The template of that file."""
    bad: str = ""
    """A text of it that is found to be bad before anything is written."""
    foreign: tuple[str, str] = ("", "")
    """Path and text of a file by which somebody else configures the link with this {mac}."""
    refuses: tuple[str, ...] = ()
    """Cases of test_options.py whose combination of options the backend refuses."""
    hop_routes: bool = False
    """Whether a gateway outside the networks of its link has a route of its own in the main table."""
    tells_owners: bool = True
    """Whether it is known by the socket that took something away that it was not the service."""
    whole: bool = True
    """Whether all behaviours run here; else those that differ between versions."""

    def __str__(self) -> str:
        return self.backend if self.whole else self.kind

    @property
    def sets_again(self) -> bool:
        """Whether networkd takes addresses off a link that it reconfigures and sets them again.

        Before version 257: for a moment an address is away, and then it comes after those of others.
        """
        return self.kind in ("bookworm", "bullseye")

    @property
    def never_without(self) -> bool:
        """Whether a link keeps one of its addresses at each moment of a change."""
        return self.backend in ("netplan", "networkd") and not self.sets_again

    @property
    def lasts(self) -> bool:
        """Whether the host configures a link by itself when it is plugged in, and at boot."""
        return bool(self.files)


NETPLAN = Column(
    "netplan",
    "netplan",
    files=(
        "/etc/netplan/*{name}.yaml",
        "/run/systemd/network/*-{name}.*",
        "/run/udev/rules.d/*-{name}.rules",
        "/etc/systemd/network/10-netplan-{name}.network.d/multinic.conf",
    ),
    written="/etc/netplan/9{slot}-{name}.yaml",
    template="netplan.yaml.j2",
    bad="network:\n  version: 2\n  ethernets:\n    {{ name }}:\n      mtu: many\n",
    foreign=(
        "/etc/netplan/60-lan.yaml",
        'network: {{version: 2, ethernets: {{lan: {{match: {{macaddress: "{mac}"}}}}}}}}\n',
    ),
)
COLUMNS = (
    NETPLAN,
    Column(**{**vars(NETPLAN), "kind": "bookworm", "whole": False}),
    Column(**{**vars(NETPLAN), "kind": "bullseye", "whole": False}),
    Column(
        "networkd",
        "networkd",
        files=("/etc/systemd/network/10-{name}.*k",),
        written="/etc/systemd/network/10-{name}.network",
        template="networkd/network.j2",
        bad="[Network]\nAddress=10.5.0.11/24\n",
        foreign=("/etc/systemd/network/60-lan.network", "[Match]\nMACAddress={mac}\n"),
    ),
    Column(
        "networkmanager",
        "networkmanager",
        files=("/etc/NetworkManager/system-connections/{name}.*", "/etc/systemd/network/70-{name}.link"),
        written="/etc/NetworkManager/system-connections/{name}.nmconnection",
        template="networkmanager/keyfile.j2",
        bad="[connection]\nid={{ name }}\ntype=ethernet\n[ipv4]\nmethod=nonsense\n",
        foreign=(
            "/etc/NetworkManager/system-connections/lan.nmconnection",
            "[connection]\nid=lan\ntype=ethernet\n[ethernet]\nmac-address={mac}\n",
        ),
        refuses=("link-local off",),
    ),
    Column(
        "wicked",
        "wicked",
        files=("/etc/sysconfig/network/if*-{name}", "/etc/systemd/network/70-{name}.link"),
        written="/etc/sysconfig/network/ifcfg-{name}",
        template="wicked/ifcfg.j2",
        bad="STARTMODE='auto'\nBOOTPROTO='nonsense'\n",
        foreign=("/etc/sysconfig/network/ifcfg-ens3", "STARTMODE='auto'\nBOOTPROTO='dhcp'\n"),
        hop_routes=True,
        tells_owners=False,
    ),
    Column("netlink", "networkd"),
)


class Host(Node):
    """A node of a column of the table."""

    def __init__(self, box: Box, column: Column) -> None:
        super().__init__(box, backend=column.backend)
        self.column = column

    @classmethod
    def clean(cls, box: Box, column: Column) -> Host:
        """Return the node of a host that has nothing of the program on it."""
        box.clean()
        return cls(box, column)

    def files(self, slot: int) -> list[str]:
        """Return the files of a slot that are there."""
        patterns = [pattern.format(slot=slot, name=f"multinic{slot}") for pattern in self.column.files]
        return self.box.glob(*patterns) if patterns else []

    def settle(self, *slots: int) -> None:
        """Wait until the service of the host is done with these links."""
        if self.column.lasts:
            for slot in slots:
                eventually(lambda name=f"multinic{slot}": self.box.settled(name), timeout=30)

    def is_so(self, slot: int, *addresses: str, mtu: int = 1450) -> None:
        """Assert that a link is there, up, with just these addresses."""
        name = f"multinic{slot}"
        link = self.box.links()[name]
        assert sorted(self.box.addresses(name)) == sorted(addresses)
        assert (link["address"], link["mtu"], "UP" in link["flags"]) == (mac_of(slot), mtu, True)

    def states(self) -> dict[str, tuple[str, str]]:
        """Return state and reason of every interface in the plan."""
        return {name: (item["state"], item["reason"]) for name, item in self.plan().items()}


def columns(*, only: Callable[[Column], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Run a test on every host of the table, or on those that `only` says."""
    chosen = [column for column in COLUMNS if only(column)]
    return pytest.mark.parametrize("column", chosen, ids=str, scope="module")
