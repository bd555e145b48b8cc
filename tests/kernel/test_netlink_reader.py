"""Our own reader of the kernel's tables against pyroute2, field by field, in a crowded namespace."""

from __future__ import annotations

import json
import sys

import pytest

from tests.kernel.node import ROOT, until

MAC = "fa:16:3e:00:00:01"

# Both programs print the same JSON; they run inside the namespace.
OURS = """\
import json, sys
from multinic.kernel.reader import Reader
with Reader() as kernel:
    links = kernel.links()
    routes = {str(table): kernel.routes(table) for table in map(int, sys.argv[1:])}
    rules = kernel.rules()
addresses = [address for link in links for address in link["addresses"]]
for item in (*rules, *addresses, *(route for found in routes.values() for route in found)):
    assert item.pop("raw")
print(json.dumps([links, routes, rules], default=lambda raw: raw.hex()))
"""

THEIRS = """\
import json, socket, sys
from pyroute2 import IPRoute

def raw(text, family=None):
    if text is None:
        return None
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text).hex()

def mac(text):
    return "" if text is None or text == "00:00:00:00:00:00" or len(text) != 17 else text

def address(item):
    # An alias of IFA_LOCAL for IPv6; IPv4 has both, and differs on a point-to-point link.
    local = item.get_attr("IFA_LOCAL") or item.get_attr("IFA_ADDRESS")
    flags = item.get_attr("IFA_FLAGS") or item["flags"]
    return {
        "link": item["index"],
        "address": raw(local),
        "prefix": item["prefixlen"],
        "scope": item["scope"],
        "tentative": bool(flags & 0x40),
        "dadfailed": bool(flags & 0x08),
        "kernel": (item.get_attr("IFA_PROTO") or 0) in (1, 2, 3),
        "leased": not flags & 0x80,
        "expiring": item.get_attr("IFA_CACHEINFO")["ifa_valid"] < 900,
    }

def link(item):
    info = item.get_attr("IFLA_LINKINFO")
    names = item.get_attr("IFLA_PROP_LIST")
    elsewhere = item.get_attr("IFLA_LINK_NETNSID") is not None
    return {
        "index": item["index"],
        "name": item.get_attr("IFLA_IFNAME"),
        "mac": mac(item.get_attr("IFLA_ADDRESS")),
        "permanent_mac": mac(item.get_attr("IFLA_PERM_ADDRESS")),
        "kind": info.get_attr("IFLA_INFO_KIND") if info else "",
        "up": bool(item["flags"] & 1),
        "carrier": bool(item["flags"] & 0x10000),
        "mtu": item.get_attr("IFLA_MTU"),
        "min_mtu": item.get_attr("IFLA_MIN_MTU"),
        "max_mtu": item.get_attr("IFLA_MAX_MTU"),
        "master": item.get_attr("IFLA_MASTER") or 0,
        "parent": 0 if elsewhere else item.get_attr("IFLA_LINK") or 0,
        "altnames": [name for _, name in names["attrs"]] if names else [],
        "txqueuelen": item.get_attr("IFLA_TXQLEN"),
        "alias": item.get_attr("IFLA_IFALIAS") or "",
    }

def gateway(item):
    via = item.get_attr("RTA_VIA")
    return raw(item.get_attr("RTA_GATEWAY") or (via and via["addr"]))

def routes(items):
    for item in items:
        if item["type"] != 1 or item["flags"] & 0x200:
            continue
        zero = "00" * (4 if item["family"] == socket.AF_INET else 16)
        hops = item.get_attr("RTA_MULTIPATH")
        one = [(item.get_attr("RTA_OIF"), gateway(item))]
        for oif, via in [(hop["oif"], gateway(hop)) for hop in hops] if hops else one:
            yield {
                "to": raw(item.get_attr("RTA_DST")) or zero,
                "prefix": item["dst_len"],
                "via": via,
                "link": oif,
                "table": item.get_attr("RTA_TABLE"),
                "metric": item.get_attr("RTA_PRIORITY") or 0,
                "protocol": item["proto"],
            }

def rules(items):
    for item in items:
        if item["family"] not in (2, 10) or item["action"] != 1:
            continue
        source, target = raw(item.get_attr("FRA_SRC")), raw(item.get_attr("FRA_DST"))
        yield {
            "family": item["family"],
            "source": [source, item["src_len"]] if source else None,
            "destination": [target, item["dst_len"]] if target else None,
            "table": item.get_attr("FRA_TABLE"),
            "priority": item.get_attr("FRA_PRIORITY") or 0,
            "protocol": item.get_attr("FRA_PROTOCOL"),
        }

with IPRoute() as ip:
    addresses = [address(item) for item in ip.get_addr()]
    links = sorted((link(item) for item in ip.get_links()), key=lambda item: item["index"])
    for item in links:
        item["addresses"] = [found for found in addresses if found["link"] == item["index"]]
    tables = {}
    for table in map(int, sys.argv[1:]):
        found = [*ip.get_routes(family=2), *ip.get_routes(family=10)]
        tables[str(table)] = [route for route in routes(found) if table in (0, route["table"])]
    print(json.dumps([links, tables, [*rules(ip.get_rules(family=2)), *rules(ip.get_rules(family=10))]]))
"""

