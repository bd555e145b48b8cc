"""The kinds of host that can be booted: which Debian, and what manages its links.

Debian's netplan is 0.101 on bullseye, 0.106 on bookworm, 1.1 on trixie; their networkd 247, 252, 257.
"""

from __future__ import annotations

from dataclasses import dataclass

MANAGEMENT_MAC = "52:54:00:99:00:02"
ADDRESS = "10.99.0.2"
GATEWAY = "10.99.0.1"

# Without router advertisements: networkd 252 waits twelve seconds for one before it calls a link configured.
_NETPLAN = f"""\
network:
  version: 2
  ethernets:
    eth0:
      accept-ra: false
      addresses: [{ADDRESS}/24]
      routes:
      - to: 0.0.0.0/0  # "default" is not in netplan 0.101
        via: {GATEWAY}
"""
_NETWORKD = f"""\
[Match]
Name=eth0

[Network]
Address={ADDRESS}/24
Gateway={GATEWAY}
IPv6AcceptRA=no
"""
# Without asking the network first whether somebody has the address: NetworkManager calls a link activated
# before it has the answer.
_KEYFILE = f"""\
[connection]
id=management
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1={ADDRESS}/24,{GATEWAY}
dad-timeout=0

[ipv6]
method=link-local
"""
# NetworkManager would make a connection of its own for every link that is plugged in.
_NETWORKMANAGER = "[main]\nno-auto-default=*\n"
_IFCFG = f"STARTMODE='auto'\nBOOTPROTO='static'\nIPADDR_0='{ADDRESS}/24'\n"
_WICKEDD = """\
[Unit]
Description=A fake wickedd
Before=network.target
Wants=network.target

[Service]
ExecStart=/usr/bin/python3 -B /srv/checkout/tests/host/wickedd.py serve
RuntimeDirectory=wicked
RuntimeDirectoryPreserve=yes

[Install]
WantedBy=multi-user.target
"""
_WICKED = '#!/bin/sh\nexec /usr/bin/python3 -B /srv/checkout/tests/host/wickedd.py wicked "$@"\n'


@dataclass(frozen=True)
class Kind:
    """One kind of host: who manages its links, and what configures the one that it is reached by."""

    name: str
    suite: str
    """The Debian that it is; kinds of the same share an image."""
    service: str
    """What manages the links."""
    management: str
    """The file that configures eth0 ..."""
    management_text: str
    without: tuple[str, ...] = ()
    """Packages of the image that this kind has not."""
    more: tuple[tuple[str, str], ...] = ()
    """Further files, as pairs of path and text."""
    programs: tuple[tuple[str, str], ...] = ()
    """Further programs."""

    @property
    def files(self) -> dict[str, tuple[int, str]]:
        """Return the files by which this kind differs: path → (mode, text)."""
        more = {path: (0o644, text) for path, text in self.more}
        more |= {path: (0o755, text) for path, text in self.programs}
        return {self.management: (self.mode, self.management_text), **more}

    @property
    def mode(self) -> int:
        """Permission bits of the file that configures eth0; networkd reads its own as another user."""
        return 0o644 if self.management.startswith("/etc/systemd/") else 0o600


_CLOUD_INIT = "/etc/netplan/50-cloud-init.yaml"
_KEYFILES = "/etc/NetworkManager/system-connections"
_NETPLAN_PACKAGES = ("netplan.io", "netplan-generator", "python3-netplan", "libnetplan1")

NETPLAN = Kind("netplan", "trixie", "systemd-networkd", _CLOUD_INIT, _NETPLAN, without=("network-manager",))
BOOKWORM = Kind("bookworm", "bookworm", "systemd-networkd", _CLOUD_INIT, _NETPLAN)
BULLSEYE = Kind("bullseye", "bullseye", "systemd-networkd", _CLOUD_INIT, _NETPLAN)
NETWORKD = Kind(
    "networkd",
    "trixie",
    "systemd-networkd",
    "/etc/systemd/network/20-eth0.network",
    _NETWORKD,
    without=(*_NETPLAN_PACKAGES, "network-manager"),
)
NETWORKMANAGER = Kind(
    "networkmanager",
    "trixie",
    "NetworkManager",
    f"{_KEYFILES}/management.nmconnection",
    _KEYFILE,
    without=_NETPLAN_PACKAGES,
    more=(
        ("/etc/NetworkManager/conf.d/10-cloud.conf", _NETWORKMANAGER),
        # It is NetworkManager's own rule by which it leaves veth links alone: here they are the NICs.
        ("/etc/udev/rules.d/85-nm-unmanaged.rules", "# nothing is unmanaged\n"),
    ),
)
WICKED = Kind(
    "wicked",
    "trixie",
    "wickedd",
    "/etc/sysconfig/network/ifcfg-eth0",
    _IFCFG,
    without=(*_NETPLAN_PACKAGES, "network-manager"),
    more=(
        ("/etc/sysconfig/network/ifroute-eth0", f"default {GATEWAY} - eth0\n"),
        ("/etc/sysconfig/network/config", ""),
        ("/etc/sysconfig/network/dhcp", ""),
        ("/etc/systemd/system/wickedd.service", _WICKEDD),
    ),
    programs=(("/usr/sbin/wicked", _WICKED),),
)
"""A host with the fake of wicked, which configures eth0 as well."""
DESKTOP = Kind(
    "desktop",
    "trixie",
    "NetworkManager",
    "/etc/netplan/01-network-manager-all.yaml",
    _NETPLAN.replace("version: 2", "version: 2\n  renderer: NetworkManager"),
    more=NETWORKMANAGER.more,
)
"""netplan, which hands its links to NetworkManager."""
KINDS = {kind.name: kind for kind in (NETPLAN, BOOKWORM, BULLSEYE, NETWORKD, NETWORKMANAGER, WICKED, DESKTOP)}
