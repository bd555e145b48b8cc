"""The witness rule: what is not a target of a change must not lose anything by it. Pure.

Only losses count. On a Kubernetes node links, routes and rules of pods appear and vanish at any
moment; but a link that stays and loses its name, its flags, its MTU, an address, a route or a
rule while we work is our fault until shown otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from multinic.model import ObservedAddress, ObservedLink, ObservedRoute, ObservedRule, Rule

# Routes that follow from addresses and routers, and those of routing daemons: who made them sees to them.
# RTPROT_KERNEL, RA, ZEBRA, BIRD, DNROUTED, XORP, NTK, MROUTED, KEEPALIVED, BABEL, OPENR, BGP, ISIS, OSPF,
# RIP and EIGRP of linux/rtnetlink.h.
_KEPT_BY_OTHERS = frozenset((2, 9, 11, 12, 13, 14, 15, 17, 18, 42, 99, 186, 187, 188, 189, 192))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All links, the routes of all tables but the kernel's own, and the rules of a host."""

    links: tuple[ObservedLink, ...]
    routes: tuple[ObservedRoute, ...]
    rules: tuple[ObservedRule, ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that a link which is no target had before a change and lacks after it."""

    link: ObservedLink | None
    """The link as it was before; None for what belongs to none: a rule, a route that leads nowhere."""
    what: str
    renamed: str = ""
    """The name that it has instead, where that is what it lost."""
    up: bool | None = None
    mtu: int = 0
    address: ObservedAddress | None = None
    route: ObservedRoute | None = None
    rule: ObservedRule | None = None

    def __str__(self) -> str:
        return f"{self.link.name} lost {self.what}" if self.link else f"the host lost {self.what}"


def losses(
    before: Surroundings, after: Surroundings, targets: Collection[int], rules: Collection[Rule] = ()
) -> tuple[Loss, ...]:
    """Return what links other than the `targets` (by index) lost; a link that is gone lost nothing.

    Of the rules `rules` are the change's own.
    """
    return tuple(_losses(before, after, targets, rules))


def _losses(
    before: Surroundings, after: Surroundings, targets: Collection[int], ours: Collection[Rule]
) -> Iterator[Loss]:
    now = {link.index: link for link in after.links}
    watched = {
        link.index: link
        for link in before.links
        if link.index not in targets and link.index in now and now[link.index].mac == link.mac
    }
    for index, link in watched.items():
        yield from _of_link(link, now[index])
    routes = set(after.routes)
    for route in before.routes:
        counts = route.link in watched or not route.link  # 0: a route that leads nowhere, on no link
        if counts and route not in routes and route.protocol not in _KEPT_BY_OTHERS:
            via = f" via {route.via}" if route.via else ""
            words = f"the route to {route.to}{via} (table {route.table})"
            yield Loss(watched.get(route.link), words, route=route)
    rules = set(after.rules)
    for rule in before.rules:
        if rule not in rules and rule.rule not in ours:
            yield Loss(None, f"the rule {rule.rule.priority} for table {rule.rule.table}", rule=rule)


def _of_link(link: ObservedLink, now: ObservedLink) -> Iterator[Loss]:
    if now.name != link.name:
        yield Loss(link, f"its name (to {now.name})", renamed=now.name)
    if link.up and not now.up:
        yield Loss(link, "its state up", up=True)
    if now.mtu != link.mtu:
        yield Loss(link, f"its MTU {link.mtu} (to {now.mtu})", mtu=link.mtu)
    present = {found.address for found in now.addresses}
    for found in link.addresses:
        if not found.kernel and found.address not in present:
            yield Loss(link, f"the address {found.address}", address=found)