OFTEN = """\
from multinic.values.errors import HostError
from multinic.kernel.reader import Reader
for _ in range(200):
    try:
        with Reader() as kernel:
            names = {link["name"] for link in kernel.links()}
    except HostError as e:
        assert "change faster" in str(e)
    else:
        assert {"plain", "br0"} <= names
"""

CROWD = [
    "link set plain mtu 1450",
    "link set plain txqueuelen 77 alias some-alias",
    "link property add dev plain altname enp7s0 altname a-name-much-longer-than-the-fifteen-of-a-link-name",
    "address add 10.0.0.5/24 dev plain",
    "address add 10.0.0.6/24 dev plain label plain:1",
    "address add 10.0.0.7/32 dev plain scope link",
    "address add 10.1.1.1 peer 10.1.1.2/32 dev plain",
    "address add 169.254.3.3/16 dev plain",
    "address add fd00::5/64 dev plain nodad",
    "address add 2001:db8::7/128 dev plain preferred_lft 0",
    "address add 10.0.0.8/32 dev plain valid_lft 900 preferred_lft 900",
    "address add fe80::1234/64 dev plain nodad",
    "address add fd00::9/64 dev waits",
    "route add default via 10.0.0.1",
    "route add default via 10.0.0.2 metric 77 proto static",
    "route add 10.20.0.0/16 nexthop via 10.0.0.3 weight 2 nexthop dev other weight 1",
    "route add 10.30.0.0/16 via 10.0.0.1 table 1001 metric 5",
    "route add 10.31.0.0/16 via 10.0.0.1 table 99 onlink dev plain",
    "route add 10.32.0.0/16 via inet6 fd00::1 dev plain",
    "nexthop add id 7 via 10.0.0.1 dev plain",
    "nexthop add id 8 via 10.0.0.2 dev plain",
    "nexthop add id 9 group 7/8",
    "route add 10.50.0.0/16 nhid 7",
    "route add 10.51.0.0/16 nhid 9",
    "route add blackhole 10.40.0.0/16",
    "route add unreachable 10.41.0.0/16 table 1001",
    "-6 route add default via fd00::1",
    "-6 route add fd01::/48 via fd00::2 metric 300",
    "-6 route add fd02::/48 nexthop via fd00::3 nexthop via fd00::4",
    "-6 route add fd03::/48 via fd00::1 table 1001",
    "rule add from 10.0.0.5 table 1001 priority 1001",
    "rule add from 10.0.0.0/24 to 10.9.0.0/16 table 99 priority 900",
    "rule add to 10.8.0.0/16 prohibit priority 800",
    "rule add fwmark 7 table 5000 priority 700",
    "-6 rule add from fd00::/64 table 1001 priority 1001",
    "-6 rule add to fd09::/64 table 70000 priority 1002",
]


@pytest.fixture
def crowded(namespace):
    """A namespace with links of many kinds, and with most that an address, a route or a rule can be."""
    for name, mac in (("plain", MAC), ("other", None), ("waits", None), ("port", None), ("down", None)):
        namespace.plug(name, mac, up=name != "down")
    namespace.bridge("br0", "port")
    namespace.macvlan("copy", "other", "fa:16:3e:00:00:99")
    namespace.run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb")
    namespace.run("sysctl", "-qw", "net.ipv6.conf.waits.dad_transmits=60")
    for command in CROWD:
        namespace.run("ip", *command.split())
    # The kernel gives a bridge its own address when its port has told that there is a carrier.
    until(lambda: namespace.links()["br0"]["addr_info"])
    until(
        lambda: (
            not any(
                info.get("tentative")
                for name, link in namespace.links().items()
                for info in link["addr_info"]
                if name != "waits"
            )
        )
    )
    return namespace


