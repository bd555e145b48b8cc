"""systemd-networkd and udevd, told of new files: the same with netplan and without it.

Links of others see no event of it, but for a networkd that is too old to reload.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from multinic.configure import converge, release, reload_udev, restore_mtu
from multinic.errors import CommandFailed, HostError
from multinic.host import Host
from multinic.links import Faults, Links, kept
from multinic.plan import Interface, State
from multinic.properties import read_sysctl, sysctl_path


def take_effect(
    host: Host, links: Links, interfaces: Sequence[Interface], changed: Collection[str], faults: Faults
) -> None:
    """Make links as they are to be, where the files of `changed` (keys) are new to networkd.

    What merely drifted in the kernel, with its file intact, networkd does not look at again:
    that is repaired by netlink, and only that.
    """
    if changed:
        reload_udev(host)
    release(links, interfaces, faults)
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
                restore_mtu(links, interface)  # networkd leaves an MTU that no file speaks of any more


def _let_link_local(host: Host, interface: Interface) -> None:
    """Have the kernel give a link that is up its link-local address: networkd 252 waits for that in vain."""
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


def reload(host: Host) -> None:
    """Have udevd and networkd read their files again; networkd reconfigures links whose files changed.

    One that fails does not keep the other from it. Raises the first HostError.
    """
    faults: list[HostError] = []
    with kept(faults):
        reload_udev(host)
    with kept(faults):
        _reload_networkd(host)
    for fault in faults:
        raise fault
