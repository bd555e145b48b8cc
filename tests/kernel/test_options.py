"""Options of a row on real links, and that nothing of them stays when the row goes."""

from __future__ import annotations

import json

import pytest

from multinic.values.fields import LEFT_BEHIND
from tests.kernel.node import Node, mac_of
from tests.snapshot import Snapshot, different

ALL = {
    "gateway": "10.0.0.1",
    "default_route": True,
    "metric": 500,
    "policy_routing": "auto",
    "routes": [
        {"to": "10.20.0.0/16", "via": "10.0.0.2", "metric": 77},
        {"to": "10.30.0.0/16", "via": "172.16.0.1", "on_link": True},
        {"to": "10.40.0.0/16"},
        {"to": "fd00:9::/64", "via": "fd00::1", "table": 500},
    ],
    "rp_filter": 2,
    "arp_ignore": 1,
    "arp_announce": 2,
    "ethtool": {"tso": False, "gro": True},
    "txqueuelen": 5000,
    "description": "storage, blüe",
}


def attach(node: Node, options: object, address: str = "10.0.0.11/24, fd00::11/64") -> None:
    node.attach(1, address, 1500, options=json.dumps(options))
    node.namespace.plug("eth1", mac_of(1))


def configured(node: Node, options: object) -> Snapshot:
    """Attach a port with these options, configure it, and return how everything is then."""
    attach(node, options)
    node.reconcile()
    return node.everything()


def lines(node: Node, *what: str) -> list[str]:
    return [" ".join(line.split()) for line in node.namespace.run("ip", *what).stdout.splitlines()]


def test_every_option_is_on_the_link_and_then_nothing_happens(node: Node) -> None:
    attach(node, ALL)
    node.reconcile()
    node.namespace.settle()
    assert {
        "default via 10.0.0.1 dev multinic0 proto 114 metric 500",
        "10.20.0.0/16 via 10.0.0.2 dev multinic0 proto 114 metric 77",
        "10.30.0.0/16 via 172.16.0.1 dev multinic0 proto 114 onlink",
        "10.40.0.0/16 dev multinic0 proto 114 scope link",
    } <= set(lines(node, "route"))
    assert lines(node, "-6", "route", "show", "table", "500") == [
        "fd00:9::/64 via fd00::1 dev multinic0 proto 114 metric 1024 pref medium"
    ]
    assert lines(node, "route", "show", "table", "1000") == [
        "default via 10.0.0.1 dev multinic0 proto 114",
        "10.0.0.0/24 dev multinic0 proto 114 scope link",
    ]
    assert "1000: from 10.0.0.11 lookup 1000 proto 114" in lines(node, "rule")
    assert "1000: from fd00::11 lookup 1000 proto 114" in lines(node, "-6", "rule")
    link = node.namespace.links()["multinic0"]
    assert (link["txqlen"], link["ifalias"]) == (5000, "storage, blüe")
    for name, value in (("rp_filter", "2"), ("arp_ignore", "1"), ("arp_announce", "2")):
        path = f"net.ipv4.conf.multinic0.{name}"
        assert node.namespace.run("sysctl", "-n", path).stdout.strip() == value
    offloads = node.namespace.run("ethtool", "-k", "multinic0").stdout
    assert "tx-tcp-segmentation: off" in offloads
    assert "generic-receive-offload: on" in offloads
    assert node.plan()[mac_of(1)]["state"] == "unchanged"
    (node.root / "run/multinic/converged").unlink()
    for _ in range(2):  # a pass that looks at everything, and one that takes its word
        with node.events() as events:
            said = node.reconcile()
        assert (events, said) == ([], "")


def test_a_removed_row_leaves_no_rule_no_route_and_no_variable_changed(node: Node) -> None:
    attach(node, ALL)
    before = node.everything()
    node.reconcile()
    assert different(before, node.everything())
    node.detach(1)
    node.multinic("apply", "--yes", "--allow-mass-delete")
    assert different(before, node.everything()) == {}


