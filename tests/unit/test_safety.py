"""The safety rules: which link a MAC means, and which links are never touched."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from multinic.decide.safety import Block, free_name, in_use, links_towards, mentions, resolve, vital
from multinic.values.observed import Observed, ObservedAddress, ObservedLink, ObservedRoute
from tests.unit.making import link, mac, observed, route

PLAIN = link(1, "ens5")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        pytest.param(observed(link(2, "ens6")), None, id="not plugged in"),
        pytest.param(observed(PLAIN, link(2, "ens6")), "ens5", id="one link"),
        pytest.param(observed(link(1, "ens5", permanent=None)), "ens5", id="a virtual link"),
        pytest.param(
            observed(link(1, "ens5.7", permanent=None, kind="vlan", index=1), PLAIN), "ens5", id="its VLAN"
        ),
        pytest.param(
            observed(
                link(1, "veth1", permanent=None, kind="veth"), link(1, "br0", permanent=None, kind="bridge")
            ),
            "veth1",
            id="a bridge that took the MAC of its port",
        ),
        pytest.param(
            observed(
                link(2, "ens6", mac=mac(1), permanent=mac(2)), link(1, "ens5", mac=mac(2), permanent=mac(1))
            ),
            "ens5",
            id="permanent address first: two cards that wear each other's",
        ),
        pytest.param(
            observed(PLAIN, link(1, "ens6", permanent=mac(2), index=7, master=9)),
            "ens5",
            id="a bond's second slave wears the first one's",
        ),
        pytest.param(
            observed(PLAIN, link(1, "tap1", permanent=None, kind="tun", index=7)),
            "ens5",
            id="permanent address first: a virtual link has it too",
        ),
        pytest.param(
            observed(link(1, "tap1", permanent=None, kind="tun"), link(1, "ens6", permanent=mac(6), index=7)),
            "tap1",
            id="a card that only wears it comes after a virtual link",
        ),
        pytest.param(
            observed(link(1, "ens5", permanent=mac(9))), "ens5", id="a MAC that was changed by hand"
        ),
        pytest.param(
            observed(link(1, "lan.7", permanent=None, kind="vlan")),
            None,
            id="only a VLAN: that is not the port",
        ),
        pytest.param(
            observed(link(1, "ens5"), link(1, "tap0", kind="ipvtap"), link(1, "ipvl0", kind="ipvlan")),
            "ens5",
            id="ipvlan and ipvtap, which have the permanent address, too",
        ),
        pytest.param(
            observed(
                replace(link(1, "ens5"), index=7),
                replace(link(1, "ens5nsby"), index=8, master=7),
                replace(link(1, "ens6"), index=9, master=7),
            ),
            "ens5",
            id="a failover pair below its master",
        ),
    ],
)
def test_a_mac_means_the_one_real_link_that_has_it(host: Observed, found: str | None) -> None:
    assert getattr(resolve(mac(1), host), "name", None) == found


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(observed(PLAIN, link(1, "ens6", index=7)), id="two cards, one permanent MAC"),
        pytest.param(
            observed(link(1, "veth1", permanent=None), link(1, "veth2", permanent=None, index=7)),
            id="two virtual links",
        ),
        pytest.param(
            observed(
                link(1, "ens6", permanent=mac(6), index=6, master=9),
                link(1, "ens7", permanent=mac(7), index=7, master=9),
            ),
            id="two slaves of a bond that wear its MAC",
        ),
    ],
)
def test_a_mac_that_several_real_links_have_is_ambiguous_and_all_are_named(host: Observed) -> None:
    block = resolve(mac(1), host)
    assert isinstance(block, Block)
    assert block.rule == "ambiguous"
    assert all(found.name in block.message for found in host.links)


UPPER = {
    kind: link(2, f"upper-{kind}", kind=kind, parent=PLAIN.index)
    for kind in ("vlan", "macvlan", "macvtap", "ipvlan", "macsec")
}


@pytest.mark.parametrize(
    ("carrier", "host", "words"),
    [
        pytest.param(PLAIN, {"routes": [route("0.0.0.0/0", PLAIN)]}, "default route", id="default route"),
        pytest.param(PLAIN, {"routes": [route("::/0", PLAIN)]}, "default route", id="IPv6 default route"),
        pytest.param(
            PLAIN,
            {"routes": [route("192.0.2.0/24", PLAIN)]},
            "database (192.0.2.1)",
            id="route to the database",
        ),
        pytest.param(link(1, "ens5", master=9), {}, "part of another link", id="part of a bridge or bond"),
    ],
)
def test_a_link_the_host_depends_on_is_refused_ours_or_not(
    carrier: ObservedLink, host: dict[str, list[object]], words: str
) -> None:
    everything = observed(carrier, **host)  # type: ignore[arg-type]
    for rule in (vital, in_use):
        block = rule(carrier, everything, ip_address("192.0.2.1"))
        assert block is not None
        assert block.rule == "in-use"
        assert words in block.message
        assert carrier.name in block.message


def test_the_bridge_or_bond_above_is_named() -> None:
    port = link(1, "ens5", master=42)
    block = vital(port, observed(port, link(2, "br0", index=42)), None)
    assert block is not None
    assert "part of br0" in block.message


SUSE = "/etc/sysconfig/network"


@pytest.mark.parametrize(
    ("carrier", "others", "foreign", "words"),
    [
        pytest.param(link(1, "ens5", "192.0.2.5/24"), [], {}, "192.0.2.5/24", id="an address of others"),
        pytest.param(link(1, "ens5", "2001:db8::5/64"), [], {}, "2001:db8::5/64", id="an IPv6 address"),
        *(pytest.param(PLAIN, [found], {}, found.name, id=kind) for kind, found in UPPER.items()),
        pytest.param(PLAIN, [], {"/etc/netplan/50.yaml": f"macaddress: {mac(1)}"}, "50.yaml", id="its MAC"),
        pytest.param(PLAIN, [], {"/etc/netplan/50.yaml": "FA-16-3E-00-00-01"}, "50.yaml", id="MAC, dashes"),
        pytest.param(PLAIN, [], {"/etc/netplan/50.yaml": "ethernets:\n  ens5:\n"}, "50.yaml", id="its name"),
        pytest.param(PLAIN, [], {"/etc/netplan/50.yaml": 'set-name: "ens5"'}, "50.yaml", id="a quoted name"),
        pytest.param(PLAIN, [], {f"{SUSE}/ifcfg-ens5": "BOOTPROTO='dhcp'"}, "ifcfg-ens5", id="a file's name"),
    ],
)
def test_a_link_that_others_use_or_configure_is_refused(
    carrier: ObservedLink, others: list[ObservedLink], foreign: dict[str, str], words: str
) -> None:
    block = in_use(carrier, observed(carrier, *others, foreign=foreign), None)
    assert block is not None
    assert block.rule == "in-use"
    assert words in block.message


LINK_LOCAL = ObservedAddress(ip_interface("fe80::1/64"), scope=253)
ADVERTISED = ObservedAddress(ip_interface("2001:db8::1/64"), kernel=True)


@pytest.mark.parametrize(
    ("carrier", "others", "foreign"),
    [
        pytest.param(PLAIN, [], {}, id="a plain link"),
        pytest.param(link(1, "ens5", LINK_LOCAL), [], {}, id="an address of the link itself"),
        pytest.param(link(1, "ens5", ADVERTISED), [], {}, id="an address of the kernel's making"),
        pytest.param(
            PLAIN, [link(2, "far", kind="veth", parent=PLAIN.index)], {}, id="the far end of a veth"
        ),
        pytest.param(PLAIN, [link(2, "ens6.7", kind="vlan", parent=102)], {}, id="a VLAN on another link"),
        pytest.param(
            PLAIN, [], {"/etc/netplan/50.yaml": "ens55: ens5a: my-ens5: ens5.7:"}, id="longer names"
        ),
        pytest.param(PLAIN, [], {"/etc/netplan/50.yaml": f"macaddress: {mac(2)}"}, id="another MAC"),
        pytest.param(PLAIN, [], {f"{SUSE}/ifcfg-my-ens5": "BOOTPROTO='dhcp'"}, id="a longer file name"),
    ],
)
def test_a_link_that_nobody_uses_is_free_to_take(
    carrier: ObservedLink, others: list[ObservedLink], foreign: dict[str, str]
) -> None:
    host = observed(carrier, *others, routes=[route("10.9.0.0/24", carrier)], foreign=foreign)
    assert in_use(carrier, host, ip_address("192.0.2.1")) is None


ENS5, ENS6 = link(1, "ens5"), link(2, "ens6")
LEASED = link(1, "ens5", ObservedAddress(ip_interface("10.9.0.7/24"), leased=True))
MADE_UP = "interface-name=ens5\n[.nmmeta]\nnm-generated=true\n"
MIRROR = f"{MADE_UP}volatile=true\n"
PROFILE = {"/run/NetworkManager/system-connections/Wired connection 1.nmconnection": MADE_UP}
HOST_DEFAULT = route("0.0.0.0/0", ENS6, metric=100)
DHCP_DEFAULT = route("0.0.0.0/0", LEASED, metric=101, protocol=16)
RA_DEFAULT = route("::/0", LEASED, metric=101, protocol=9)


def test_a_link_for_which_networkmanager_made_up_a_connection_is_free_to_take() -> None:
    host = observed(LEASED, ENS6, routes=[HOST_DEFAULT, DHCP_DEFAULT, RA_DEFAULT], foreign=PROFILE)
    assert in_use(LEASED, host, None) is None


@pytest.mark.parametrize(
    ("carrier", "routes", "foreign", "words"),
    [
        pytest.param(LEASED, [], {}, "10.9.0.7/24", id="DHCP of somebody else"),
        pytest.param(
            LEASED, [], {"/run/x": MIRROR}, "10.9.0.7/24", id="somebody else's, seen by the service"
        ),
        pytest.param(LEASED, [], {"/run/x": MADE_UP.replace("5", "6")}, "10.9.0.7/24", id="of another link"),
        pytest.param(
            LEASED,
            [],
            {**PROFILE, "/etc/lan.nmconnection": "interface-name=ens5"},
            "/etc/lan",
            id="also by a file",
        ),
        pytest.param(link(1, "ens5", "10.9.0.7/24"), [], PROFILE, "10.9.0.7/24", id="an address by hand"),
        pytest.param(LEASED, [DHCP_DEFAULT], PROFILE, "default route", id="the only default route"),
        pytest.param(
            LEASED,
            [route("0.0.0.0/0", ENS6, metric=102), DHCP_DEFAULT],
            PROFILE,
            "default route",
            id="the default route that is preferred",
        ),
        pytest.param(
            LEASED,
            [HOST_DEFAULT, route("0.0.0.0/0", LEASED, metric=101)],
            PROFILE,
            "default route",
            id="a default route by hand",
        ),
        pytest.param(
            LEASED,
            [route("0.0.0.0/0", ENS6, metric=102), RA_DEFAULT],
            PROFILE,
            "default route",
            id="an IPv6 default route before that of IPv4",
        ),
        pytest.param(
            LEASED,
            [route("10.0.0.0/8", ENS6, metric=100), RA_DEFAULT],
            PROFILE,
            "default route",
            id="an IPv6 default route where none is of IPv4",
        ),
        pytest.param(
            LEASED,
            [route("::/0", ENS6, metric=100), DHCP_DEFAULT],
            PROFILE,
            "default route",
            id="the only one of IPv4",
        ),
    ],
)
def test_a_made_up_connection_excuses_nothing_but_its_own_leases(
    carrier: ObservedLink, routes: list[ObservedRoute], foreign: dict[str, str], words: str
) -> None:
    block = in_use(carrier, observed(carrier, ENS6, routes=routes, foreign=foreign), None)
    assert block is not None
    assert words in block.message


@pytest.mark.parametrize(
    ("routes", "links"),
    [
        pytest.param([], set(), id="no route"),
        pytest.param([route("0.0.0.0/0", ENS5)], {101}, id="the default route"),
        pytest.param([route("0.0.0.0/0", ENS5), route("192.0.2.0/24", ENS6)], {102}, id="a nearer one"),
        pytest.param([route("192.0.2.1/32", ENS5), route("192.0.2.0/24", ENS6)], {101}, id="the nearest"),
        pytest.param([route("192.0.2.0/24", ENS5), route("192.0.2.0/24", ENS6)], {101, 102}, id="two ways"),
        pytest.param([route("::/0", ENS5)], set(), id="of the other family"),
    ],
)
def test_the_way_to_the_database_is_the_most_specific_route(routes: list[object], links: set[int]) -> None:
    host = observed(ENS5, ENS6, routes=routes)  # type: ignore[arg-type]
    assert links_towards(ip_address("192.0.2.1"), host) == links


@pytest.mark.parametrize(
    ("before", "altnames", "taken", "name"),
    [
        pytest.param("ens5", (), {"multinic0"}, "ens5", id="the name it had"),
        pytest.param("ens5", ("enp5s0",), {"ens5"}, "enp5s0", id="one that udev knows it by"),
        pytest.param("", ("enp5s0",), {"multinic0", "enp5s0"}, "enp5s0", id="its own other name is free"),
        pytest.param("", (), set(), "eth0", id="nothing known"),
        pytest.param("", (), {"eth0", "eth1", "eth3"}, "eth2", id="the next free one"),
        pytest.param("multinic3", (), set(), "eth0", id="never one of ours"),
        pytest.param("a-name-that-is-too-long", (), set(), "eth0", id="never one the kernel refuses"),
        pytest.param(
            "", ("enx-much-too-long-name",), set(), "eth0", id="an alternative name that is too long"
        ),
    ],
)
def test_a_link_that_is_let_go_gets_a_name_that_is_free(
    before: str, altnames: tuple[str, ...], taken: set[str], name: str
) -> None:
    assert free_name(link(1, "multinic0", altnames=altnames), before, taken) == name


def test_a_name_is_looked_for_as_it_is_and_not_as_a_pattern() -> None:
    assert not mentions("ensX5", link(1, "ens.5"))
    assert mentions("a: ens.5", link(1, "ens.5"))
