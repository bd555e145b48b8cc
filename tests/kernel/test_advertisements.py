"""What a router on a secondary network announces is ignored, unless the row asks for it."""

from __future__ import annotations

import json
import sys

import pytest

from tests.kernel.network import Network, advertising, answers
from tests.kernel.node import ROOT, Node, mac_of, until
from tests.namespaces import Namespace

PREFIX = "fd00:ad:"


@pytest.fixture
def router(node: Node):
    """A router on the network of a node's two ports, one of which has a row or gets one."""
    network = Network(node.namespace)
    node.namespace.plug("eth1", mac_of(1))
    node.namespace.plug("eth2", mac_of(2))
    network.switch("lan", "port1", "port2")
    made = network.router(lan="10.5.0.1/24 fd00:ad::1/64")
    made.run("ip", "address", "add", "2001:db8::1/128", "dev", "lo")
    return made


@pytest.fixture
def announced(node: Node, router: Namespace):
    """A node with one port, on a network whose router announces itself all the time."""
    with advertising(router, "lan"):
        yield node


def hear(node: Node) -> None:
    """Wait until the node's kernel is done with two more advertisements."""

    def heard() -> int:
        counters = node.namespace.run("cat", "/proc/net/dev_snmp6/multinic0").stdout.split()
        return int(counters[counters.index("Icmp6InRouterAdvertisements") + 1])

    before = heard()
    until(lambda: heard() > before + 2)


def learned(node: Node, link: str = "multinic0") -> tuple[list[str], list[str]]:
    """Return the addresses of a link and the targets of its routes that came by advertisements."""
    addresses = [address for address in node.namespace.addresses(link) if address.startswith(PREFIX)]
    show = ["route", "show", "table", "all", "dev", link]
    routes = json.loads(node.namespace.run("ip", "-6", "-json", *show).stdout)
    return addresses, sorted(route["dst"] for route in routes if route.get("protocol") == "ra")


@pytest.mark.parametrize("address", ["10.5.0.11", "10.5.0.11/24, fd00:5::11/64", None])
def test_an_advertisement_brings_neither_address_nor_route(announced, address):
    node = announced
    node.attach(1, address, 1500, cidr="10.5.0.0/24")
    node.reconcile()
    hear(node)
    assert learned(node) == ([], [])
    node.ip("link", "set", "eth2", "up")  # any other link listens to this very router
    until(lambda: all(learned(node, "eth2")))


def test_accept_ra_brings_an_address_but_no_default_route_unless_that_is_asked_for(announced):
    node = announced
    node.attach(1, None, 1500, cidr="10.5.0.0/24", options=json.dumps({"accept_ra": True}))
    node.reconcile()
    until(lambda: learned(node)[0])
    hear(node)
    assert "default" not in learned(node)[1]
    assert node.reconcile() == ""

    options = {"accept_ra": True, "default_route": True, "metric": 3000}
    node.sql("UPDATE multi_interface SET options = %s", json.dumps(options))
    node.reconcile()
    until(lambda: "default" in learned(node)[1])
    (route,) = json.loads(node.namespace.run("ip", "-6", "-json", "route", "show", "default").stdout)
    assert (route["dev"], route["metric"]) == ("multinic0", 3000)
    assert answers(node.namespace, "2001:db8::1")
    assert node.reconcile() == ""

    node.sql("UPDATE multi_interface SET options = NULL, address = '10.5.0.11'")
    node.reconcile()
    hear(node)
    assert learned(node) == ([], [])


OWN = f"{PREFIX}:f816:3eff:fe00:1/64"
"""The address that the first port makes itself from the router's prefix."""


@pytest.mark.parametrize("before", ["link", "row"])
def test_an_address_of_the_row_that_the_link_also_made_itself_stays_when_the_router_is_gone(
    node, router, before
):
    options = json.dumps({"accept_ra": True})
    with advertising(router, "lan", lifetime=4):
        if before == "link":  # it has the address before it has a row
            node.namespace.run("sysctl", "-qw", "net.ipv6.conf.eth1.accept_ra_defrtr=0")
            node.ip("link", "set", "eth1", "up")
            until(lambda: learned(node, "eth1")[0])
        else:
            node.attach(1, None, 1500, cidr=f"{PREFIX}:/64", options=options)
            node.reconcile()
            until(lambda: learned(node)[0])
        node.ip("link", "set", "eth2", "up")
        until(lambda: learned(node, "eth2")[0])
        if before == "link":
            node.attach(1, OWN, 1500, cidr=f"{PREFIX}:/64", options=options)
        else:
            node.sql("UPDATE multi_interface SET address = %s", OWN)
        node.reconcile()
        assert node.flags() == {mac_of(1): 1}
    until(lambda: not learned(node, "eth2")[0])  # that is how long such an address lasts
    assert learned(node)[0] == [OWN]
    node.reconcile()
    assert node.plan()[mac_of(1)]["state"] == "unchanged"


def test_an_address_of_the_row_that_is_about_to_expire_is_kept(node, router):
    """A router that announces a prefix gives even a permanent address a lifetime."""
    node.attach(1, OWN, 1500, cidr=f"{PREFIX}:/64")
    node.reconcile()
    node.ip("address", "change", OWN, "dev", "multinic0", "valid_lft", "600", "preferred_lft", "600")
    (node.root / "run/multinic/converged").unlink()  # the full pass of every five minutes
    assert "which it has only for a time now" in str(node.plan())
    node.reconcile()
    (found,) = [
        one for one in node.namespace.links()["multinic0"]["addr_info"] if OWN.startswith(one["local"])
    ]
    assert found["valid_life_time"] == 0xFFFFFFFF
    assert node.reconcile() == ""


# Before Linux 5.18 no address says who made it: what this kernel says is taken out of its messages.
WHOSE = """\
import json
from multinic.kernel import messages
from multinic.kernel.reader import Reader

class Before518(Reader):
    def _dump(self, kind, *more):
        for payload in super()._dump(kind, *more):
            size = messages.ADDRESS.size
            said = [*messages.attributes_of(payload, size)] if kind == 22 else None
            if said is not None:
                payload = payload[:size] + b"".join(messages.attribute(*one) for one in said if one[0] != 11)
            yield payload

def whose(kernel):
    return sorted((a["address"].hex(), a["kernel"]) for link in kernel.links() for a in link["addresses"])

with Reader() as kernel:
    now = whose(kernel)
messages._is_silent = lambda: True
with Before518() as kernel:
    print(json.dumps([now, whose(kernel)]))
"""


def test_who_made_an_address_is_seen_on_kernels_that_do_not_say_so(announced):
    node = announced
    options = json.dumps({"accept_ra": True})
    node.attach(1, "10.5.0.11/24, fd00:5::11/64", 1500, cidr="10.5.0.0/24", options=options)
    node.reconcile()
    until(lambda: learned(node)[0])
    run = node.namespace.run(sys.executable, "-c", WHOSE, env={"PYTHONPATH": str(ROOT)})
    now, before = json.loads(run.stdout)
    assert {by_kernel for _, by_kernel in now} == {True, False}
    assert before == now
