"""Routes and policy-routing rules: what the options of one interface mean once its slot is known. Pure.

Every slot has a routing table and a rule priority of its own. Together with the number of the program
that made them (ROUTE_PROTOCOL, where a backend can give it) this tells ours from those of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_network

from multinic.model import (
    MAIN_TABLE,
    DesiredLink,
    IPAddress,
    IPNetwork,
    Observed,
    ObservedLink,
    ObservedRoute,
    ObservedRule,
    Options,
    Route,
    Rule,
)

ROUTE_PROTOCOL = 114
"""The protocol number of our routes and rules, free in linux/rtnetlink.h and in iproute2's rt_protos."""
RULE_PRIORITY = 1000
"""Priority of the rules of slot 0: before the main table (32766), behind what CNIs put first."""
METRIC = 2000
"""Metric of a default route of slot 0 for which none is given: behind the host's own, also behind that of
a router advertisement (1024)."""
_IPV6_METRIC = 1024  # IP6_RT_PRIO_USER of linux/ipv6_route.h: what the kernel takes for none
_NONE, _STATIC = 0, 4  # what wicked gives its rules, and RTPROT_STATIC, which other network services do
_ADVERTISED = 9  # RTPROT_RA
_FROM_ROUTERS = frozenset({2, _ADVERTISED, 16})  # RTPROT_KERNEL, RA, DHCP: follow from what is received


def resolved(link: DesiredLink, slot: int, table_base: int) -> DesiredLink:
    """Return `link` with the routes and rules that its options mean in this slot."""
    rules = _rules(link, slot, table_base) if link.options.policy_routing else ()
    return replace(link, routes=tuple(dict.fromkeys(_routes(link, slot, table_base))), rules=tuple(rules))


def _routes(link: DesiredLink, slot: int, table_base: int) -> Iterator[Route]:
    options = link.options
    if options.policy_routing:
        table = table_base + slot
        for network in _networks(link):
            yield _filled(Route(network, table=table))
        for gateway in options.gateways:
            if any(address.version == gateway.version for address in link.addresses):
                yield _default(link, gateway, None, table)
    for route in options.routes:
        yield _filled(route)
    if options.default_route:
        for gateway in options.gateways:
            yield _default(link, gateway, default_metric(link, slot), MAIN_TABLE)


def uses_routing(options: Options) -> bool:
    """Return whether routes or rules follow from `options`, or may come from a router because of them."""
    return bool(options.policy_routing or options.routes or options.default_route)


def _rules(link: DesiredLink, slot: int, table_base: int) -> Iterator[Rule]:
    for address in link.addresses:
        yield Rule(ip_network(address.ip), None, table_base + slot, RULE_PRIORITY + slot)


def _networks(link: DesiredLink) -> Iterable[IPNetwork]:
    """Return the subnets of a link; an address that stands for itself alone (/32) has none."""
    networks = (address.network for address in link.addresses)
    return dict.fromkeys(network for network in networks if network.prefixlen < network.max_prefixlen)


def default_metric(link: DesiredLink, slot: int) -> int:
    """Return the metric of a default route through `link`, whoever brings it."""
    return METRIC + slot if link.options.metric is None else link.options.metric


def _default(link: DesiredLink, gateway: IPAddress, metric: int | None, table: int) -> Route:
    near = gateway.is_link_local or any(gateway in address.network for address in link.addresses)
    to = ip_network("0.0.0.0/0" if gateway.version == 4 else "::/0")
    return _filled(Route(to, gateway, metric, table, on_link=not near))


def _filled(route: Route) -> Route:
    """Return a route with the metric that the kernel takes where none is given."""
    unspecified = 0 if route.to.version == 4 else _IPV6_METRIC
    return route if route.metric is not None else replace(route, metric=unspecified)


def is_on(route: Route, found: ObservedRoute, link: ObservedLink) -> bool:
    """Return whether `found` is `route` through `link`."""
    wanted = (link.index, route.to, route.via, route.table, route.metric)
    return wanted == (found.link, found.to, found.via, found.table, found.metric)