def test_options_that_go_are_set_back_and_the_rest_stays(node: Node) -> None:
    before = configured(node, {})
    node.sql("UPDATE multi_interface SET options = %s", json.dumps(ALL))
    node.reconcile()
    assert different(before, node.everything())
    node.sql("UPDATE multi_interface SET options = NULL")
    node.reconcile()
    assert different(before, node.everything()) == {}
    assert node.record()[mac_of(1)]["tuning_before"].keys() == LEFT_BEHIND


def test_a_rollback_takes_all_of_it_back(node: Node) -> None:
    before = configured(node, {})
    node.sql("UPDATE multi_interface SET options = %s", json.dumps(ALL))
    node.reconcile()
    node.multinic("rollback")
    assert different(before, node.everything()) == {}


def test_a_change_that_fails_takes_all_of_it_back(node: Node) -> None:
    before = configured(node, {})
    # Of the same metric in the same table only one route can be: that one is somebody else's.
    node.namespace.plug("own", up=True)
    node.ip("address", "add", "192.168.7.2/24", "dev", "own")
    node.ip("route", "add", "10.40.0.0/16", "via", "192.168.7.1")
    there = node.everything()
    node.sql("UPDATE multi_interface SET options = %s", json.dumps(ALL))
    said = node.reconcile(expect=4)
    assert "route (none) → 10.40.0.0/16" in said
    assert different(there, node.everything()) == {}
    node.namespace.unplug("own")
    assert different(before, node.everything()) == {}


@pytest.mark.parametrize(
    "drift",
    [
        "rule del from 10.0.0.11 table 1000",
        "route del 10.20.0.0/16",
        "route del default table 1000",
        "link set multinic0 txqueuelen 7",
        "link set multinic0 alias other",
        "link set multinic0 down",
        "route add 10.99.0.0/16 dev multinic0 table 1000",
        "rule add from 10.7.7.7 table 1000 priority 1000 protocol 114",
    ],
)
def test_what_drifted_is_put_right_at_once(node: Node, drift: str) -> None:
    before = configured(node, ALL)
    node.reconcile()
    node.ip(*drift.split())
    if drift.endswith("down"):
        node.namespace.run("sysctl", "-qw", "net.ipv6.conf.multinic0.disable_ipv6=0")
    assert node.plan()[mac_of(1)]["reason"] == "drift"
    node.reconcile()
    assert different(before, node.everything()) == {}


@pytest.mark.parametrize(
    ("drift", "back"),
    [
        (("sysctl", "-qw", "net.ipv4.conf.multinic0.rp_filter=1"), "rp_filter 1 → 2"),
        (("ethtool", "-K", "multinic0", "tso", "on"), "ethtool.tso on → off"),
        (("sysctl", "-qw", "net.ipv6.conf.multinic0.accept_ra=1"), "accept_ra 1 → 0"),
    ],
)
def test_a_variable_that_drifted_is_put_right_at_once(node: Node, drift: tuple[str, ...], back: str) -> None:
    before = configured(node, ALL)
    node.reconcile()
    node.namespace.run(*drift)
    assert back in node.reconcile()
    assert different(before, node.everything()) == {}


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        (
            {"dhcp4": True},
            "unsupported-option",
            "backend netlink cannot do options.dhcp4: netlink alone has no DHCP",
        ),
        ({"dns": {"addresses": ["10.0.0.1"]}}, "unsupported-option", "cannot do options.dns"),
        ({"link_local": ["ipv4"]}, "unsupported-option", "cannot do options.link_local.ipv4"),
        ({"routes": [{"to": "10.9.0.0/16", "table": 1003}]}, "table-in-use", "policy routing of multinic3"),
        (
            {"routes": [{"to": "10.9.0.0/16", "table": 600}]},
            "table-in-use",
            "600 has routes through link multinic-own",
        ),
        ({"gateway": "10.9.9.9", "default_route": True}, "bad-options", "options.gateway '10.9.9.9'"),
    ],
)
def test_what_cannot_be_had_is_invalid_with_its_path_and_reason(
    node: Node, options: object, reason: str, words: str
) -> None:
    node.namespace.plug("multinic-own", up=True)
    node.ip("address", "add", "192.168.7.2/24", "dev", "multinic-own")
    node.ip("route", "add", "10.8.0.0/16", "via", "192.168.7.1", "table", "600")
    attach(node, options)
    node.attach(2, "10.0.1.12/24", options=None, subnet_id="subnet-2", cidr="10.0.1.0/24")
    node.namespace.plug("eth2", mac_of(2))
    node.reconcile(expect=4)
    planned = node.plan(expect=4)
    found = planned[mac_of(1)]
    assert (found["state"], found["reason"]) == ("invalid", reason)
    assert words in found["message"]
    assert node.link(1) == ("eth1", False, 1500, ())
    assert planned[mac_of(2)]["state"] == "unchanged"


