"""Give back what links that were no target of a change lost by it."""

from __future__ import annotations

from collections.abc import Iterable

from multinic.decide.witness import Loss
from multinic.kernel.faults import collected
from multinic.kernel.links import Links
from multinic.values.errors import HostError
from multinic.values.observed import ObservedRoute


def give_back(links: Links, losses: Iterable[Loss]) -> None:
    """Give back all losses; an error does not stop the others. Raises the first HostError at the end."""
    faults: list[HostError] = []
    for loss in by_nearness(losses):
        with collected(faults):
            give_back_one(links, loss)
    for fault in faults:
        raise fault


def by_nearness(losses: Iterable[Loss]) -> list[Loss]:
    """Return losses in the order in which they can be given back.

    Links and addresses first, then routes to what is on the link, through which gateways are reached.
    """
    return sorted(losses, key=lambda loss: (loss.route is not None, *nearness(loss.route)))


def give_back_one(links: Links, loss: Loss) -> None:
    """Give back one loss. Raises HostError."""
    if loss.rule is not None:
        links.restore_rule(loss.rule)
    if loss.route is not None:
        links.restore_route(loss.link.name if loss.link else "no link", loss.route)
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


def nearness(route: ObservedRoute | None) -> tuple[bool, int]:
    """Return a sort key: routes to networks on the link first, then those through a gateway."""
    return route is not None and route.via is not None, -route.to.prefixlen if route else 0
