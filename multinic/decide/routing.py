"""Routes and policy-routing rules of one interface: they follow from its options and its slot. Pure.

Every slot has a routing table and a rule priority of its own. By these, and by the protocol number
(ROUTE_PROTOCOL, where a backend can set it), our routes and rules differ from those of other programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_network

from multinic.decide.naming import slot_of_link
from multinic.values import routes
from multinic.values.addresses import IPAddress, IPNetwork
from multinic.values.desired import DesiredLink, Options, Route, Rule
from multinic.values.observed import Observed, ObservedLink, ObservedRoute, ObservedRule
from multinic.values.rtnetlink import MAIN_TABLE, PROTOCOL_DHCP, PROTOCOL_RA, PROTOCOL_STATIC, RECEIVED

ROUTE_PROTOCOL = 114
"""The protocol number of our routes and rules, free in linux/rtnetlink.h and in iproute2's rt_protos."""
RULE_PRIORITY = 1000
"""Priority of the rules of slot 0: before the main table (32766), after the first rules of CNI plugins."""
METRIC = 2000
"""Metric of the default route of slot 0 if a row gives none: behind the host's own, also behind one from
a router advertisement (1024)."""
_IPV6_METRIC = 1024  # IP6_RT_PRIO_USER of linux/ipv6_route.h: the kernel's default
_NONE = 0  # the protocol of wicked's rules; other network services use PROTOCOL_STATIC


def resolved(link: DesiredLink, slot: int, table_base: int) -> DesiredLink:
    """Return `link` with the routes and rules that follow from its options in this slot."""
    rules = _rules(link, slot, table_base) if link.options.policy_routing else ()
    return replace(link, routes=tuple(dict.fromkeys(_routes(link, slot, table_base))), rules=tuple(rules))


def _routes(link: DesiredLink, slot: int, table_base: int) -> Iterator[Route]:
    options = link.options
    if options.policy_routing:
        table = table_base + slot
        for network in _networks(link):
            yield _with_metric(Route(network, table=table))
        for gateway in options.gateways:
            if any(address.version == gateway.version for address in link.addresses):
                yield _default(link, gateway, None, table)
    for route in options.routes:
        yield _with_metric(route)
    if options.default_route:
        for gateway in options.gateways:
            yield _default(link, gateway, default_metric(link, slot), MAIN_TABLE)


def uses_routing(options: Options) -> bool:
    """Return whether routes or rules follow from `options`, or a router may send routes because of them."""
    return bool(options.policy_routing or options.routes or options.default_route)


def _rules(link: DesiredLink, slot: int, table_base: int) -> Iterator[Rule]:
    for address in link.addresses:
        yield Rule(ip_network(address.ip), None, table_base + slot, RULE_PRIORITY + slot)


def _networks(link: DesiredLink) -> Iterable[IPNetwork]:
    """Return the subnets of a link; a single address (/32, /128) has none."""
    networks = (address.network for address in link.addresses)
    return dict.fromkeys(network for network in networks if network.prefixlen < network.max_prefixlen)


def default_metric(link: DesiredLink, slot: int) -> int:
    """Return the metric of a default route through `link`, also of one from DHCP or a router."""
    return METRIC + slot if link.options.metric is None else link.options.metric


def _default(link: DesiredLink, gateway: IPAddress, metric: int | None, table: int) -> Route:
    near = gateway.is_link_local or any(gateway in address.network for address in link.addresses)
    to = ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
    return _with_metric(Route(to, gateway, metric, table, on_link=not near))


def _with_metric(route: Route) -> Route:
    """Return a route with a metric: its own, else the kernel's default."""
    unspecified = 0 if route.to.version == 4 else _IPV6_METRIC
    return route if route.metric is not None else replace(route, metric=unspecified)


def is_through(route: Route, found: ObservedRoute, link: ObservedLink) -> bool:
    """Return whether `found` is `route` through `link`."""
    wanted = (link.index, route.to, route.via, route.table, route.metric)
    return wanted == (found.link, found.to, found.via, found.table, found.metric)


def stale_routes(
    link: ObservedLink, wish: DesiredLink | None, applied: DesiredLink | None, table: int, observed: Observed
) -> tuple[ObservedRoute, ...]:
    """Return the routes through `link` that are ours and that `wish` does not ask for.

    A route is ours if we configured it last, if it has our protocol number, or if it is in the table of the
    slot. A route from a router advertisement is removed if the row does not accept these any more, and a
    default route from a DHCP server if the row does not ask for one and the host has a better one.
    """
    wanted, known = wish.routes if wish else (), applied.routes if applied else ()
    stale: list[ObservedRoute] = []
    for found in routes.of(observed.routes).through(link.index):
        if any(is_through(route, found, link) for route in wanted):
            continue
        ours = (
            found.protocol == ROUTE_PROTOCOL
            or found.table == table
            or any(is_through(route, found, link) for route in known)
        )
        unasked = _unwanted_advertised(found, wish) or _unwanted_leased(found, wish, observed)
        if unasked or (ours and found.protocol not in RECEIVED):
            stale.append(found)
    return tuple(stale)