def test_a_gateway_of_a_subnet_that_is_wrong_costs_only_who_uses_it(node: Node) -> None:
    node.sql("ALTER TABLE multi_subnet ADD COLUMN gateway_ip TEXT")
    node.provide(2)
    node.sql("UPDATE multi_subnet SET gateway_ip = '10.9.9.9'")
    options = '{"policy_routing": "auto"}'
    node.sql("UPDATE multi_interface SET options = %s WHERE macaddress = %s", options, mac_of(2))
    planned = {item["mac"]: item for item in node.document("reconcile", expect=4)["interfaces"]}
    assert planned[mac_of(1)]["state"] == "converged"
    assert "gateway_ip '10.9.9.9' is outside every subnet" in planned[mac_of(2)]["message"]


def test_a_single_address_has_its_gateway_on_the_link(node: Node) -> None:
    attach(node, {"gateway": ["10.9.9.9", "fd09::9"], "default_route": True}, "10.0.0.11/32, fd00::11/128")
    node.reconcile()
    node.namespace.settle()
    assert "default via 10.9.9.9 dev multinic0 proto 114 metric 2000 onlink" in lines(node, "route")
    assert any(line.startswith("default via fd09::9 dev multinic0") for line in lines(node, "-6", "route"))
    assert node.reconcile() == ""


def test_what_the_kernel_minds_is_in_the_message(node: Node) -> None:
    node.namespace.plug("own", up=True)
    node.ip("address", "add", "10.9.9.9/32", "dev", "own")
    attach(node, {"routes": [{"to": "10.20.0.0/16", "via": "10.9.9.9", "on_link": True}]})
    assert "Invalid argument (Nexthop has invalid gateway" in node.reconcile(expect=4)


def test_a_table_of_policy_routing_that_somebody_else_uses_is_not_taken(node: Node) -> None:
    node.ip("rule", "add", "fwmark", "7", "lookup", "1000", "priority", "50")
    attach(node, {"policy_routing": "auto"})
    found = node.plan(expect=4)[mac_of(1)]
    assert (found["reason"], "priority 50" in found["message"]) == ("table-in-use", True)
    node.reconcile(env={"MULTINIC_ROUTING_TABLE_BASE": "5000"})
    assert "1000: from 10.0.0.11 lookup 5000 proto 114" in lines(node, "rule")


def test_a_variable_that_all_links_overrule_is_told(node: Node) -> None:
    attach(node, {"rp_filter": 0})
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
    found = node.plan(expect=4)[mac_of(1)]
    assert (found["state"], found["reason"]) == ("invalid", "overruled")
    assert "net.ipv4.conf.all.rp_filter is 1" in found["message"]


def test_a_default_route_of_ours_does_not_block_later_changes(node: Node) -> None:
    node.namespace.plug("own", up=True)
    node.ip("address", "add", "192.168.7.2/24", "dev", "own")
    node.ip("route", "add", "default", "via", "192.168.7.1")
    attach(node, {"gateway": "10.0.0.1", "default_route": True})
    node.reconcile()
    assert "default via 10.0.0.1 dev multinic0 proto 114 metric 2000" in lines(node, "route")
    node.sql("UPDATE multi_interface SET mtu = 1400")
    node.reconcile()
    assert node.link(1) == ("multinic0", True, 1400, ("10.0.0.11/24", "fd00::11/64"))
    node.detach(1)
    node.multinic("apply", "--yes", "--allow-mass-delete")
    assert lines(node, "route") == [
        "default via 192.168.7.1 dev own",
        "192.168.7.0/24 dev own proto kernel scope link src 192.168.7.2",
    ]


