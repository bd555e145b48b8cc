"""Every option of a row, by every backend, as the kernel of a booted host shows it.

On each host all cases are configured at once, each on a link of its own, numbered as it stands in CASES. On
their network are a DHCP server, and a router that advertises itself to whoever listens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from multinic.backend import choice
from multinic.host.host import Host as Root
from tests.host.columns import COLUMNS, Column, Host, columns
from tests.host.lan import ROUTER, ROUTER6, advertising, dhcp_server
from tests.host.nspawn import DEFAULT_RULES, Box
from tests.hosts import eventually

V6 = "10.5.0.{host}, fd00:5::{host}/64"
OPTIONS = "--dhcp-range=fd00:5::100,fd00:5::1ff,64,1h", "--dhcp-option=option:dns-server,10.5.0.66"
"""What the DHCP server gives out besides."""


@dataclass(frozen=True)
class Shown:
    """What a host shows of one link."""

    host: Host
    slot: int

    @property
    def name(self) -> str:
        return f"multinic{self.slot}"

    @property
    def link(self) -> dict[str, Any]:
        return self.host.box.links()[self.name]

    def addresses(self, *scopes: str) -> list[str]:
        return [one["local"] for one in self.link["addr_info"] if one["scope"] in (scopes or ("global",))]

    def ip(self, *words: str) -> list[dict[str, Any]]:
        done = self.host.box.run("ip", "-json", *words, check=False)
        # A table in which there was no route yet is an error.
        return list(json.loads(done.stdout or "[]")) if not done.returncode else []

    def routes(self, table: str = "main", family: str = "-4") -> set[tuple[str, str, int]]:
        """Return destination, gateway and metric of the routes through the link, but for the kernel's own.

        Those that lead to a gateway alone are left out where the backend needs them.
        """
        found = self.ip(family, "route", "show", "table", table, "dev", self.name)
        hops = (
            {route["gateway"] for route in found if "gateway" in route} if self.host.column.hop_routes else ()
        )
        return {
            (route["dst"], route.get("gateway", ""), route.get("metric", 0))
            for route in found
            if route.get("protocol") != "kernel" and route["dst"] not in hops
        }

    def defaults(self, family: str = "-4") -> list[tuple[str, int]]:
        """Return gateway and metric of the default routes through the link."""
        return [(via, metric) for to, via, metric in sorted(self.routes(family=family)) if to == "default"]

    def sysctl(self, name: str) -> str:
        path = f"/proc/sys/net/{name}".replace("LINK", self.name)
        return self.host.box.read(path).strip()

    def receives_lldp(self) -> bool:
        """Return whether a packet socket takes LLDP frames from the link (NetworkManager's: from all)."""
        # Of net/packet/af_packet.c: sk RefCnt Type Proto Iface R Rmem User Inode
        rows = [line.split() for line in self.host.box.run("cat", "/proc/net/packet").stdout.splitlines()]
        return any(row[3] in ("88cc", "0003") and row[4] == str(self.link["ifindex"]) for row in rows)

    def resolver(self) -> tuple[set[str], set[str]]:
        """Return the DNS servers and search domains of the link, as its service knows them."""
        box = self.host.box
        if box.kind.service == "NetworkManager":
            fields = "IP4.DNS,IP6.DNS", "IP4.SEARCHES,IP6.SEARCHES"
            texts = [box.run("nmcli", "-g", field, "device", "show", self.name).stdout for field in fields]
            servers, domains = (text.replace("\\:", ":").replace(" | ", " ") for text in texts)
        elif box.kind.service == "wickedd":  # the servers of the whole host
            lines = box.run("cat", "/etc/resolv.conf", check=False).stdout.splitlines()
            servers, domains = " ".join(line.removeprefix("nameserver ") for line in lines), ""
        else:
            state = box.read(f"/run/systemd/netif/links/{self.link['ifindex']}").splitlines()
            found = dict(line.split("=", 1) for line in state if "=" in line)
            servers, domains = found.get("DNS", ""), found.get("DOMAINS", "")
        return set(servers.split()), set(domains.split())


@dataclass(frozen=True)
class Case:
    """One row's options, and what must be true of its link; `address` None: it has none."""

    name: str
    options: dict[str, Any]
    shows: Callable[[Shown], bool]
    address: str | None = "10.5.0.{host}"

    def __str__(self) -> str:
        return self.name


def _leased(shown: Shown) -> bool:
    return all(100 <= ip_address(text).packed[-1] < 200 for text in shown.addresses()) and bool(
        shown.addresses()
    )


def _offload(shown: Shown, line: str) -> bool:
    return line in shown.host.box.run("ethtool", "-k", shown.name).stdout


CASES = (
    Case(
        "nothing",
        {},
        lambda s: not (s.defaults() or s.defaults("-6") or s.addresses("link") or s.receives_lldp()),
    ),
    Case(
        "default route",
        {"gateway": ROUTER, "default_route": True},
        lambda s: s.defaults() == [(ROUTER, 2001)],
    ),
    Case(
        "default routes of both families",
        {"gateway": [ROUTER, ROUTER6], "default_route": True, "metric": 500},
        lambda s: s.defaults() == [(ROUTER, 500)] and s.defaults("-6") == [(ROUTER6, 500)],
        V6,
    ),
    Case("a gateway alone", {"gateway": ROUTER}, lambda s: not s.defaults()),
    Case(
        "routes",
        {
            "routes": [
                {"to": "10.20.0.0/16", "via": ROUTER, "metric": 77},
                {"to": "10.30.0.0/16", "via": "172.16.0.1", "on_link": True},
                {"to": "10.40.0.0/16"},
                {"to": "10.50.0.0/16", "via": ROUTER, "table": 500},
                {"to": "fd00:9::/64", "via": ROUTER6},
            ]
        },
        lambda s: (
            s.routes()
            == {
                ("10.20.0.0/16", ROUTER, 77),
                ("10.30.0.0/16", "172.16.0.1", 0),
                ("10.40.0.0/16", "", 0),
            }
            and s.routes("500") == {("10.50.0.0/16", ROUTER, 0)}
            and s.routes(family="-6") == {("fd00:9::/64", ROUTER6, 1024)}
        ),
        V6,
    ),
    Case(
        "policy routing",
        {"gateway": [ROUTER, ROUTER6], "policy_routing": "auto"},
        lambda s: (
            s.routes("1005") == {("default", ROUTER, 0), ("10.5.0.0/24", "", 0)}
            and s.routes("1005", "-6") == {("default", ROUTER6, 1024), ("fd00:5::/64", "", 1024)}
            and [rule["src"] for rule in s.ip("rule", "show", "table", "1005")] == ["10.5.0.15"]
            and [rule["src"] for rule in s.ip("-6", "rule", "show", "table", "1005")] == ["fd00:5::15"]
            and not s.defaults()
        ),
        V6,
    ),
    Case(
        "dns",
        {"dns": {"addresses": ["10.5.0.53", "fd00:5::53"], "search": ["a.example", "b.example"]}},
        lambda s: s.resolver() == ({"10.5.0.53", "fd00:5::53"}, {"a.example", "b.example"}),
        V6,
    ),
    Case(
        "filters",
        {"rp_filter": 2, "arp_ignore": 1, "arp_announce": 2},
        lambda s: (
            [s.sysctl(f"ipv4/conf/LINK/{key}") for key in ("rp_filter", "arp_ignore", "arp_announce")]
            == ["2", "1", "2"]
        ),
    ),
    Case("link-local off", {"link_local": []}, lambda s: not s.addresses("link"), V6),
    Case("link-local alone", {"link_local": ["ipv6"]}, lambda s: len(s.addresses("link")) == 1, None),
    Case(
        "link-local of IPv4",
        {"link_local": ["ipv4"]},
        lambda s: [text[:8] for text in s.addresses("link")] == ["169.254."],
        None,
    ),
    Case(
        "offloads",
        {"ethtool": {"tso": False, "gro": True}},
        lambda s: _offload(s, "tx-tcp-segmentation: off") and _offload(s, "generic-receive-offload: on"),
    ),
    Case(
        "queue and description",
        {"txqueuelen": 5000, "description": "storage, blüe"},
        lambda s: (s.link["txqlen"], s.link["ifalias"]) == (5000, "storage, blüe"),
    ),
    Case("dhcp4", {"dhcp4": True}, lambda s: _leased(s) and not s.routes() and not s.resolver()[0], None),
    Case(
        "dhcp4 with default route",
        {"dhcp4": True, "default_route": True},
        lambda s: _leased(s) and s.defaults() == [(ROUTER, 2014)],
        None,
    ),
    Case(
        "dhcp6",
        {"dhcp6": True},
        lambda s: bool(s.addresses()) and s.addresses()[0].startswith("fd00:5::1") and not s.defaults("-6"),
        None,
    ),
    Case(
        "accept_ra",
        {"accept_ra": True},
        lambda s: any(text.startswith("fd00:ad:") for text in s.addresses()) and not s.defaults("-6"),
        None,
    ),
    Case(
        "accept_ra with default route",
        {"accept_ra": True, "default_route": True},
        lambda s: (
            any(text.startswith("fd00:ad:") for text in s.addresses())
            and [via[:5] for via, _ in s.defaults("-6")] == ["fe80:"]
        ),
        None,
    ),
    Case("lldp", {"lldp": True}, lambda s: s.receives_lldp()),
)


@dataclass(frozen=True)
class Configured:
    """A host with a link for every case, what was said of it, and the plan of the pass after."""

    host: Host
    said: str
    planned: dict[str, Any]


@pytest.fixture(scope="module")
def configured(column: Column, boxes: Callable[[str], Box]) -> Iterator[Configured]:
    """All cases on one host, configured in one pass."""
    host = Host.clean(boxes(column.kind), column)
    settings = host.box.read("/etc/multinic/multinic.toml")
    host.configure(f"max_interfaces = 32\n{settings}".replace("4s", "15s"))
    for slot, case in enumerate(CASES):
        address = case.address and case.address.format(host=slot + 10)
        host.attach(slot, mtu=None, address=address, options=json.dumps(case.options), link=f"ens{slot + 3}")
    expect = 4 if column.refuses or any(lacks(host, case) for case in CASES) else 0
    with dhcp_server(host.box, *OPTIONS), advertising(host.box):
        said = host.run("reconcile", expect=expect).stderr
        yield Configured(host, said, host.plan(expect=4 if any(lacks(host, case) for case in CASES) else 0))


def lacks(host: Host, case: Case) -> str:
    """Return the option of a case that the backend cannot have on this host; "" if it has all."""
    lacking = choice.named(host.column.backend).lacks(Root(str(host.box.tree)))
    asked = {*case.options, *(f"link_local.{text}" for text in case.options.get("link_local", ()))}
    return next(iter(sorted(asked & lacking.keys())), "")


@pytest.mark.parametrize(
    ("column", "case"),
    [pytest.param(column, case, id=f"{column}-{case}") for column in COLUMNS for case in CASES],
    scope="module",
)
def test_every_option_is_shown_by_the_kernel_or_refused_by_name(configured: Configured, case: Case):
    host, shown = configured.host, Shown(configured.host, CASES.index(case))
    planned = configured.planned[shown.name]
    if lacking := lacks(host, case):
        assert (planned["state"], planned["reason"]) == ("invalid", "unsupported-option")
        assert f"cannot do options.{lacking}" in planned["message"]
    elif case.name in host.column.refuses:
        refusal = f"{shown.name}: failed: {host.column.backend} refuses its file: options."
        assert refusal in configured.said
    else:
        eventually(lambda: case.shows(shown), timeout=20, what=case.name)
        assert (planned["state"], planned["reason"]) == ("unchanged", "converged")


@columns()
def test_options_that_go_leave_nothing_behind(configured: Configured):
    """No route or rule of ours, no variable changed; the addresses stay."""
    host = configured.host
    host.sql("UPDATE multi_interface SET options = NULL")
    with host.box.monitor("eth0") as events:
        host.run("reconcile")
    assert events == []
    for slot, case in enumerate(CASES):
        shown = Shown(host, slot)
        assert CASES[0].shows(shown) or case.address == V6
        assert not shown.routes() | shown.routes(family="-6")
        link = shown.link
        assert (link["txqlen"], link.get("ifalias")) == (1000, None)
        wanted = {text.strip() for text in (case.address or "").format(host=slot + 10).split(",")} - {""}
        wanted = {text.split("/")[0] for text in wanted}
        eventually(lambda shown=shown, wanted=wanted: set(shown.addresses()) == wanted, what=str(wanted))
    for family in ("-4", "-6"):
        assert [
            rule for rule in Shown(host, 0).ip(family, "rule") if rule["priority"] not in DEFAULT_RULES
        ] == []
        assert not Shown(host, 5).routes("1005", family)
        assert not Shown(host, 4).routes("500", family)
    assert Shown(host, 7).sysctl("ipv4/conf/LINK/arp_announce") == "0"
    assert "tcp-segmentation-offload: on" in host.box.run("ethtool", "-k", "multinic11").stdout
    # networkd 247 gives a link that is up no link-local address that it had not, and waits for it for ever.
    waits = "link-local off" if host.column.kind == "bullseye" else ""
    host.settle(*(slot for slot, case in enumerate(CASES) if case.name != waits))
    with host.box.monitor() as events:
        assert host.run("reconcile").stderr == ""
    assert events == []
