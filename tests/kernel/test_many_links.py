"""More than ten: what is chosen by slot is distinct for 64 links, and each can go without the others."""

from __future__ import annotations

import json
from collections import defaultdict

from tests.kernel.network import Network, answers
from tests.kernel.node import Node, mac_of

COUNT = 64
ENVIRONMENT = {"MULTINIC_MAX_INTERFACES": str(COUNT)}


def rules(node: Node) -> dict[str, list[tuple[int, str]]]:
    """Return the rules of links of ours: address → (priority, table)."""
    found = defaultdict(list)
    for family in ("-4", "-6"):
        for rule in json.loads(node.namespace.run("ip", family, "-json", "rule").stdout):
            if rule["src"] != "all":
                found[rule["src"]].append((rule["priority"], rule["table"]))
    return dict(found)


def routes(node: Node) -> dict[str, list[tuple[str, str, int]]]:
    """Return the routes of all tables that somebody made: link → (table, to, metric)."""
    found = defaultdict(list)
    for family in ("-4", "-6"):
        shown = node.namespace.run("ip", family, "-json", "route", "show", "table", "all").stdout
        for route in json.loads(shown):
            if route.get("protocol") not in ("kernel", "ra"):
                place = (str(route.get("table", "main")), route["dst"], route.get("metric", 0))
                found[route["dev"]].append(place)
    return {link: sorted(places) for link, places in found.items()}


def test_64_links_have_names_tables_rules_and_metrics_of_their_own(node: Node):
    network = Network(node.namespace)
    for number in range(1, COUNT + 1):
        options = {"policy_routing": "auto", "gateway": [f"10.{number}.0.1"], "default_route": True}
        subnet = {"subnet_id": f"subnet-{number}", "cidr": f"10.{number}.0.0/24"}
        address = f"10.{number}.0.11, fd00:{number}::11/64"
        node.attach(number, address, 1500, **subnet, options=json.dumps(options))
        node.namespace.plug(f"eth{number}", mac_of(number))
    network.switch("last", f"port{COUNT}")
    peer = network.machine(last=f"10.{COUNT}.0.1/24 10.200.0.1/32")
    node.reconcile(env=ENVIRONMENT)

    assert set(node.flags().values()) == {1}
    assert [node.link(n)[0] for n in (1, 2, 10, 11, 64)] == [
        "multinic0",
        "multinic1",
        "multinic9",
        "multinic10",
        "multinic63",
    ]
    ruled, routed = rules(node), routes(node)
    by_slot = [
        (ruled[f"10.{slot + 1}.0.11"], ruled[f"fd00:{slot + 1}::11"], routed[f"multinic{slot}"])
        for slot in range(COUNT)
    ]
    assert all(four == six and len(four) == 1 for four, six, _ in by_slot)
    [priorities, tables] = [[four[0][part] for four, _, _ in by_slot] for part in (0, 1)]
    assert len(set(priorities)) == len(set(tables)) == COUNT
    metrics = []
    for slot, (_, _, places) in enumerate(by_slot):
        own = {to for table, to, _ in places if table == tables[slot]}
        assert own == {"default", f"10.{slot + 1}.0.0/24", f"fd00:{slot + 1}::/64"}
        metrics += [metric for table, to, metric in places if (table, to) == ("main", "default")]
        assert {table for table, _, _ in places} == {tables[slot], "main"}
    assert metrics == sorted(set(metrics))  # the first link leads, and no two are the same to the kernel
    assert len(metrics) == COUNT
    assert answers(peer, f"10.{COUNT}.0.11", "-I", "10.200.0.1")
    assert node.reconcile(env=ENVIRONMENT) == ""

    node.detach(31)
    with node.events() as events:
        node.reconcile(env=ENVIRONMENT)
    assert {event.link for event in events} <= {"", "multinic30", "eth31"}
    assert rules(node) == {
        address: rule for address, rule in ruled.items() if not address.startswith(("10.31.", "fd00:31:"))
    }
    assert routes(node) == {link: places for link, places in routed.items() if link != "multinic30"}
    assert node.link(31) == ("eth31", False, 1500, ())