def test_it_agrees_with_pyroute2_in_every_field(crowded):
    tables = ["0", "254", "99", "1001", "70000", "4242"]
    environment = {"PYTHONPATH": str(ROOT)}
    ours, theirs = (
        json.loads(crowded.run(sys.executable, "-c", program, *tables, env=environment).stdout)
        for program in (OURS, THEIRS)
    )
    for mine, other in zip(ours[0], theirs[0], strict=True):
        assert mine == other
    assert ours[1].keys() == theirs[1].keys()
    for table in tables:
        key = lambda route: json.dumps(route, sort_keys=True)  # noqa: E731
        assert sorted(ours[1][table], key=key) == sorted(theirs[1][table], key=key)
    assert ours[2] == theirs[2]

    # And there was something to agree about.
    links = {link["name"]: link for link in ours[0]}
    assert links["plain"]["altnames"] == ["enp7s0", "a-name-much-longer-than-the-fifteen-of-a-link-name"]
    assert links["port"]["master"] == links["br0"]["index"]
    assert (links["copy"]["kind"], links["copy"]["parent"]) == ("macvlan", links["other"]["index"])
    assert (links["plain"]["parent"], links["va"]["parent"]) == (0, links["vb"]["index"])
    assert sorted(a["kernel"] for a in links["plain"]["addresses"]) == [False] * 9 + [True]
    assert sorted(a["leased"] for a in links["plain"]["addresses"]) == [False] * 9 + [True]
    assert {a["address"]: a["tentative"] for a in links["waits"]["addresses"]}["fd" + "0" * 29 + "9"]
    assert len([route for route in ours[1]["254"] if route["to"] == "0a140000"]) == 2
    assert [route["to"] for route in ours[1]["1001"]] == ["0a1e0000", "fd030000000000000000000000000000"]
    assert (ours[1]["4242"], ours[1]["70000"]) == ([], [])
    assert [rule for rule in ours[2] if rule["table"] == 70000]


def test_a_table_that_changes_while_it_is_read_is_read_again_or_given_up_with_a_word(crowded):
    """Links come and go all the time; the reader ends, with an answer or with an error of ours."""
    storm = crowded.popen(
        "sh", "-c", "while :; do ip link add s1 type veth peer name s2; ip link del s1; done"
    )
    try:
        crowded.run(sys.executable, "-c", OFTEN, env={"PYTHONPATH": str(ROOT)})
    finally:
        storm.kill()
        storm.wait()


# The routes that matter, of all that there are: parsed one by one, and searched for in the dump.
SEARCHED = """\
import json
from multinic.kernel.reader import OneOf, Reader, Through
with Reader() as kernel:
    ours = {link["index"] for link in kernel.links() if link["name"] == "eth1"}
    def matters(route):
        return route["link"] in ours or route["table"] == 1007
    every = kernel.routes(table=0)
    found = kernel.routes(table=0, wanted=Through(ours, {1007}))
    nothing = kernel.routes(table=0, wanted=Through((), ()))
    links = kernel.links()
    (mac,) = [link["mac"] for link in links if link["name"] == "eth1"]
    named = kernel.links(OneOf([mac]))
assert len(named) < len(links) / 2
assert [link for link in named if link["mac"] == mac] == [link for link in links if link["mac"] == mac]
same = [item for item in every if matters(item)] == [item for item in found if matters(item)]
print(json.dumps([same, len(list(filter(matters, found))), len(found) < len(every) / 2, len(nothing) < 1500]))
"""


def test_of_thousands_of_routes_those_that_matter_are_found_without_looking_at_each(namespace):
    for name in ("eth0", "eth1"):
        namespace.plug(name, up=True)
    pods = [f"link add pod{n} type veth peer name far{n}" for n in range(40)]
    namespace.run("ip", "-batch", "-", input="".join(f"{line}\n" for line in pods))
    lines = [f"route add 10.7.{n // 256}.{n % 256}/32 dev eth0" for n in range(3000)]
    lines += ["route add 10.8.0.1/32 dev eth1", "route add 10.8.0.2/32 dev eth0 table 1007"]
    lines += ["route add 10.8.0.3/32 nexthop dev eth0 nexthop dev eth1"]
    namespace.run("ip", "-batch", "-", input="".join(f"{line}\n" for line in lines))
    namespace.run("ip", "-6", "route", "add", "fd00:8::/64", "dev", "eth1", "metric", "9")
    found = namespace.run(sys.executable, "-c", SEARCHED, env={"PYTHONPATH": str(ROOT)}).stdout
    same, count, fewer, nothing = json.loads(found)
    assert (same, count >= 5, fewer, nothing) == (True, True, True, True)
