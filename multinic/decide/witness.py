"""The witness rule: a link that is no target of a change must not lose anything by it. Pure.

Only losses count. On a Kubernetes node links, routes and rules of pods appear and vanish at any
moment. But if a link stays, and loses its name, its flags, its MTU, an address or a route during a change,
or if the host loses a rule, we take it for our fault.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, replace

from multinic.values import routes
from multinic.values.desired import Rule
from multinic.values.observed import ObservedAddress, ObservedLink, ObservedRoute, ObservedRule, Surroundings

# Routes that follow from addresses and routers, and those of routing daemons: their maker adds them again.
# RTPROT_KERNEL, RA, ZEBRA, BIRD, DNROUTED, XORP, NTK, MROUTED, KEEPALIVED, BABEL, OPENR, BGP, ISIS, OSPF,
# RIP and EIGRP of linux/rtnetlink.h.
_KEPT_BY_OTHERS = frozenset((2, 9, 11, 12, 13, 14, 15, 17, 18, 42, 99, 186, 187, 188, 189, 192))


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that was there before a change and is gone after it, of a link that is no target."""

    link: ObservedLink | None
    """The link as it was before; None for a rule, and for a route that leads nowhere."""
    what: str
    renamed: str = ""
    """The name that the link has now, if it lost its name."""
    up: bool | None = None
    mtu: int = 0
    address: ObservedAddress | None = None
    route: ObservedRoute | None = None
    rule: ObservedRule | None = None

    @property
    def kind(self) -> str:
        """What it is in one word: one of THINGS (values/counts.py)."""
        if self.rule is not None:
            return "rule"
        if self.route is not None:
            return "route"
        if self.address is not None:
            return "address"
        return "name" if self.renamed else "mtu" if self.mtu else "state"

    def __str__(self) -> str:
        return f"{self.link.name} lost {self.what}" if self.link else f"the host lost {self.what}"


def without(around: Surroundings, targets: Collection[int], rules: Collection[Rule]) -> Surroundings:
    """Return what a change of these links and rules is not about."""
    return Surroundings(
        tuple(link for link in around.links if link.index not in targets),
        routes.of(around.routes).only(lambda route: route.link not in targets),
        tuple(found for found in around.rules if found.rule not in rules),
    )


def less(around: Surroundings, withdrawn: Collection[Hashable]) -> Surroundings:
    """Return surroundings without what their owners have taken away themselves (kernel/deletions.py)."""
    if not withdrawn:
        return around
    families = _families(withdrawn)
    return Surroundings(
        tuple(without_addresses(link, withdrawn) for link in around.links),
        routes.of(around.routes).only(
            lambda route: route not in withdrawn and (route.link, route.to.version) not in families
        ),
        tuple(rule for rule in around.rules if rule not in withdrawn),
    )


def went(route: ObservedRoute, withdrawn: Collection[Hashable]) -> bool:
    """Return whether a route was taken away by its owner, or with an address that was."""
    return route in withdrawn or (route.link, route.to.version) in _families(withdrawn)


def _families(withdrawn: Collection[Hashable]) -> set[tuple[int, int]]:
    """Return the links, by index, that lost an address to its owner, and of which IP version."""
    return {(thing[0], thing[1].version) for thing in withdrawn if isinstance(thing, tuple)}


def without_addresses(link: ObservedLink, withdrawn: Collection[Hashable]) -> ObservedLink:
    """Return a link without the addresses that their owners have taken away themselves."""
    staying = (found for found in link.addresses if (link.index, found.address) not in withdrawn)
    return replace(link, addresses=tuple(staying))


def losses(
    before: Surroundings, after: Surroundings, targets: Collection[int] = (), rules: Collection[Rule] = ()
) -> tuple[Loss, ...]:
    """Return what links other than the `targets` (by index) lost; a link that is gone lost nothing.

    `rules` are those that the change itself adds or removes: they do not count.
    """
    return tuple(_losses(before, after, targets, rules))


def _losses(
    before: Surroundings, after: Surroundings, targets: Collection[int], our_rules: Collection[Rule]
) -> Iterator[Loss]:
    now = {link.index: link for link in after.links}
    watched = {
        link.index: link
        for link in before.links
        if link.index not in targets and link.index in now and now[link.index].mac == link.mac
    }
    for index, link in watched.items():
        yield from _of_link(link, now[index])
    for route in routes.of(before.routes).gone_from(routes.of(after.routes)):
        counts = route.link in watched or not route.link  # 0: a route that leads nowhere, on no link
        if counts and route.protocol not in _KEPT_BY_OTHERS:
            yield Loss(watched.get(route.link), route_words(route), route=route)
    rules = set(after.rules)
    for rule in before.rules:
        if rule not in rules and rule.rule not in our_rules:
            yield Loss(None, f"the rule {rule.rule.priority} for table {rule.rule.table}", rule=rule)


def _of_link(link: ObservedLink, now: ObservedLink) -> Iterator[Loss]:
    if now.name != link.name:
        yield Loss(link, f"its name (to {now.name})", renamed=now.name)
    if link.up and not now.up:
        yield Loss(link, "its state up", up=True)
    if now.mtu != link.mtu:
        yield Loss(link, f"its MTU {link.mtu} (to {now.mtu})", mtu=link.mtu)
    for found in lost_addresses(link, now):
        yield Loss(link, f"the address {found.address}", address=found)


def lost_addresses(before: ObservedLink, now: ObservedLink) -> list[ObservedAddress]:
    """Return the addresses that a link had and has no more, without those that the kernel makes."""
    present = {found.address for found in now.addresses}
    return [found for found in before.addresses if not found.kernel and found.address not in present]


def route_words(route: ObservedRoute) -> str:
    """Return a lost route for display."""
    via = f" via {route.via}" if route.via else ""
    return f"the route to {route.to}{via} (table {route.table})"
