"""The differences between a row and its link, and between a row and its files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from multinic.decide import properties, routing
from multinic.decide.naming import slot_of
from multinic.decide.policy import Policy
from multinic.values.addresses import IPInterface
from multinic.values.desired import DesiredLink
from multinic.values.fields import LEFT_BEHIND
from multinic.values.observed import Observed, ObservedAddress, ObservedLink
from multinic.values.plan import Change, FileChange, Interface
from multinic.values.record import Entry
from multinic.values.rtnetlink import LINK_SCOPE

_ETHERNET_MTU = 1500
_ANY_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+/\d{1,3}")


def link_changes(
    interface: Interface, wish: DesiredLink, link: ObservedLink, observed: Observed, policy: Policy
) -> Iterator[Change]:
    """Yield the changes that make a link as its row asks for."""
    if link.name != interface.name:
        yield Change("name", link.name, interface.name)
    if not link.up:
        yield Change("state", False, True)
    mtu = wish.mtu or _mtu_to_restore(interface.entry, link)
    if mtu and mtu != link.mtu:
        yield Change("mtu", link.mtu, mtu)
    kept = {
        found.address
        for found in link.addresses
        if not found.dadfailed and not (policy.alone and found.expiring and not _is_leased(found, wish))
    }
    unwanted = _our_addresses(interface, link, observed, policy) | _unwanted_advertised(wish, link)
    for address in sorted(unwanted - set(wish.addresses), key=str):
        yield Change("address", address, None)
    for address in wish.addresses:
        if address not in kept:
            expiring = any(found.address == address and not found.dadfailed for found in link.addresses)
            yield Change("address", None, address, "which it has only for a time now" if expiring else "")
    before = interface.entry.properties_before if interface.entry else {}
    before = {field: value for field, value in before.items() if field not in LEFT_BEHIND}
    of_backend = policy.properties(wish)
    wanted = properties.wanted(wish, of_backend)
    yield from properties.changes(wanted, of_backend, observed.properties.get(link.index, {}), before)
    yield from stale_changes(interface, observed, policy.table_base)
    for route in routing.missing_routes(link, wish, observed):
        rival = routing.rival(route, link, observed)
        yield Change("route", None, route, f"which link {rival} already has" if rival else "")
    for rule in routing.missing_rules(wish, observed):
        yield Change("rule", None, rule)


def stale_changes(interface: Interface, observed: Observed, table_base: int) -> Iterator[Change]:
    """Yield the removal of our routes and rules that no row asks for any more."""
    wish, link, slot = interface.desired, interface.link, slot_of(interface.name) or 0
    applied = interface.entry.applied if interface.entry else None
    if link is not None:
        for route in routing.stale_routes(link, wish, applied, table_base + slot, observed):
            yield Change("route", route, None)
    for rule in routing.stale_rules(slot, wish, applied, table_base + slot, observed):
        yield Change("rule", rule, None)


def _mtu_to_restore(entry: Entry | None, link: ObservedLink) -> int | None:
    """Return the MTU from before us if the row asked for one and no longer does; None: leave it."""
    return mtu_before(entry, link) if entry and entry.applied and entry.applied.mtu else None


def mtu_before(entry: Entry | None, link: ObservedLink) -> int | None:
    """Return the MTU that a link had before us; None if we never set one.

    udev names a link, and sets its MTU, before a pass sees it if its file is there first. Then the link gets
    the MTU with which Ethernet drivers begin.
    """
    if entry is None or entry.mtu_before or not (entry.applied and entry.applied.mtu):
        return entry.mtu_before if entry else None
    return max(link.min_mtu, min(_ETHERNET_MTU, link.max_mtu or _ETHERNET_MTU))


def _our_addresses(
    interface: Interface, link: ObservedLink, observed: Observed, policy: Policy
) -> set[IPInterface]:
    """Return the addresses on a link that we added: only these may be removed.

    A virtual address that another program adds to a managed link (keepalived) stays. Without a
    configuration in the record, the managed file says which addresses were configured.
    """
    present = {found.address for found in link.addresses}
    if interface.entry and interface.entry.applied:
        return present & set(interface.entry.applied.addresses)
    slot = slot_of(interface.name)
    texts = [text for path, text in observed.files.items() if policy.slot_of_file(path) == slot]
    words = {word.lower() for text in texts for word in _ANY_ADDRESS.findall(text)}
    return {address for address in present if str(address).lower() in words}


def _is_leased(found: ObservedAddress, wish: DesiredLink) -> bool:
    """Return whether the row lets a DHCP server give the link an address, and renew it."""
    return wish.options.dhcp4 if found.address.version == 4 else wish.options.dhcp6


def _unwanted_advertised(wish: DesiredLink, link: ObservedLink) -> set[IPInterface]:
    """Return the addresses from router advertisements, if the row does not accept these."""
    if wish.options.accept_ra:
        return set()
    return {found.address for found in link.addresses if found.kernel and found.scope < LINK_SCOPE}


def file_changes(name: str, wish: DesiredLink, observed: Observed, policy: Policy) -> Iterator[FileChange]:
    """Yield the changes that make the files of a slot as its row asks for."""
    slot, rendered = slot_of(name), policy.files(name, wish)
    present = {path: text for path, text in observed.files.items() if policy.slot_of_file(path) == slot}
    if not wish.options.lldp and present == policy.without_lldp(wish, rendered):
        rendered = present
    for path, text in sorted(present.items()):
        if path not in rendered:
            yield FileChange(path, text, None, policy.mode(path), observed.modes.get(path))
    for path, text in sorted(rendered.items()):
        old, old_mode = observed.files.get(path), observed.modes.get(path)
        mode = policy.mode(path)
        if old != text or old_mode != mode:
            yield FileChange(path, old, text, mode, old_mode)
