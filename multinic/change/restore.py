"""Restore interfaces as a checkpoint has them: files, names, then the rest of each link."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from multinic.change.give_back import give_back, nearness
from multinic.decide.witness import losses
from multinic.host.host import Host
from multinic.kernel.faults import collected
from multinic.kernel.links import Links
from multinic.kernel.set_properties import properties_of, restore_properties
from multinic.state.checkpoint import Saved, lasting_routes
from multinic.values.addresses import IPInterface, IPNetwork
from multinic.values.errors import HostError
from multinic.values.observed import ObservedLink, ObservedRoute, ObservedRule, Surroundings

_TRIES = 10  # a program that drops again what others have keeps nobody waiting for long
_QUIET = 0.5  # seconds: a service begins some milliseconds after it was told
_SETTLE = 5.0  # seconds that a network service has to stop working on a link that we restore


def restore(
    host: Host,
    links: Links,
    saved: Sequence[Saved],
    others: Callable[[], Surroundings],
    *,
    reload: Callable[[Sequence[str]], None],
    observe: Callable[[], Surroundings],
) -> None:
    """Restore files and names of interfaces, then, when the backend has read the files, the rest.

    `others` returns what links that are not restored have, and the rules of others: the backend may drop it.
    An error of one interface does not stop the others. Raises the first HostError at the end.
    """
    faults: list[HostError] = []
    _restore_files(host, saved, faults)
    _restore_names(links, saved, observe().links, faults)
    with collected(faults):
        reload(_names(saved))
    faults += _restore_until_settled(host, links, saved, others, observe)
    if not faults:
        left = remaining(host, saved, observe()).values()
        faults += [HostError("; ".join(left))] if left else []
    for fault in faults:
        raise fault


def _restore_files(host: Host, saved: Iterable[Saved], faults: list[HostError]) -> None:
    for interface in saved:
        for path, file in interface.files.items():
            with collected(faults):
                host.restore(path, file)


def _restore_names(
    links: Links, saved: Iterable[Saved], observed: Iterable[ObservedLink], faults: list[HostError]
) -> None:
    now = {link.index: link for link in observed}
    wanted: dict[int, tuple[str, str]] = {}
    for interface in saved:
        link = same_link(interface.link, now)
        if interface.link and link and link.name != interface.link.name:
            wanted[link.index] = (link.name, interface.link.name)
    faults += links.rename_all(wanted).values()


def _restore_until_settled(
    host: Host,
    links: Links,
    saved: Sequence[Saved],
    others: Callable[[], Surroundings],
    observe: Callable[[], Surroundings],
) -> list[HostError]:
    """Restore the kernel's side of interfaces until nothing differs; return the errors of the last try.

    Where a service reads files again, nothing may differ for a while: it works on after it was told.
    """
    end, tries = time.monotonic() + _SETTLE, _TRIES
    pause = _QUIET if any(interface.files for interface in saved) else 0.0
    quiet = time.monotonic() + pause
    while True:
        around, errors = observe(), list[HostError]()
        differed = [_restore_in_kernel(host, links, interface, around, errors) for interface in saved]
        if lost := losses(others(), around):
            with suppress(HostError):
                give_back(links, lost)
            tries -= 1
        differed.append(bool(lost) and tries > 0)
        if any(differed):
            quiet = time.monotonic() + pause
        if time.monotonic() >= (end if any(differed) else quiet):
            return errors
        time.sleep(0.05)


def _restore_in_kernel(
    host: Host, links: Links, saved: Saved, around: Surroundings, errors: list[HostError]
) -> bool:
    """Restore rules, properties, link and routes of one interface; return whether any of them differed."""
    differed = False
    with collected(errors):
        differed = _restore_rules(links, saved, around.rules)
    link = same_link(saved.link, {link.index: link for link in around.links})
    if not saved.link or not link:
        return differed
    with collected(errors):
        restore_properties(host, links, link, saved.properties)
    present = lasting_routes(link, around.routes)
    if set(present) == set(saved.routes) and not _differs(saved.link, link):
        return differed
    with collected(errors):
        for route in present:
            if route not in saved.routes:
                links.remove_route(link.name, route)
        restore_link(links, saved.link, link, saved.routes)
    return True


def _names(saved: Iterable[Saved]) -> list[str]:
    """Return the names of interfaces and their links before the change and after it."""
    before = [interface.link.name for interface in saved if interface.link]
    return sorted({*before, *(interface.name for interface in saved if interface.name)})


def _restore_rules(links: Links, saved: Saved, present: Sequence[ObservedRule]) -> bool:
    """Restore the rules of one interface; return whether any of them differed."""
    new = [rule for rule in present if rule.rule in saved.our_rules and rule not in saved.rules]
    lost = [rule for rule in saved.rules if rule not in present]
    for rule in new:
        links.remove_rule(rule)
    for rule in lost:
        links.restore_rule(rule)
    return bool(new or lost)


def same_link(before: ObservedLink | None, now: Mapping[int, ObservedLink]) -> ObservedLink | None:
    """Return the link as it is now; None if it is gone, even if another link has its index."""
    link = now.get(before.index) if before else None
    return link if link and before and link.mac == before.mac else None


def _differs(before: ObservedLink, now: ObservedLink) -> bool:
    return _compared(before) != _compared(now) or not set(before.altnames) <= set(now.altnames)


def _compared(link: ObservedLink) -> tuple[object, ...]:
    addresses = frozenset(found.address for found in link.addresses if not found.kernel)
    return (link.name, link.up, link.mtu, addresses, primaries(link))


def restore_link(
    links: Links, before: ObservedLink, now: ObservedLink, routes: Iterable[ObservedRoute]
) -> None:
    """Make a link as it was observed before, except its name, which it has already.

    The kernel may remove more than it was asked to: look again afterwards.
    """
    index, name = before.index, before.name
    staying = _staying_addresses(before, now)
    for found in now.addresses:
        if found.address not in staying:
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
        if not found.kernel and (found.address not in staying or not now.up):
            links.restore_address(name, found)
    for route in sorted(routes, key=nearness):
        links.restore_route(name, route)


def _staying_addresses(before: ObservedLink, now: ObservedLink) -> set[IPInterface]:
    """Return the present addresses of a link that stay: the kernel's own, and those that it had before.

    If another address comes first in a subnet now, no address of that subnet stays: they are removed and
    added again in their order.
    """
    old = {found.address for found in before.addresses if not found.kernel}
    first_now = primaries(now)
    reordered = {network for network, first in primaries(before).items() if first_now.get(network) != first}
    return {
        found.address
        for found in now.addresses
        if found.kernel or (found.address in old and found.address.network not in reordered)
    }


def primaries(link: ObservedLink) -> dict[IPNetwork, IPInterface]:
    """Return the first IPv4 address of each subnet on a link: the kernel sends packets from it."""
    found: dict[IPNetwork, IPInterface] = {}
    for address in (item.address for item in link.addresses if item.address.version == 4):
        found.setdefault(address.network, address)
    return found


def remaining(host: Host, saved: Iterable[Saved], around: Surroundings) -> dict[str, str]:
    """Return in what interfaces still differ from their checkpoint: key → words. Raises HostError."""
    found = {interface.key: ", ".join(_remaining(host, interface, around)) for interface in saved}
    names = {interface.key: interface.name or interface.key for interface in saved}
    return {key: f"{names[key]} is not as before: {words}" for key, words in found.items() if words}


def _remaining(host: Host, saved: Saved, around: Surroundings) -> Iterator[str]:
    yield from (path for path, file in saved.files.items() if host.file(path) != file)
    present = [rule for rule in around.rules if rule.rule in saved.our_rules]
    if not set(saved.rules) <= set(around.rules) or not set(present) <= set(saved.rules):
        yield "policy rules"
    link = same_link(saved.link, {link.index: link for link in around.links})
    if saved.link is None or link is None:
        return
    parts = ("name", "state", "MTU", "addresses", "order of addresses")
    for part, before, now in zip(parts, _compared(saved.link), _compared(link), strict=True):
        if before != now:
            yield part
    if set(lasting_routes(link, around.routes)) != set(saved.routes):
        yield "routes"
    now_has = properties_of(link, saved.properties)
    yield from (field for field, value in now_has.items() if value != saved.properties[field])