def _unwanted_advertised(found: ObservedRoute, wish: DesiredLink | None) -> bool:
    """Return whether a route came from a router advertisement that `wish` does not accept."""
    if found.protocol != PROTOCOL_RA:
        return False
    options = wish.options if wish else Options()
    return not options.accept_ra or (not found.to.prefixlen and not options.default_route)


def _unwanted_leased(found: ObservedRoute, wish: DesiredLink | None, observed: Observed) -> bool:
    """Return whether a default route came from a DHCP server, and neither `wish` nor the host needs it.

    The host does not if it prefers the default route of another link.
    """
    if found.protocol != PROTOCOL_DHCP or found.to.prefixlen or found.table != MAIN_TABLE:
        return False
    if wish is None or wish.options.default_route:
        return False
    return any(
        other.link != found.link
        and (other.to, other.table) == (found.to, found.table)
        and other.metric < found.metric
        for other in routes.of(observed.routes).defaults()
    )


def stale_rules(
    slot: int, wish: DesiredLink | None, applied: DesiredLink | None, table: int, observed: Observed
) -> tuple[ObservedRule, ...]:
    """Return the rules that are ours and that `wish` does not ask for."""
    wanted, known = wish.rules if wish else (), applied.rules if applied else ()
    return tuple(
        found
        for found in observed.rules
        if (found.rule in known or is_of_slot(found, slot, table)) and found.rule not in wanted
    )


def is_of_slot(found: ObservedRule, slot: int, table: int) -> bool:
    """Return whether a rule is one of those that we make for a slot."""
    is_our_protocol = found.protocol in (ROUTE_PROTOCOL, PROTOCOL_STATIC, _NONE)
    return is_our_protocol and found.rule.table == table and found.rule.priority == RULE_PRIORITY + slot


def slot_of_rule(found: ObservedRule, table_base: int) -> int | None:
    """Return the slot for which multinic itself added a rule; None for the rules of other programs."""
    slot = found.rule.table - table_base
    ours = found.protocol == ROUTE_PROTOCOL and slot >= 0 and is_of_slot(found, slot, found.rule.table)
    return slot if ours else None


def missing_routes(link: ObservedLink, wish: DesiredLink, observed: Observed) -> tuple[Route, ...]:
    """Return the routes that `wish` asks for and that `link` lacks."""
    present = routes.of(observed.routes).through(link.index)
    return tuple(
        route for route in wish.routes if not any(is_through(route, found, link) for found in present)
    )


def rival(route: Route, link: ObservedLink, observed: Observed) -> str:
    """Return the name of another link that has `route`, which the kernel allows only once; "" for none."""
    names = {other.index: other.name for other in observed.links if other.index != link.index}
    for found in routes.of(observed.routes).to_network(route.to):
        same = (found.table, found.metric) == (route.table, route.metric)
        if same and found.link in names:
            return names[found.link]
    return ""


def missing_rules(wish: DesiredLink, observed: Observed) -> tuple[Rule, ...]:
    """Return the rules that `wish` asks for and that the host lacks."""
    present = {found.rule for found in observed.rules}
    return tuple(rule for rule in wish.rules if rule not in present)


def is_ours(found: ObservedRoute, link: ObservedLink, *wishes: DesiredLink | None) -> bool:
    """Return whether a default route through a managed link exists because a row asks for it."""
    if found.protocol == ROUTE_PROTOCOL:
        return True
    return any(
        wish is not None
        and (
            any(is_through(route, found, link) for route in wish.routes)
            or (wish.options.default_route and found.protocol in RECEIVED)
        )
        for wish in wishes
    )


def table_problem(
    wish: DesiredLink, slot: int, table_base: int, slots: int, link: ObservedLink | None, observed: Observed
) -> tuple[str, str]:
    """Return JSON path and reason for a routing table that must not be used; two empty texts for none."""
    our_tables = range(table_base, table_base + max(slots, slot + 1))
    for number, route in enumerate(wish.options.routes):
        path = f"options.routes[{number}].table"
        if route.table in our_tables:
            words = f"{route.table} is kept for the policy routing of multinic{route.table - table_base}"
            return path, words
        if route.table != MAIN_TABLE and (other := _other_user(route.table, link, observed)):
            return path, f"{route.table} has routes through {other}"
    table = table_base + slot
    if wish.options.policy_routing:
        if other := _other_user(table, link, observed):
            return "options.policy_routing", f"the routing table {table} has routes through {other}"
        for found in observed.rules:
            if found.rule.table == table and not is_of_slot(found, slot, table):
                words = f"a rule of another program (priority {found.rule.priority}) uses table {table}"
                return "options.policy_routing", words
    return "", ""


def _other_user(table: int, link: ObservedLink | None, observed: Observed) -> str:
    """Return the name of another link, not a managed one, that has routes in a table; "" for none."""
    names = {other.index: other.name for other in observed.links}
    managed = {other.index for other in observed.links if slot_of_link(other) is not None}
    managed |= {link.index} if link is not None else set()
    for found in routes.of(observed.routes).in_table(table):
        if found.protocol != ROUTE_PROTOCOL and found.link not in managed:
            return f"link {names.get(found.link, found.link)}"
    return ""
