"""What others have put on a link that a change is about: they must have it afterwards, too. Pure.

Network services that configure a link again remove from it what they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, replace

from multinic.decide.routing import ROUTE_PROTOCOL, is_through
from multinic.decide.witness import Loss, lost_addresses, route_words, went, without, without_addresses
from multinic.values.desired import DesiredLink
from multinic.values.observed import ObservedAddress, ObservedLink, ObservedRoute, Surroundings
from multinic.values.plan import Interface, State
from multinic.values.routes import of
from multinic.values.rtnetlink import RECEIVED

_NETWORK = re.compile(r"[0-9A-Fa-f.:]+/\d{1,3}|\bdefault\b")


@dataclass(frozen=True, slots=True)
class Others:
    """What others have on one link."""

    link: ObservedLink
    """As it was, with the addresses of others alone."""
    routes: tuple[ObservedRoute, ...]


def others_on(interface: Interface, around: Surroundings) -> Others | None:
    """Return what others have on the link of an interface; None for nothing.

    A link that no row names any more is freed: on it nothing is kept.
    """
    index = interface.link.index if interface.link and interface.state is not State.DELETE else 0
    link = next((link for link in around.links if link.index == index), None)
    if link is None:
        return None
    ours = _Ours(interface, link)
    addresses = tuple(found for found in link.addresses if not ours.has_address(found))
    found = of(around.routes).through(link.index)
    routes = tuple(route for route in found if not ours.has_route(route))
    return Others(replace(link, addresses=addresses), routes) if addresses or routes else None


def brought_forward(
    interface: Interface, link: ObservedLink, routes: tuple[ObservedRoute, ...], around: Surroundings
) -> tuple[ObservedLink, tuple[ObservedRoute, ...]]:
    """Return a link and its routes as they were some time ago, but with what others have on it now.

    `interface` has what was configured then (in its entry), and since then.
    """
    nothing = Others(link, ())
    then = others_on(interface, Surroundings((link,), routes, ())) or nothing
    now = others_on(interface, around) or nothing
    theirs = then.link.addresses if then is not nothing else ()
    ours = tuple(found for found in link.addresses if found not in theirs)
    added = now.link.addresses if now is not nothing else ()
    kept = tuple(route for route in routes if route not in then.routes)
    return replace(link, addresses=(*ours, *added)), (*kept, *now.routes)


def bystanders(interfaces: Collection[Interface], around: Surroundings) -> Surroundings:
    """Return what a change of these interfaces is not about."""
    targets = {interface.link.index for interface in interfaces if interface.link}
    rules = {found.rule for interface in interfaces for found in interface.removed_rules}
    rules |= {rule for interface in interfaces if interface.desired for rule in interface.desired.rules}
    return without(around, targets, rules)


class _Ours:
    """What rows and files have put on a link, or shall, and what follows from them."""

    def __init__(self, interface: Interface, link: ObservedLink) -> None:
        applied = interface.entry.applied if interface.entry else None
        self._interface, self._link = interface, link
        self._wishes: list[DesiredLink] = [wish for wish in (applied, interface.desired) if wish]
        self._leases = None if applied is None else self._wishes
        # What an earlier agent wrote, or a template of the operator.
        texts = (change.old for change in interface.files if change.old)
        self._words = {word.lower() for text in texts for word in _NETWORK.findall(text)}

    def has_address(self, found: ObservedAddress) -> bool:
        if found.kernel or found.dadfailed or found.address in self._interface.removed_addresses:
            return True
        if any(found.address in wish.addresses for wish in self._wishes):
            return True
        return self._is_made(found) or str(found.address) in self._words

    def _is_made(self, found: ObservedAddress) -> bool:
        """Return whether the network service made an address itself: from a lease, or a link-local one."""
        version = found.address.version
        if found.address.is_link_local:
            wish = self._interface.desired
            asked = any(version in wish.link_local for wish in self._wishes)
            return asked if version == 4 else wish is None or 6 not in wish.link_local
        if not found.leased:
            return False
        if self._leases is None:  # of an earlier agent, or of the connection that NetworkManager made up
            return True
        options = [wish.options for wish in self._leases]
        return any(one.dhcp4 if version == 4 else one.dhcp6 or one.accept_ra for one in options)

    def has_route(self, found: ObservedRoute) -> bool:
        if found.protocol in (*RECEIVED, ROUTE_PROTOCOL) or found in self._interface.removed_routes:
            return True
        if any(is_through(route, found, self._link) for wish in self._wishes for route in wish.routes):
            return True
        if found.to.is_multicast and any(4 in wish.link_local for wish in self._wishes):
            return True  # NetworkManager makes it beside a link-local address
        words = [str(found.to), *([] if found.to.prefixlen else ["default"])]
        return not self._words.isdisjoint(words)


def losses_on_targets(
    others: Collection[Others], after: Surroundings, withdrawn: Collection[Hashable] = ()
) -> tuple[Loss, ...]:
    """Return what others had on the links that a change is about, and have no more.

    Without `withdrawn`, which they have taken away themselves (kernel/deletions.py).
    """
    return tuple(_losses(others, after, withdrawn))


def _losses(
    others: Collection[Others], after: Surroundings, withdrawn: Collection[Hashable]
) -> Iterator[Loss]:
    now = {link.index: link for link in after.links}
    for before in others:
        link = now.get(before.link.index)
        if link is None or link.mac != before.link.mac:
            continue
        for found in lost_addresses(without_addresses(before.link, withdrawn), link):
            yield Loss(link, f"the address {found.address}", address=found)
        present = set(of(after.routes).through(link.index)) if before.routes else ()
        for route in before.routes:
            if route not in present and not went(route, withdrawn):
                yield Loss(link, route_words(route), route=route)
