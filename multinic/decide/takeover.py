"""A row must not take over the way to the database or to a default gateway of the host. Pure.

With such a row, somebody who may write rows, and nothing else, would lead the host to a database of his own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from multinic.decide.naming import slot_of, slot_of_link
from multinic.decide.routing import default_metric
from multinic.decide.safety import Block
from multinic.values import routes
from multinic.values.addresses import IPAddress, IPNetwork
from multinic.values.observed import Observed, ObservedLink, ObservedRoute
from multinic.values.plan import Interface
from multinic.values.rtnetlink import MAIN_TABLE


def takes_over(
    interface: Interface,
    observed: Observed,
    databases: Iterable[IPAddress],
    connected: Mapping[int, int],
) -> Block | None:
    """Refuse a row whose route or network is at least as specific as the best way to an address in need.

    `connected`: by IP version, the metric of the route to the network of an address. A network that is as
    specific as the present one and no better leaves the kernel where it is, and is allowed: two NICs in one
    subnet are in use.
    """
    link = interface.link
    for address, whose in _needed(observed, databases, link):
        best = _best(address, observed)
        if best is not None and link is not None and best.link == link.index:
            continue  # this interface carries it already
        for network, metric, what in _wished(interface, connected):
            if address.version != network.version or address not in network:
                continue
            if _wins(network, metric, best, connected=what == "network"):
                way = f"{whose} ({address}){_from(best, observed)}"
                return Block("in-use", f"its {what} {network} would take over the way to {way}")
    return None


def _from(best: ObservedRoute | None, observed: Observed) -> str:
    names = [link.name for link in observed.links if best is not None and link.index == best.link]
    return f" from link {names[0]}" if names else ""


def _needed(
    observed: Observed, databases: Iterable[IPAddress], link: ObservedLink | None
) -> Iterator[tuple[IPAddress, str]]:
    for address in databases:
        if not address.is_loopback:
            yield address, "the database"
    # Those of managed links are there because rows ask for them: the host does not live on them.
    managed = {other.index for other in observed.links if slot_of_link(other) is not None}
    for route in routes.of(observed.routes).defaults():
        default = route.table == MAIN_TABLE
        of_another = route.link not in managed and (link is None or route.link != link.index)
        # A link-local one is reached through the link of its route, whatever others there are.
        if default and of_another and route.via is not None and not route.via.is_link_local:
            yield route.via, "the default gateway"


def _best(address: IPAddress, observed: Observed) -> ObservedRoute | None:
    """Return the route of the main table that the kernel takes to an address; None if there is none."""
    found = routes.of(observed.routes).to(address)
    return max(found, key=lambda route: (route.to.prefixlen, -route.metric), default=None)


def _wished(interface: Interface, connected: Mapping[int, int]) -> Iterator[tuple[IPNetwork, int, str]]:
    """Yield what a row adds to the main table: network, metric, and what it is."""
    wish, slot = interface.desired, slot_of(interface.name) or 0
    if wish is None:
        return
    for address in wish.addresses:
        yield address.network, connected[address.version], "network"
    for route in wish.routes:
        if route.table == MAIN_TABLE:
            yield route.to, route.metric or 0, "route"
    if wish.options.default_route:  # one that a server or a router names
        for version in (4,) * wish.options.dhcp4 + (6,) * wish.options.accept_ra:
            yield ip_network("0.0.0.0/0" if version == 4 else "::/0"), default_metric(wish, slot), "route"


def _wins(network: IPNetwork, metric: int, best: ObservedRoute | None, *, connected: bool) -> bool:
    if best is None:
        return network.prefixlen > 0
    ours, theirs = (network.prefixlen, -metric), (best.to.prefixlen, -best.metric)
    return ours > theirs if connected else ours >= theirs
