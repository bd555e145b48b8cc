"""What is given back is what it was, in every detail that the kernel knows."""

from __future__ import annotations

import re
import sys

import pytest

from tests.kernel.node import ROOT
from tests.namespaces import Namespace

# What an operator, a CNI or a VIP daemon may have put on a link that is not ours.
THERE = [
    "link set eth0 up",
    "address add 10.9.0.5/32 dev eth0",
    "address add 10.8.0.5/24 brd 10.8.0.255 dev eth0 label eth0:7",
    "address add 10.8.0.6/24 dev eth0 noprefixroute valid_lft 3000 preferred_lft 2000",
    "address add 10.7.0.5 peer 10.7.0.6 dev eth0",
    "address add fd08::5/64 dev eth0 nodad",
    # As in clouds that give a host a /32: the gateway is reached by a route of its own, and sorts before it.
    "route add 10.9.0.1 dev eth0",
    "route add default via 10.9.0.1 dev eth0",
    "route add 10.20.0.0/16 via 10.8.0.1 src 10.9.0.5 metric 300 mtu 1400 advmss 1300",
    "route add 10.21.0.0/16 via 10.66.0.1 dev eth0 onlink",
    "route add 10.22.0.0/16 nexthop via 10.8.0.1 weight 3 nexthop via 10.8.0.2",
    "route add 10.23.0.0/16 via inet6 fd08::1 dev eth0",
    "route add 10.24.0.0/24 dev eth0 scope link proto 200",
    "route add 10.25.0.0/24 tos 4 via 10.8.0.1",
    "route add default via 10.8.0.1 table 2004 proto 200",
    "nexthop add id 7 via 10.8.0.3 dev eth0",
    "route add 10.26.0.0/24 nhid 7",
    "-6 route add fd20::/64 via fd08::1 metric 77 pref high",
    "-6 route add fd21::/64 nexthop via fd08::1 nexthop via fd08::2",
    "-6 route add default via fe80::1 dev eth0 table 2004",
    "route add unreachable 10.27.0.0/24",
    "route add blackhole 10.28.0.0/26 proto 80 metric 1024",
    "route add local 0.0.0.0/0 dev lo table 2004 metric 7",
    "-6 route add unreachable fd22::/64 metric 77",
    "rule add fwmark 0x200/0xf00 table 2004 priority 9",
    "rule add fwmark 0x400/0xf00 table 2004 priority 9",
    "rule add not from 10.9.0.0/24 iif eth0 ipproto 6 dport 443 table 2004 priority 50 protocol 200",
    "rule add from all oif pod0 table 2004 priority 51",
    "rule add from 10.9.0.5 uidrange 100-200 table 2004 priority 60",
    "rule add table main suppress_prefixlength 0 priority 70",
    "-6 rule add from fd08::/64 tos 0x10 table 2004 priority 80",
]

GIVE_BACK = """\
import subprocess, sys
from multinic.decide import witness
from multinic.host.host import Host
from multinic.change.give_back import give_back
from multinic.kernel.links import Links
from multinic.kernel.observe import surroundings
before = surroundings()
for command in sys.argv[1:]:
    subprocess.run(["ip", *command.split()], check=True)
losses = witness.losses(before, surroundings(), set())
with Links(Host()) as links:
    give_back(links, losses)
assert losses, "nothing was lost"
assert not witness.losses(before, surroundings(), set()), "not everything is back"
"""


@pytest.fixture
def crowded(namespace: Namespace):
    """A namespace with eth0, and all that may be on it."""
    # No duplicate is looked for: once eth0 was down, its link-local address would be tentative again.
    namespace.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
    namespace.plug("eth0", "52:54:00:00:00:01")
    namespace.plug("pod0", "52:54:00:00:00:02")
    for line in THERE:
        namespace.run("ip", *line.split())
    return namespace


def everything(namespace):
    """Return all addresses, routes and rules, as lines, without what the kernel changes by itself.

    That are ages, next hop objects (gone with their link's state) and the labels of a renamed link.
    """
    namespace.settle()
    lines = []
    for what in ("address show eth0", "route show table all", "-6 route show table all", "rule", "-6 rule"):
        lines += namespace.run("ip", "-oneline", *what.split()).stdout.splitlines()
    without = re.compile(r"nhid 7 |(valid|preferred)_lft \w+ ?| expires \d+sec| eth0(:[0-6])?(?=\\)")
    return sorted(without.sub("", line) for line in lines)


STATIC = [
    "10.20.0.0/16",
    "10.21.0.0/16",
    "10.22.0.0/16",
    "10.23.0.0/16",
    "10.24.0.0/24",
    "10.25.0.0/24 tos 4",
]
RULES = ["9", "9", "50", "51", "60", "70"]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param([f"route delete {to}" for to in STATIC], id="static routes"),
        pytest.param(["route delete 10.26.0.0/24 nhid 7"], id="a route by an object"),
        pytest.param(
            [
                "route delete unreachable 10.27.0.0/24",
                "route delete blackhole 10.28.0.0/26",
                "route delete local 0.0.0.0/0 dev lo table 2004",
                "-6 route delete unreachable fd22::/64",
            ],
            id="routes that lead nowhere",
        ),
        pytest.param(["-6 route delete fd20::/64", "-6 route delete fd21::/64"], id="IPv6 routes"),
        pytest.param(["route flush table 2004", "-6 route flush table 2004"], id="another table"),
        pytest.param([f"rule delete priority {number}" for number in RULES], id="rules"),
        pytest.param(["-6 rule delete priority 80"], id="an IPv6 rule"),
        pytest.param(
            ["rule delete fwmark 0x400/0xf00 priority 9"], id="one of two rules that differ in a mark"
        ),
        pytest.param(["link set eth0 down"], id="down"),
        pytest.param(
            ["link set eth0 down", "link set eth0 name byhand0", "link set byhand0 mtu 1400"], id="name"
        ),
        pytest.param(["-4 address flush dev eth0"], id="IPv4 addresses, and what hangs on them"),
    ],
)
def test_what_was_lost_is_given_back_in_every_detail(crowded, lost):
    before = everything(crowded)
    crowded.run(sys.executable, "-c", GIVE_BACK, *lost, env={"PYTHONPATH": str(ROOT)})
    assert everything(crowded) == before
