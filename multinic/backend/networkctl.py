"""systemd-networkd and udevd: have them read new files, with netplan or without it.

Other links see no event, unless networkd is too old to reload.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from multinic.backend import sockets
from multinic.backend.detect import NETWORKD
from multinic.backend.steps import converge, free_and_rename, reload_udev, set_mtu
from multinic.host.host import Host
from multinic.kernel.links import Faults, Links, collected
from multinic.kernel.properties import read_sysctl, sysctl_path
from multinic.values.errors import CommandFailed, HostError
from multinic.values.plan import Interface, State

_NO_LLDP = re.compile(r"(?m)\n^\[Network\]\nLLDP=no\n\Z|^LLDP=no\n")
_LIBRARIES = ("/usr/lib/systemd", "/usr/lib64/systemd", "/lib/systemd")


def lacks(host: Host) -> Mapping[str, str]:
    """Return the options that this version of networkd does not have: name → why."""
    version = _version(host)
    found = {}
    if version < 250:  # [IPv6AcceptRA] UseGateway=
        found["accept_ra"] = f"systemd-networkd {version} also takes a default route from every router"
    if version < 246:  # [DHCPv6] WithoutRA=
        found["dhcp6"] = f"systemd-networkd {version} asks no DHCPv6 server unless a router asks for it"
    return found


def _version(host: Host) -> int:
    """Return the version of the host's systemd, from the name of its library; 999 if it is not found."""
    for directory in _LIBRARIES:
        for name in host.names(directory):
            if found := re.fullmatch(r"libsystemd-shared-(\d+)\b.*\.so", name):
                return int(found[1])
    return 999


def without_lldp(text: str) -> str:
    """Return a file for networkd without the line that turns LLDP off, or the section that is only that."""
    return _NO_LLDP.sub("", text)


def take_effect(
    host: Host, links: Links, interfaces: Sequence[Interface], changed: Collection[str], faults: Faults
) -> None:
    """Make links as the plan has them; `changed` are the keys of interfaces with files new to networkd.

    networkd does not repair a link that drifted in the kernel while its files stayed the same. netlink
    repairs such links, and only those.
    """
    if changed:
        reload_udev(host)
    free_and_rename(links, interfaces, faults)
    if changed:
        for interface in interfaces:
            if interface.key in changed and interface.key not in faults:
                with faults.of(interface):
                    _let_link_local(host, interface)
        _reload_networkd(host)
    for interface in interfaces:
        if interface.state is State.DELETE or interface.key in faults:
            continue
        with faults.of(interface):
            if interface.key not in changed:
                converge(links, interface)
            elif interface.desired is not None and interface.desired.mtu is None:
                set_mtu(links, interface)  # networkd does not reset an MTU that its file no longer has


def _let_link_local(host: Host, interface: Interface) -> None:
    """Have the kernel give a link that is up its link-local address: networkd 252 waits for it forever."""
    desired, name = interface.desired, interface.name
    wants = desired is not None and 6 in desired.link_local
    if wants and interface.state is State.UPDATE and read_sysctl(name, "addr_gen_mode") == "1":  # 1: none
        host.sysctl(sysctl_path(name, "addr_gen_mode"), "0")


def _reload_networkd(host: Host) -> None:
    """Have networkd read its files again. Before version 244 it can do so only as it starts."""
    try:
        host.run("networkctl", "reload")
    except CommandFailed as e:
        if "Unknown" not in e.stderr:
            raise
        host.run("systemctl", "restart", "systemd-networkd.service")


def may_own(host: Host, port: int) -> bool:
    """Return whether the netlink socket with this port may be that of networkd."""
    return sockets.may_own(host, NETWORKD, port, sockets.BY_SYSTEMD)


def reload(host: Host) -> None:
    """Have udevd and networkd read their files again; networkd reconfigures links whose files changed.

    An error of one does not stop the other. Raises the first HostError.
    """
    faults: list[HostError] = []
    with collected(faults):
        reload_udev(host)
    with collected(faults):
        _reload_networkd(host)
    for fault in faults:
        raise fault