def test_an_address_that_moves_to_another_port_keeps_a_rule(node: Node) -> None:
    attach(node, {"policy_routing": "auto"})
    node.reconcile()
    node.detach(1)
    node.attach(2, "10.0.0.11/24, fd00::11/64", options='{"policy_routing": "auto"}')
    node.namespace.plug("eth2", mac_of(2))
    node.multinic("apply", "--yes", "--allow-mass-delete", env={"MULTINIC_MAX_INTERFACES": "1"})
    assert node.link(2) == ("multinic0", True, 1500, ("10.0.0.11/24", "fd00::11/64"))
    assert [line for line in lines(node, "rule") if "1000" in line] == [
        "1000: from 10.0.0.11 lookup 1000 proto 114"
    ]


def test_sixty_four_interfaces_have_tables_and_metrics_of_their_own(node: Node) -> None:
    environment = {"MULTINIC_MAX_INTERFACES": "64"}
    options = '{"policy_routing": "auto", "default_route": true, "gateway": "10.0.%d.1"}'
    for number in range(1, 65):
        subnet = {"subnet_id": f"subnet-{number}", "cidr": f"10.0.{number}.0/24"}
        node.attach(number, f"10.0.{number}.9", 1500, options=options % number, **subnet)
        node.namespace.plug(f"x{number}", mac_of(number))
    node.reconcile(env=environment)
    rules = [line for line in lines(node, "rule") if "10.0." in line]
    assert rules == [f"{999 + n}: from 10.0.{n}.9 lookup {999 + n} proto 114" for n in range(1, 65)]
    assert lines(node, "route", "show", "default") == [
        f"default via 10.0.{n}.1 dev multinic{n - 1} proto 114 metric {1999 + n}" for n in range(1, 65)
    ]
    node.detach(20)
    node.reconcile(env=environment)
    assert [line for line in lines(node, "rule") if "10.0." in line] == [
        r for r in rules if " 10.0.20.9 " not in r
    ]
    assert lines(node, "route", "show", "table", "1019") == []


@pytest.mark.parametrize(
    "lost",
    [
        ["route", "del", "10.77.0.0/16", "dev", "multinic0"],
        ["route", "del", "10.78.0.0/16", "dev", "multinic0", "table", "500"],
        ["-6", "route", "del", "fd77::/64", "dev", "multinic0"],
        ["route", "del", "default", "table", "1000"],
        ["rule", "del", "from", "10.0.0.11", "table", "1000"],
    ],
    ids=" ".join,
)
def test_a_route_that_somebody_takes_away_is_back_with_the_pass_after_an_idle_one(
    node: Node, lost: list[str]
) -> None:
    routes = [
        {"to": "10.77.0.0/16", "via": "10.0.0.1"},
        {"to": "10.78.0.0/16", "via": "10.0.0.1", "table": 500},
        {"to": "fd77::/64", "via": "fd00::1"},
    ]
    attach(node, {"policy_routing": "auto", "gateway": "10.0.0.1", "routes": routes})

    def tables() -> list[list[str]]:
        routes = ("route", "show", "table", "all")
        return [sorted(lines(node, *what)) for what in (routes, ("-6", *routes), ("rule",))]

    node.reconcile()
    node.namespace.settle()
    before, files = tables(), node.files()
    node.reconcile()
    assert node.files() == files, "an idle pass writes nothing"
    node.ip(*lost)
    assert tables() != before
    node.reconcile()
    assert tables() == before


def test_a_damaged_memory_of_the_last_pass_costs_a_full_pass_and_nothing_else(node: Node) -> None:
    attach(node, {"policy_routing": "auto", "gateway": "10.0.0.1", "rp_filter": 2})
    node.reconcile()
    node.namespace.settle()
    node.reconcile()
    memory, links = node.root / "run/multinic/converged", node.links()
    whole = memory.read_text().splitlines()
    for number in range(len(whole)):
        for text in ("", "a b=|c|d", "9" * 30):
            memory.write_text("\n".join([*whole[:number], text, *whole[number + 1 :]]) + "\n")
            assert node.reconcile() == "", (whole[number], text)
            assert node.links() == links
