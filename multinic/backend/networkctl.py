"""systemd-networkd and udevd: have them read new files, with netplan or without it.

Other links see no event, unless networkd is too old to reload.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from multinic.backend import sockets
from multinic.backend.detect import NETWORKD
from multinic.backend.steps import converge, free_and_rename, reload_udev, set_addresses, set_mtu
from multinic.host.host import Host
from multinic.kernel.faults import Faults, collected
from multinic.kernel.links import Links
from multinic.kernel.properties import read_sysctl, sysctl_path
from multinic.values.errors import CommandFailed, HostError
from multinic.values.plan import Interface, State

_NO_LLDP = re.compile(r"(?m)\n^\[Network\]\nLLDP=no\n\Z|^LLDP=no\n")
_UNKNOWN = 999
_KEEPS = 257
"""The version since which networkd keeps an address that it finds in place when it configures a link.

252 removes it and sets it again: it looks for it without the broadcast address that it always sets.
"""
_BEGIN = 5.0
"""Seconds until networkd begins with the last link; some 20 ms a link with LLDP, more on a busy host."""
_STATES = "/run/systemd/netif/links"
_LIBRARIES = ("/usr/lib/systemd", "/usr/lib64/systemd", "/lib/systemd")
# Debian since 12 has them in a directory for each architecture: /usr/lib/x86_64-linux-gnu/systemd.
_ARCHITECTURES = "/usr/lib"


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
    others = (f"{_ARCHITECTURES}/{name}/systemd" for name in host.names(_ARCHITECTURES) if "-linux-" in name)
    for directory in (*_LIBRARIES, *others):
        for name in host.names(directory):
            if found := re.fullmatch(r"libsystemd-shared-(\d+)\b.*\.so", name):
                return int(found[1])
    return _UNKNOWN


def without_lldp(text: str) -> str:
    """Return a file for networkd without the line that turns LLDP off, or the section that is only that."""
    return _NO_LLDP.sub("", text)


def take_effect(
    host: Host, links: Links, interfaces: Sequence[Interface], changed: Collection[str], faults: Faults
) -> None:
    """Make links as the plan has them; `changed` are the keys of interfaces with files new to networkd.

    networkd does not repair a link that drifted in the kernel while its files stayed the same: netlink
    repairs such links, and only those.
    """
    if changed:
        reload_udev(host)
    free_and_rename(links, interfaces, faults)
    if changed:
        reread = [i for i in interfaces if i.key in changed and i.key not in faults]
        for interface in reread:
            with faults.of(interface):
                _let_link_local(host, interface)
        _have_files_read(host, links, [i for i in reread if i.state is State.UPDATE])
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


def _have_files_read(host: Host, links: Links, working: Sequence[Interface]) -> None:
    """Have networkd read its files; `working` are links that it has configured before.

    By itself networkd takes the old addresses off one link after the other, and sets all new ones at the end.
    Where it keeps those that it finds, netlink sets them first; what fails is left to networkd.
    """
    found = {i.link.index: i for i in working if i.link is not None}
    if _KEEPS <= _version(host) < _UNKNOWN:
        for interface in found.values():
            if interface.link is not None and interface.link.carrier:
                with suppress(HostError):
                    set_addresses(links, interface)
        _reload_networkd(host)
    else:
        before = {index: at for index in found if (at := host.written(f"{_STATES}/{index}")) is not None}
        _reload_networkd(host)
        _wait_until_begun(host, before)


def _wait_until_begun(host: Host, before: Mapping[int, float]) -> None:
    """Wait until networkd has begun to configure links; it wrote down their state at these times before.

    It begins after it has answered, and takes all addresses off first. Until then they may be just as
    desired, and it would be too early to look whether they are.
    """
    end = time.monotonic() + _BEGIN
    while any(host.written(f"{_STATES}/{index}") == at for index, at in before.items()):
        if time.monotonic() >= end:
            return
        time.sleep(0.005)


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