def stale_routes(
    link: ObservedLink, wish: DesiredLink | None, applied: DesiredLink | None, table: int, observed: Observed
) -> tuple[ObservedRoute, ...]:
    """Return the routes through `link` that are ours and that `wish` does not ask for.

    Ours is what we configured last, what has our number, and what is in the table of the slot. What a router
    announced goes when it is no longer listened to.
    """
    wanted, known = wish.routes if wish else (), applied.routes if applied else ()
    return tuple(
        found
        for found in observed.routes
        if found.link == link.index
        and (_unheard(found, wish) or found.protocol not in _FROM_ROUTERS)
        and (
            found.protocol in (ROUTE_PROTOCOL, _ADVERTISED)
            or found.table == table
            or any(is_on(route, found, link) for route in known)
        )
        and not any(is_on(route, found, link) for route in wanted)
    )


def _unheard(found: ObservedRoute, wish: DesiredLink | None) -> bool:
    """Return whether a route came by a router advertisement of a kind that `wish` does not listen to."""
    if found.protocol != _ADVERTISED:
        return False
    options = wish.options if wish else Options()
    return not options.accept_ra or (not found.to.prefixlen and not options.default_route)


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
    """Return whether a rule is one that we make for a slot."""
    by_us = found.protocol in (ROUTE_PROTOCOL, _STATIC, _NONE)
    return by_us and found.rule.table == table and found.rule.priority == RULE_PRIORITY + slot


def missing_routes(link: ObservedLink, wish: DesiredLink, observed: Observed) -> tuple[Route, ...]:
    """Return the routes that `wish` asks for and that `link` lacks."""
    return tuple(
        route for route in wish.routes if not any(is_on(route, found, link) for found in observed.routes)
    )


def rival(route: Route, link: ObservedLink, observed: Observed) -> str:
    """Return the name of another link that has `route` already, which the kernel allows once; "" for none."""
    names = {other.index: other.name for other in observed.links if other.index != link.index}
    for found in observed.routes:
        same = (found.to, found.table, found.metric) == (route.to, route.table, route.metric)
        if same and found.link in names:
            return names[found.link]
    return ""


def missing_rules(wish: DesiredLink, observed: Observed) -> tuple[Rule, ...]:
    """Return the rules that `wish` asks for and that the host lacks."""
    present = {found.rule for found in observed.rules}
    return tuple(rule for rule in wish.rules if rule not in present)


def is_ours(found: ObservedRoute, link: ObservedLink, *wishes: DesiredLink | None) -> bool:
    """Return whether a default route through a managed link is there because a row asks for it."""
    if found.protocol == ROUTE_PROTOCOL:
        return True
    return any(
        wish is not None
        and (
            any(is_on(route, found, link) for route in wish.routes)
            or (wish.options.default_route and found.protocol in _FROM_ROUTERS)
        )
        for wish in wishes
    )


def table_problem(
    wish: DesiredLink, slot: int, table_base: int, slots: int, link: ObservedLink | None, observed: Observed
) -> tuple[str, str]:
    """Return (JSON path, why) of a routing table that is not ours to use; two empty texts for none."""
    own = range(table_base, table_base + max(slots, slot + 1))
    for number, route in enumerate(wish.options.routes):
        path = f"options.routes[{number}].table"
        if route.table in own:
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
                words = f"a rule of somebody else (priority {found.rule.priority}) looks into table {table}"
                return "options.policy_routing", words
    return "", ""


def _other_user(table: int, link: ObservedLink | None, observed: Observed) -> str:
    """Return the name of another link, not one of ours, that has routes in a table."""
    names = {other.index: other.name for other in observed.links}
    for found in observed.routes:
        ours = found.protocol == ROUTE_PROTOCOL or (link is not None and found.link == link.index)
        if found.table == table and not ours and not names.get(found.link, "").startswith("multinic"):
            return f"link {names.get(found.link, found.link)}"
    return ""


def route_words(route: Route | ObservedRoute) -> str:
    """Return a route as ip(8) would say it."""
    to = "default" if not route.to.prefixlen else str(route.to)
    via = f" via {route.via}" if route.via else ""
    metric = f" metric {route.metric}" if route.metric else ""
    table = f" table {route.table}" if route.table != MAIN_TABLE else ""
    return f"{to}{via}{metric}{table}"


def rule_words(rule: Rule) -> str:
    """Return a rule as ip(8) would say it."""
    source = f"from {rule.source}" if rule.source else "from all"
    destination = f" to {rule.destination}" if rule.destination else ""
    return f"{source}{destination} table {rule.table} priority {rule.priority}"
