"""The witness: what a link that is no target of a change lost by it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from multinic.decide.witness import losses
from multinic.values.desired import Rule
from multinic.values.observed import ObservedAddress, ObservedRoute, ObservedRule, Surroundings
from tests.unit.making import link, mac, ready, route

OWN = ready(7, "ens3", "192.0.2.2/24", mtu=1500)
TARGET = ready(1, "ens5", "10.0.0.5/24")
DEFAULT = route("0.0.0.0/0", OWN, "192.0.2.1")
RULE = ObservedRule(Rule(ip_network("10.0.0.0/24"), None, 1001, 100), 2)
TO_TARGET = route("10.9.0.0/24", TARGET)
NOWHERE = ObservedRoute(ip_network("10.7.0.0/16"), None, 0)
BEFORE = Surroundings((OWN, TARGET), (DEFAULT, TO_TARGET), (RULE,))
KERNEL = ObservedAddress(ip_interface("fe80::1/64"), kernel=True)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        pytest.param(
            replace(BEFORE, links=(replace(OWN, name="eth9"), TARGET)),
            "ens3 lost its name (to eth9)",
            id="name",
        ),
        pytest.param(
            replace(BEFORE, links=(replace(OWN, up=False), TARGET)), "ens3 lost its state up", id="up"
        ),
        pytest.param(
            replace(BEFORE, links=(replace(OWN, mtu=9000), TARGET)),
            "ens3 lost its MTU 1500 (to 9000)",
            id="MTU",
        ),
        pytest.param(
            replace(BEFORE, links=(replace(OWN, addresses=()), TARGET)),
            "ens3 lost the address 192.0.2.2/24",
            id="address",
        ),
        pytest.param(
            replace(BEFORE, routes=()),
            "ens3 lost the route to 0.0.0.0/0 via 192.0.2.1 (table 254)",
            id="route",
        ),
        pytest.param(
            replace(BEFORE, routes=(replace(DEFAULT, metric=5),)),
            "ens3 lost the route to 0.0.0.0/0 via 192.0.2.1 (table 254)",
            id="a route that is another one now",
        ),
        pytest.param(replace(BEFORE, rules=()), "the host lost the rule 100 for table 1001", id="rule"),
    ],
)
def test_a_loss_is_seen_and_named(after: Surroundings, told: str) -> None:
    (loss,) = losses(BEFORE, after, {TARGET.index})
    assert str(loss) == told


def test_a_route_that_leads_nowhere_is_nobodys_and_is_missed() -> None:
    """A pod network has such: what is in its block and on no pod shall not leave the host."""
    (loss,) = losses(replace(BEFORE, routes=(*BEFORE.routes, NOWHERE)), BEFORE, {TARGET.index})
    assert str(loss) == "the host lost the route to 10.7.0.0/16 (table 254)"
    assert (loss.link, loss.route) == (None, NOWHERE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(BEFORE, BEFORE, id="nothing"),
        pytest.param(BEFORE, replace(BEFORE, links=(OWN,)), id="a link that vanished"),
        pytest.param(
            BEFORE,
            replace(BEFORE, links=(replace(OWN, mac=mac(9), name="new", mtu=9000), TARGET)),
            id="a link that has the number of one that vanished",
        ),
        pytest.param(
            BEFORE,
            replace(BEFORE, links=(OWN, replace(TARGET, name="multinic0", mtu=9000, addresses=(), up=False))),
            id="what the change was about",
        ),
        pytest.param(BEFORE, replace(BEFORE, routes=(DEFAULT,)), id="a route of what the change was about"),
        pytest.param(
            replace(BEFORE, links=(replace(OWN, addresses=(KERNEL,)), TARGET)),
            replace(BEFORE, links=(replace(OWN, addresses=()), TARGET)),
            id="an address of the kernel's making",
        ),
        pytest.param(
            replace(BEFORE, routes=(replace(DEFAULT, protocol=2), replace(DEFAULT, protocol=9))),
            replace(BEFORE, routes=()),
            id="routes of the kernel's making",
        ),
        pytest.param(
            replace(BEFORE, routes=(replace(DEFAULT, protocol=12), replace(DEFAULT, protocol=186))),
            replace(BEFORE, routes=()),
            id="routes that a routing daemon withdrew",
        ),
        pytest.param(
            replace(BEFORE, links=(replace(OWN, up=False), TARGET)), BEFORE, id="a link that came up"
        ),
        pytest.param(
            replace(BEFORE, routes=(), rules=(), links=(replace(OWN, addresses=()), TARGET)),
            replace(BEFORE, links=(*BEFORE.links, link(3, "cali1"))),
            id="gains of every kind",
        ),
    ],
)
def test_gains_and_the_doings_of_others_are_no_losses(before: Surroundings, after: Surroundings) -> None:
    assert losses(before, after, {TARGET.index}) == ()


def test_a_rule_that_the_change_is_about_is_no_loss() -> None:
    assert losses(BEFORE, replace(BEFORE, rules=()), {TARGET.index}, {RULE.rule}) == ()


def test_a_loss_says_what_gives_it_back() -> None:
    after = Surroundings((replace(OWN, name="x", up=False, mtu=9000, addresses=()),), (), ())
    found = losses(BEFORE, after, {TARGET.index})
    assert [loss.renamed for loss in found if loss.renamed] == ["x"]
    assert [loss.up for loss in found if loss.up] == [True]
    assert [loss.mtu for loss in found if loss.mtu] == [1500]
    assert [loss.address for loss in found if loss.address] == list(OWN.addresses)
    assert [loss.route for loss in found if loss.route] == [DEFAULT]
    assert [loss.rule for loss in found if loss.rule] == [RULE]
    assert {loss.link for loss in found} == {OWN, None}
