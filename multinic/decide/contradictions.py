"""Contradictions: between options, between options and address or MTU, and between two links."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from multinic.decide.parsing import OptionError
from multinic.values.addresses import IPAddress, Mac
from multinic.values.desired import DesiredLink

IPV6_MTU_MIN = 1280  # RFC 8200, section 5
_NO_METRIC = {4: 0, 6: 1024}  # the kernel's default metric; IP6_RT_PRIO_USER of linux/ipv6_route.h

Contradiction = tuple[str, object, str]
"""Path, value and problem, the arguments of OptionError."""


def check(link: DesiredLink) -> None:
    """Raise OptionError for the first option that contradicts something else of its link."""
    for path, value, problem in _contradictions(link):
        raise OptionError(path, value, problem)


def between(links: Sequence[DesiredLink]) -> dict[Mac, OptionError]:
    """Return the links that ask for the same route as another link: the kernel allows it only once.

    Which row is right is not known here, so both are at fault.
    """
    wanted: dict[Hashable, list[DesiredLink]] = {}
    for link in links:
        for key, _, _ in _unique_routes(link):
            wanted.setdefault(key, []).append(link)
    found: dict[Mac, OptionError] = {}
    for link in links:
        for key, path, value in _unique_routes(link):
            other = next((other for other in wanted[key] if other is not link), None)
            if other is not None and link.mac not in found:
                problem = f"is asked for by row {other.row_id} too, in the same table with the same metric"
                found[link.mac] = OptionError(path, value, problem)
    return found


def _unique_routes(link: DesiredLink) -> Iterator[tuple[Hashable, str, object]]:
    """Yield the kernel's key of each route, its JSON path and its value.

    Default routes whose metric follows from the slot are left out: they differ anyway.
    """
    options = link.options
    for number, route in enumerate(options.routes):
        metric = _NO_METRIC[route.to.version] if route.metric is None else route.metric
        yield (route.to, route.table, metric), f"routes[{number}].to", str(route.to)
    if options.default_route and options.metric is not None:
        families = {gateway.version for gateway in options.gateways}
        families |= {4} if options.dhcp4 else set()
        families |= {6} if options.accept_ra else set()
        for version in sorted(families):
            yield (version, options.metric), "metric", options.metric


def dynamic(link: DesiredLink, version: int) -> bool:
    """Return whether the network may give the link addresses of this IP version, which no row has."""
    options = link.options
    return options.dhcp4 if version == 4 else options.dhcp6 or options.accept_ra


def _contradictions(link: DesiredLink) -> Iterator[Contradiction]:
    options = link.options
    for name, used in (("dhcp6", options.dhcp6), ("accept_ra", options.accept_ra)):
        if used and 6 not in link.link_local:
            yield name, True, "needs an IPv6 link-local address, and `link_local` leaves it out"
    for number, gateway in enumerate(options.gateways):
        path = "gateway" if len(options.gateways) == 1 else f"gateway[{number}]"
        yield from _unreachable(link, path, gateway, on_link=_alone(link, gateway.version))
    if options.default_route and not (options.gateways or options.dhcp4 or options.accept_ra):
        yield "default_route", True, "needs a `gateway`, `dhcp4` or `accept_ra` to lead to"
    if options.metric is not None and not options.default_route:
        yield "metric", options.metric, "belongs to the default route: it needs `default_route`"
    for number, route in enumerate(options.routes):
        if route.via is not None:
            yield from _unreachable(link, f"routes[{number}].via", route.via, on_link=route.on_link)
    if options.policy_routing and not link.addresses:
        yield "policy_routing", "auto", "needs an address in the row: its rules are for packets from it"
    yield from _below_ipv6(link)


def _alone(link: DesiredLink, version: int) -> bool:
    """Return whether all addresses of an IP version are /32 or /128: then no subnet has a gateway in it."""
    lengths = {(a.network.prefixlen, a.network.max_prefixlen) for a in link.addresses if a.version == version}
    return bool(lengths) and all(length == longest for length, longest in lengths)


def _unreachable(
    link: DesiredLink, path: str, hop: IPAddress, *, on_link: bool = False
) -> Iterator[Contradiction]:
    """Yield why packets cannot be sent to `hop` on this link."""
    of_family = [address for address in link.addresses if address.version == hop.version]
    if any(address.ip == hop for address in of_family):
        yield path, str(hop), "is an address of this link itself"
    elif hop.version == 6 and hop.is_link_local:
        if not of_family and 6 not in link.link_local:
            yield path, str(hop), 'needs an IPv6 address on the link, or "ipv6" in `link_local`'
    elif (
        not on_link
        and not dynamic(link, hop.version)
        and not any(hop in address.network for address in of_family)
    ):
        yield path, str(hop), "is outside every subnet of this link"


def _below_ipv6(link: DesiredLink) -> Iterator[Contradiction]:
    if link.mtu is None or link.mtu >= IPV6_MTU_MIN:
        return
    options = link.options
    using: dict[str, tuple[object, bool]] = {
        "dhcp6": (True, options.dhcp6),
        "accept_ra": (True, options.accept_ra),
        "link_local": (["ipv6"], 6 in (options.link_local or ())),
        "gateway": ([], any(gateway.version == 6 for gateway in options.gateways)),
        "routes": ([], any(route.to.version == 6 for route in options.routes)),
    }
    for path, (value, used) in using.items():
        if used:
            yield path, value, f"needs IPv6, and an mtu of {link.mtu} is below its {IPV6_MTU_MIN} (RFC 8200)"
