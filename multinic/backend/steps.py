"""The steps over netlink that backends share: rename, free and converge links."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from multinic.host.host import Host
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.kernel.properties import read_sysctl
from multinic.values.addresses import IPInterface
from multinic.values.plan import Interface, State


def rename_pending(links: Links, interfaces: Iterable[Interface], faults: Faults) -> None:
    """Give the links of a plan their new names."""
    renamed = {
        interface.link.index: (interface, interface.link.name)
        for interface in interfaces
        if interface.link is not None and interface.target_name != interface.link.name
    }
    wanted = {index: (old, interface.target_name) for index, (interface, old) in renamed.items()}
    for index, error in links.rename_all(wanted).items():
        faults.setdefault(renamed[index][0].key, error)


def free_and_rename(links: Links, interfaces: Iterable[Interface], faults: Faults) -> None:
    """Free the links that a plan removes, then give all links their new names."""
    interfaces = tuple(interfaces)
    for interface in interfaces:
        if interface.state is State.DELETE:
            with faults.of(interface):
                free(links, interface)
    rename_pending(links, interfaces, faults)


def reload_udev(host: Host) -> None:
    """Have udevd read .link files again before a link is renamed or plugged in.

    By itself udevd reads them only every 3 s. Until then a new link kept its name, and a link that had lost
    our name got the settings of its removed file once more.
    """
    host.run("udevadm", "control", "--reload")


def remove_stale(links: Links, interface: Interface) -> None:
    """Remove those of our routes and rules that no row asks for any more."""
    for rule in interface.removed_rules:
        links.remove_rule(rule)
    for route in interface.removed_routes:
        links.remove_route(interface.link.name if interface.link else interface.name, route)


def free(links: Links, interface: Interface) -> None:
    """Take our configuration off a link that a plan removes, except its name."""
    link = interface.link
    if link is None:
        return
    for address in interface.removed_addresses:
        links.remove_address(link.index, link.name, address)
    if any(change.field == "state" for change in interface.changes):
        links.down(link.index, link.name)
    if interface.mtu is not None:
        links.mtu(link.index, link.name, interface.mtu)


def converge(links: Links, interface: Interface) -> None:
    """Make a link as it is desired, by netlink alone; it must have its new name already."""
    link, desired = interface.link, interface.desired
    if link is None or desired is None:
        return
    set_addresses(links, interface)
    name = interface.name
    for route in sorted(desired.routes, key=lambda route: route.via is not None):  # first those on the link
        links.add_route(link.index, name, route)
    # Only those that are missing: for the kernel, a service's rule with its own protocol number is different.
    for rule in interface.added_rules:
        links.add_rule(rule)


def set_addresses(links: Links, interface: Interface) -> None:
    """Give a link its MTU and its addresses, and set it up; it must have its new name already."""
    link, desired = interface.link, interface.desired
    if link is None or desired is None:
        return
    name = interface.name
    gone = interface.removed_addresses
    if interface.mtu is not None:
        links.mtu(link.index, name, interface.mtu)
    present = {found.address for found in link.addresses}
    for address in desired.addresses:  # first, so that the link is never without one
        if link.up and address not in present and _may_stand_beside(name, address, gone):
            links.add_address(link.index, name, address)
    for address in gone:
        links.remove_address(link.index, name, address)
    for found in link.addresses:
        if found.dadfailed and found.address in desired.addresses:  # the kernel does not try it again itself
            links.remove_address(link.index, name, found.address)
    links.up(link.index, name)
    for address in desired.addresses:  # all of them: a rename with an older kernel loses some
        links.add_address(link.index, name, address)
    for found in link.addresses:
        if found.expiring and found.address in desired.addresses:
            links.make_permanent(link.index, name, found.address)
    # When the first address of a subnet goes, the kernel removes the others too, unless promote_secondaries
    # is set: restore those of other programs.
    emptied = {address.network for address in gone}
    for found in link.addresses:
        if found.address.network in emptied and found.address not in gone and not found.kernel:
            links.restore_address(name, found)


def _may_stand_beside(name: str, address: IPInterface, others: Collection[IPInterface]) -> bool:
    """Return whether an address can be added before others are removed, and stay when they are.

    IPv6 has an address only once. With an IPv4 address the kernel removes the later ones of its subnet,
    unless it shall promote them.
    """
    if address.version == 6:
        return all(address.ip != other.ip for other in others)
    promoted = "1" in (read_sysctl(link, "promote_secondaries") for link in ("all", name))
    return promoted or all(address.network != other.network for other in others)


def set_mtu(links: Links, interface: Interface) -> None:
    """Set the MTU of a link if the plan changes it."""
    if interface.mtu is not None and interface.link is not None:
        links.mtu(interface.link.index, interface.name, interface.mtu)
