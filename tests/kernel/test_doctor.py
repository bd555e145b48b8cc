"""`multinic doctor` on real links: who else configures them, and which routes and rules are at stake."""

from __future__ import annotations

import pytest

UNITS = "run/systemd/units/invocation:{}.service"


def have(node, path, text=""):
    """Put a file on the node."""
    where = node.root / path
    where.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    where.write_text(text)


def found(node, check, expect=None):
    """Return level and words of what a check finds."""
    document = node.document("doctor", expect=expect)
    return [
        (item["level"], f"{item['message']} {item['hint']}")
        for item in document["findings"]
        if item["check"] == check
    ]


def test_a_converged_node_has_nothing_to_be_told(converged):
    node = converged(2)
    assert found(node, "interfaces", expect=0) == [("ok", "2 as desired ")]
    assert [level for level, _ in found(node, "owners")] == ["ok"]
    assert [level for level, _ in found(node, "state")] == ["ok"]
    with node.events() as events:
        node.multinic("doctor")
    assert events == []


def test_a_link_that_somebody_else_uses_is_a_problem_with_its_reason(node):
    node.provide(1)
    node.ip("address", "add", "10.9.9.9/24", "dev", "eth1")
    ((level, words),) = found(node, "interfaces", expect=4)
    assert level == "problem"
    assert "link eth1 has the address 10.9.9.9/24, which is not ours" in words


def test_of_a_link_whose_row_is_gone_no_row_is_said_to_be_removed(converged):
    node = converged(2)
    node.namespace.macvlan("upper0", "multinic0")
    node.detach(1)
    (finding,) = [
        item for item in node.document("doctor", expect=4)["findings"] if "upper0" in item["message"]
    ]
    assert finding["hint"] == "take away what needs the link; then it is removed"


def test_a_port_that_is_not_plugged_in_is_a_note(node):
    node.attach(1, "10.0.0.11")
    assert [level for level, _ in found(node, "interfaces", expect=0)] == ["note"]


@pytest.mark.parametrize(
    ("service", "path", "text"),
    [
        pytest.param(
            "systemd-networkd",
            "run/systemd/netif/links/{}",
            "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/20-wired.network\n",
            id="networkd",
        ),
        pytest.param(
            "NetworkManager",
            "run/NetworkManager/devices/{}",
            "[device]\nconnection-uuid=6f\n",
            id="NetworkManager",
        ),
    ],
)
def test_a_service_that_configures_our_link_too_is_a_problem(converged, service, path, text):
    node = converged(1)
    index = node.namespace.links()["multinic0"]["ifindex"]
    have(node, UNITS.format(service))
    have(node, path.format(index), text)
    ((level, words),) = found(node, "owners", expect=4)
    assert level == "problem"
    assert "multinic0" in words


def test_rules_and_routes_that_networkd_would_remove_are_told_with_the_remedy(converged):
    node = converged(1)
    have(node, UNITS.format("systemd-networkd"))
    assert [level for level, _ in found(node, "foreign-routes")] == ["ok"]
    node.ip("rule", "add", "from", "10.1.1.1", "lookup", "100", "priority", "5000")
    node.ip("route", "add", "10.77.0.0/16", "dev", "multinic0", "protocol", "bird")
    ((level, words),) = found(node, "foreign-routes")
    assert level == "warning"
    assert "1 policy rule and 1 route " in words
    have(
        node,
        "etc/systemd/networkd.conf.d/multinic.conf",
        "[Network]\nManageForeignRoutingPolicyRules=no\nManageForeignRoutes=no\n",
    )
    assert [level for level, _ in found(node, "foreign-routes")] == ["ok"]


def test_what_a_person_reads_says_the_same(converged):
    node = converged(1)
    node.ip("address", "add", "10.9.9.9/24", "dev", "multinic0")
    said = node.multinic("doctor").stdout
    assert "1 as desired" in said
    node.attach(2, "10.0.0.300")
    said = node.multinic("doctor", expect=4).stdout
    assert "10.0.0.300" in said
    assert "→ correct that row" in said
