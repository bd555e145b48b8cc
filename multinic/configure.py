"""Make links as a plan wants them, or as they were: the steps that backends and rollback share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from ipaddress import ip_interface

from multinic import ethtool, properties
from multinic.errors import HostError
from multinic.fields import FIELDS, OFFLOAD
from multinic.host import Host
from multinic.links import Faults, Links, kept
from multinic.model import IPInterface, IPNetwork, ObservedLink, ObservedRoute
from multinic.plan import Change, Interface, State
from multinic.routing import rule_words
from multinic.witness import Loss


def rename_pending(links: Links, interfaces: Iterable[Interface], faults: Faults) -> None:
    """Give all links of a plan their new names, the removed ones first."""
    renamed = {
        interface.link.index: (interface, interface.link.name)
        for interface in interfaces
        if interface.link is not None and interface.target_name != interface.link.name
    }
    wanted = {index: (old, interface.target_name) for index, (interface, old) in renamed.items()}
    for index, error in links.rename_all(wanted).items():
        faults.setdefault(renamed[index][0].key, error)


def release(links: Links, interfaces: Iterable[Interface], faults: Faults) -> None:
    """Free what is removed, then give all links their new names."""
    interfaces = tuple(interfaces)
    for interface in interfaces:
        if interface.state is State.DELETE:
            with faults.of(interface):
                free(links, interface)
    rename_pending(links, interfaces, faults)


def reload_udev(host: Host) -> None:
    """Have udevd read .link files again before a link is renamed or plugged in.

    By itself it does so every 3 s only: a link that came before that kept its name, and one that
    was renamed away had the settings of its removed file put on it once more.
    """
    host.run("udevadm", "control", "--reload")


def drop_stale(links: Links, interface: Interface) -> None:
    """Remove the routes and rules of ours that nobody asks for any more."""
    for rule in interface.stale_rules:
        links.remove_rule(rule)
    for route in interface.stale_routes:
        links.remove_route(interface.link.name if interface.link else interface.name, route)


def free(links: Links, interface: Interface) -> None:
    """Take our configuration off a link that is to be removed; its name is changed elsewhere."""
    link = interface.link
    if link is None:
        return
    for change in interface.changes:
        if change.field == "address":
            links.remove_address(link.index, link.name, ip_interface(change.old))
    for change in interface.changes:
        if change.field == "state":
            links.down(link.index, link.name)
        elif change.field == "mtu":
            links.mtu(link.index, link.name, int(change.new))


def converge(links: Links, interface: Interface) -> None:
    """Make a link as it is desired, by netlink alone; the link has its new name already."""
    link, desired = interface.link, interface.desired
    if link is None or desired is None:
        return
    name = interface.name
    gone = [ip_interface(c.old) for c in interface.changes if c.field == "address" and not c.new]
    for change in interface.changes:
        if change.field == "mtu":
            links.mtu(link.index, name, int(change.new))
    for address in gone:
        links.remove_address(link.index, name, address)
    for found in link.addresses:
        if found.dadfailed and found.address in desired.addresses:  # the kernel tries no second time
            links.remove_address(link.index, name, found.address)
    links.up(link.index, name)
    for address in desired.addresses:  # all of them: a rename with an older kernel loses some
        links.add_address(link.index, name, address)
    # With its first address a subnet loses those that others added, unless promote_secondaries is set.
    emptied = {address.network for address in gone}
    for found in link.addresses:
        if found.address.network in emptied and found.address not in gone and not found.kernel:
            links.restore_address(name, found)
    for route in sorted(desired.routes, key=lambda route: route.via is not None):  # first what is near
        links.make_route(link.index, name, route)
    # Only those that are missing: a service's own rule, with its protocol number, is another to the kernel.
    missing = {change.new for change in interface.changes if change.field == "rule"}
    for rule in desired.rules:
        if rule_words(rule) in missing:
            links.make_rule(rule)


def restore_mtu(links: Links, interface: Interface) -> None:
    """Set the MTU that a plan asks for, and nothing else."""
    for change in interface.changes:
        if change.field == "mtu" and interface.link is not None:
            links.mtu(interface.link.index, interface.name, int(change.new))


def give_back(links: Links, losses: Iterable[Loss]) -> None:
    """Give links that were no target of a change what they lost by it.

    What cannot be given back does not keep the rest. Raises the first HostError at the end.
    """
    faults: list[HostError] = []
    # Links and addresses first, then routes to what is near, by which gateways are reached.
    for loss in sorted(losses, key=lambda loss: (loss.route is not None, *_nearness(loss.route))):
        with kept(faults):
            _give_back(links, loss)
    for fault in faults:
        raise fault


def _nearness(route: ObservedRoute | None) -> tuple[bool, int]:
    return route is not None and route.via is not None, -route.to.prefixlen if route else 0


def _give_back(links: Links, loss: Loss) -> None:
    if loss.rule is not None:
        links.add_rule(loss.rule)
    if loss.route is not None:
        links.add_route(loss.link.name if loss.link else "no link", loss.route)
    link = loss.link
    if link is None:
        return
    if loss.renamed:
        links.rename(link.index, loss.renamed, link.name)
    if loss.up:
        links.up(link.index, link.name)
    if loss.mtu:
        links.mtu(link.index, link.name, loss.mtu)
    if loss.address is not None:
        links.restore_address(link.name, loss.address)


def primaries(link: ObservedLink) -> dict[IPNetwork, IPInterface]:
    """Return the first IPv4 address of each subnet on a link: the kernel sends from it."""
    found: dict[IPNetwork, IPInterface] = {}
    for address in (item.address for item in link.addresses if item.address.version == 4):
        found.setdefault(address.network, address)
    return found


def put_back(links: Links, before: ObservedLink, now: ObservedLink, routes: Iterable[ObservedRoute]) -> None:
    """Make a link as it was observed before; it has its old name already.

    Where another address came first in a subnet, all of that subnet are removed and added again in
    their order. The kernel may take more away than it was told to: look again afterwards.
    """
    index, name = before.index, before.name
    old = {found.address for found in before.addresses if not found.kernel}
    first, first_now = primaries(before), primaries(now)
    present = set()
    for found in now.addresses:
        network = found.address.network
        in_order = network not in first or first[network] == first_now.get(network)
        if found.kernel or (found.address in old and in_order):
            present.add(found.address)
        else:
            links.remove_address(index, name, found.address)
    if now.mtu != before.mtu:
        links.mtu(index, name, before.mtu)
    if not before.up:
        if now.up:
            links.down(index, name)
    elif not now.up:
        links.up(index, name)
    for altname in before.altnames:
        if altname not in now.altnames:
            links.add_altname(index, name, altname)
    for found in before.addresses:
        if not found.kernel and (found.address not in present or not now.up):
            links.restore_address(name, found)
    for route in sorted(routes, key=_nearness):
        links.add_route(name, route)


def tune(host: Host, links: Links, link: ObservedLink, name: str, changes: Iterable[Change]) -> None:
    """Make those changes that are about such fields; `name` is what the link is called now.

    Raises HostError.
    """
    for change in changes:
        if change.field in FIELDS:
            _tune(host, links, link.index, name, change.field, change.new)


def _tune(host: Host, links: Links, index: int, name: str, field: str, value: str) -> None:
    """Set one field. Raises HostError."""
    if field == "txqueuelen":
        links.txqueuelen(index, name, int(value))
    elif field == "description":
        links.alias(index, name, value)
    elif field.startswith(OFFLOAD):
        offload = field.removeprefix(OFFLOAD)
        with host.effect(f"set offload {offload} of {name} to {value}"):
            try:
                ethtool.put(name, offload, on=value == "on")
            except OSError as e:
                words = f"cannot set offload {offload} of {name} to {value}: {os.strerror(e.errno or 0)}"
                raise HostError(words, "leave it out of options.ethtool") from e
    else:
        host.sysctl(properties.sysctl_path(name, field), value)


def tune_back(host: Host, links: Links, link: ObservedLink, before: Mapping[str, str]) -> None:
    """Set fields as they were, where they differ. Raises HostError."""
    present = fields_of(link, before)
    for field, value in before.items():
        if field in present and present[field] != value:
            _tune(host, links, link.index, link.name, field, value)


def fields_of(link: ObservedLink, fields: Iterable[str]) -> dict[str, str]:
    """Return those of `fields` that the kernel knows of a link. Raises HostError."""
    found = {"txqueuelen": str(link.txqueuelen), "description": link.alias}
    found |= properties.read(link.name, fields)
    return {field: found[field] for field in fields if field in found}
