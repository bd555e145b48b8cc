"""Routes and rules that follow from options, and what of a host's routing is ours."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given

from multinic.decide import routing
from multinic.decide.routing import ROUTE_PROTOCOL, resolved
from multinic.values.desired import DesiredLink, Options, Route, Rule
from multinic.values.observed import Observed, ObservedRoute, ObservedRule
from tests.unit import strategies
from tests.unit.making import ready, want

BASE = 1000
MINE = ready(1, "multinic3", "10.0.0.5/24")
OTHER = ready(2, "cni0")


def asking(*addresses: str, **options: Any) -> DesiredLink:
    gateways = tuple(ip_address(text) for text in options.pop("gateways", ()))
    return replace(want(1, *addresses), options=Options(gateways=gateways, **options))


def words(link: DesiredLink) -> list[str]:
    return [str(route) for route in link.routes]


def found(to: str, link: Any = MINE, via: str | None = None, **fields: Any) -> ObservedRoute:
    return ObservedRoute(ip_network(to), ip_address(via) if via else None, link.index, **fields)


def rule_for(source: str, **fields: Any) -> ObservedRule:
    rule = Rule(ip_network(source), None, fields.pop("table", BASE + 3), fields.pop("priority", 1003))
    return ObservedRule(rule, 2, **fields)


def test_nothing_follows_from_no_options() -> None:
    link = want(1, "10.0.0.5/24", "fd00::5/64")
    assert resolved(link, 3, BASE) == link


def test_policy_routing_is_a_table_of_the_slot_for_every_address() -> None:
    link = asking("10.0.0.5/24", "10.0.0.6/24", "fd00::5/64", policy_routing=True, gateways=["10.0.0.1"])
    link = resolved(link, 3, BASE)
    assert words(link) == [
        "10.0.0.0/24 table 1003",
        "fd00::/64 metric 1024 table 1003",
        "default via 10.0.0.1 table 1003",
    ]
    assert [str(rule) for rule in link.rules] == [
        "from 10.0.0.5/32 table 1003 priority 1003",
        "from 10.0.0.6/32 table 1003 priority 1003",
        "from fd00::5/128 table 1003 priority 1003",
    ]


def test_an_address_that_stands_for_itself_has_no_subnet_and_its_gateway_is_on_the_link() -> None:
    link = resolved(asking("10.0.0.5/32", policy_routing=True, gateways=["10.0.0.1"]), 0, BASE)
    (route,) = link.routes
    assert (str(route.via), route.on_link, route.table) == ("10.0.0.1", True, 1000)


def test_a_gateway_of_a_family_without_address_is_not_in_the_table() -> None:
    link = resolved(asking("10.0.0.5/24", policy_routing=True, gateways=["10.0.0.1", "fe80::1"]), 0, BASE)
    assert words(link) == ["10.0.0.0/24 table 1000", "default via 10.0.0.1 table 1000"]


@pytest.mark.parametrize(("metric", "said"), [(None, "2003"), (50, "50")])
def test_a_default_route_comes_behind_the_hosts_own_unless_a_metric_is_given(
    metric: int | None, said: str
) -> None:
    link = asking(
        "10.0.0.5/24", "fd00::5/64", default_route=True, metric=metric, gateways=["10.0.0.1", "fd00::1"]
    )
    assert words(resolved(link, 3, BASE)) == [
        f"default via 10.0.0.1 metric {said}",
        f"default via fd00::1 metric {said}",
    ]


def test_a_gateway_alone_is_no_route() -> None:
    assert resolved(asking("10.0.0.5/24", gateways=["10.0.0.1"]), 3, BASE).routes == ()


@given(strategies.options)
def test_to_resolve_twice_is_to_resolve_once(options: Options) -> None:
    """What is remembered is resolved; it is resolved again when the database cannot be read."""
    link = resolved(replace(want(1, "10.0.0.5/24", "fd00::5/64"), options=options), 3, BASE)
    assert resolved(link, 3, BASE) == link
    assert all(route.metric is not None for route in link.routes)
    assert len(set(link.routes)) == len(link.routes)


def test_ours_is_what_we_configured_what_has_our_number_and_what_is_in_our_table() -> None:
    kept = found("10.1.0.0/16", via="10.0.0.1")
    ours = [
        found("10.2.0.0/16", via="10.0.0.1", protocol=4),
        found("10.3.0.0/16", protocol=ROUTE_PROTOCOL),
        found("10.4.0.0/16", table=1003, protocol=4),
    ]
    others = [
        found("10.5.0.0/16", protocol=4),
        found("10.0.0.0/24", protocol=2, table=1003),
        found("0.0.0.0/0", protocol=16, via="10.0.0.1"),
        found("10.2.0.0/16", OTHER, via="10.0.0.1"),
    ]
    wish = replace(want(1), routes=(Route(kept.to, kept.via, 0),))
    applied = replace(wish, routes=(*wish.routes, Route(ours[0].to, ours[0].via, 0)))
    host = Observed((MINE, OTHER), (kept, *ours, *others))
    assert routing.stale_routes(MINE, wish, applied, 1003, host) == tuple(ours)
    assert routing.stale_routes(MINE, None, None, 1003, host) == tuple(ours[1:])


def test_a_rule_is_ours_by_number_table_and_priority_or_because_we_made_it() -> None:
    mine, by_service = rule_for("10.0.0.5/32", protocol=ROUTE_PROTOCOL), rule_for("10.0.0.6/32", protocol=4)
    by_hand = rule_for("10.0.0.7/32", protocol=3)
    by_wicked = rule_for("10.0.0.9/32", protocol=0)
    elsewhere = rule_for("10.0.0.8/32", protocol=4, priority=50)
    host = Observed(rules=(mine, by_service, by_wicked, by_hand, elsewhere))
    by_others = (by_service, by_wicked)
    assert routing.stale_rules(3, None, None, 1003, host) == (mine, *by_others)
    assert routing.stale_rules(3, replace(want(1), rules=(mine.rule,)), None, 1003, host) == by_others
    made = replace(want(1), rules=(by_hand.rule,))
    assert by_hand in routing.stale_rules(3, None, made, 1003, host)


def test_an_unasked_default_route_of_a_server_goes_where_the_host_has_a_better_one() -> None:
    leased = found("0.0.0.0/0", via="10.0.0.1", protocol=16, metric=100)
    better, worse = (found("0.0.0.0/0", OTHER, via="10.9.0.1", metric=metric) for metric in (50, 200))
    for others, stale in (((better,), (leased,)), ((worse,), ()), ((), ())):
        host = Observed((MINE, OTHER), (leased, *others))
        assert routing.stale_routes(MINE, asking(dhcp4=True), None, 1003, host) == stale
    host = Observed((MINE, OTHER), (leased, better))
    for wish in (asking(dhcp4=True, default_route=True), None):  # asked for; of a link that is freed
        assert routing.stale_routes(MINE, wish, None, 1003, host) == ()


def test_what_a_router_announced_goes_when_it_is_not_listened_to() -> None:
    default, near = found("::/0", via="fe80::1", protocol=9), found("fd07::/64", protocol=9)
    host = Observed((MINE, OTHER), (default, near, found("::/0", OTHER, via="fe80::1", protocol=9)))

    def stale(**options: Any) -> tuple[ObservedRoute, ...]:
        return routing.stale_routes(MINE, asking("10.0.0.5/24", **options), None, 1003, host)

    assert stale() == (default, near)
    assert stale(accept_ra=True, default_route=True) == ()
    assert stale(accept_ra=True) == (default,)


def test_the_rival_of_a_route_is_another_link_of_the_host() -> None:
    route = Route(ip_network("10.9.0.0/16"), metric=0)
    for there, name in ((found("10.9.0.0/16", OTHER), OTHER.name), (found("10.9.0.0/16"), "")):
        assert routing.rival(route, MINE, Observed((MINE, OTHER), (there,))) == name
    nowhere = ObservedRoute(route.to, None, 0)  # "blackhole"
    assert routing.rival(route, MINE, Observed((MINE, OTHER), (nowhere,))) == ""


def test_a_default_route_is_ours_if_a_row_asks_for_it_whoever_brings_it() -> None:
    leased = found("0.0.0.0/0", via="10.0.0.1", protocol=16)
    by_hand = found("0.0.0.0/0", via="10.0.0.1", protocol=3)
    asked, not_asked = (
        asking("10.0.0.5/24", dhcp4=True, default_route=True),
        asking("10.0.0.5/24", dhcp4=True),
    )
    assert routing.is_ours(leased, MINE, None, asked)
    assert not routing.is_ours(leased, MINE, None, not_asked)
    assert not routing.is_ours(by_hand, MINE, None, asked)


def test_the_table_of_a_slot_above_the_limit_is_kept_for_it_too() -> None:
    link = resolved(asking("10.0.0.5/24", routes=(Route(ip_network("10.9.0.0/16"), table=1003),)), 3, BASE)
    path, problem = routing.table_problem(link, 3, BASE, 2, MINE, Observed((MINE,)))
    assert (path, "multinic3" in problem) == ("options.routes[0].table", True)


@pytest.mark.parametrize(
    ("options", "host", "path"),
    [
        pytest.param({"policy_routing": True}, Observed((MINE,)), "", id="nobody else"),
        pytest.param(
            {"policy_routing": True},
            Observed((MINE, OTHER), (found("10.9.0.0/16", OTHER, table=1003),)),
            "options.policy_routing",
            id="routes of another link",
        ),
        pytest.param(
            {"policy_routing": True},
            Observed((MINE,), (found("10.9.0.0/16", table=1003, protocol=4),)),
            "",
            id="routes of our own link",
        ),
        pytest.param(
            {"policy_routing": True},
            Observed((MINE,), rules=(rule_for("10.7.0.0/16", priority=9),)),
            "options.policy_routing",
            id="a rule of somebody else",
        ),
        pytest.param(
            {"routes": (Route(ip_network("10.9.0.0/16"), table=1007),)},
            Observed((MINE,)),
            "options.routes[0].table",
            id="a table kept for another slot",
        ),
        pytest.param(
            {"routes": (Route(ip_network("10.9.0.0/16"), table=600),)},
            Observed((MINE,), rules=(rule_for("10.7.0.0/16", table=600),)),
            "",
            id="a rule that looks into a table of its own choice",
        ),
    ],
)
def test_tables_of_others_are_not_ours_to_use(options: Any, host: Observed, path: str) -> None:
    link = resolved(asking("10.0.0.5/24", **options), 3, BASE)
    assert routing.table_problem(link, 3, BASE, 10, MINE, host)[0] == path
