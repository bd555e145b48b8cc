"""The `options` of a row: what is read, what is refused and where, and that all of it is read back."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.decide.options import KEYS, asked, document, parse
from multinic.decide.parsing import OptionError, read
from multinic.values.desired import Options, Route
from multinic.values.rtnetlink import MAIN_TABLE
from tests.unit import strategies

EVERYTHING: dict[str, Any] = {
    "dhcp4": True,
    "dhcp6": True,
    "accept_ra": True,
    "gateway": ["10.0.0.1", "fd00::1"],
    "default_route": True,
    "metric": 300,
    "routes": [
        {"to": "10.20.0.0/16", "via": "10.0.0.254", "metric": 50, "table": 100, "on_link": True},
        {"to": "fd00:20::/64"},
        {"to": "0.0.0.0/0", "via": "10.0.0.1", "table": 100},
        {"to": "169.254.169.254/32", "via": "10.0.0.2"},
    ],
    "policy_routing": "auto",
    "dns": {"addresses": ["10.0.0.53", "fd00::53"], "search": ["example.org", "lab"]},
    "rp_filter": 0,
    "arp_ignore": 8,
    "arp_announce": 2,
    "link_local": ["ipv4", "ipv6"],
    "ethtool": {"gro": True, "lro": False},
    "txqueuelen": 0,
    "description": "Uplink für Speicher, 'quoted'",
    "lldp": True,
}


def test_every_option_is_read() -> None:
    assert parse(EVERYTHING) == Options(
        dhcp4=True,
        dhcp6=True,
        accept_ra=True,
        gateways=(ip_address("10.0.0.1"), ip_address("fd00::1")),
        default_route=True,
        metric=300,
        routes=(
            Route(ip_network("10.20.0.0/16"), ip_address("10.0.0.254"), 50, 100, True),
            Route(ip_network("fd00:20::/64")),
            Route(ip_network("0.0.0.0/0"), ip_address("10.0.0.1"), table=100),
            Route(ip_network("169.254.169.254/32"), ip_address("10.0.0.2"), table=MAIN_TABLE),
        ),
        policy_routing=True,
        dns=(ip_address("10.0.0.53"), ip_address("fd00::53")),
        search=("example.org", "lab"),
        rp_filter=0,
        arp_ignore=8,
        arp_announce=2,
        link_local=(4, 6),
        ethtool=(("gro", True), ("lro", False)),
        txqueuelen=0,
        description="Uplink für Speicher, 'quoted'",
        lldp=True,
    )
    assert asked(parse(EVERYTHING)) == KEYS == tuple(EVERYTHING)
    assert document(parse(EVERYTHING)) == EVERYTHING


@pytest.mark.parametrize(
    "nothing",
    [
        pytest.param({}, id="no key"),
        pytest.param(dict.fromkeys(KEYS), id="null everywhere"),
        pytest.param({"dhcp4": False, "policy_routing": "off", "routes": [], "dns": {}}, id="the defaults"),
        pytest.param({"gateway": [], "ethtool": {"tx": None}, "dns": {"search": None}}, id="nothing inside"),
    ],
)
def test_what_says_nothing_is_the_default(nothing: dict[str, Any]) -> None:
    assert parse(nothing) == Options()
    assert asked(parse(nothing)) == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"gateway": "FD00:0::1"}, {"gateway": "fd00::1"}),
        ({"gateway": ["10.0.0.1"]}, {"gateway": "10.0.0.1"}),
        (
            {
                "link_local": [
                    "ipv6",
                    "ipv4",
                ][:2]
            },
            {"link_local": ["ipv4", "ipv6"]},
        ),
        ({"link_local": []}, {"link_local": []}),
        ({"dns": {"search": ["Example.ORG.", "example.org"]}}, {"dns": {"search": ["example.org"]}}),
        ({"description": " a b "}, {"description": "a b"}),
        ({"routes": [{"to": "FD00::/16", "via": None}]}, {"routes": [{"to": "fd00::/16"}]}),
    ],
)
def test_a_spelling_does_not_matter(written: dict[str, Any], meant: dict[str, Any]) -> None:
    assert document(parse(written)) == meant


def route(**values: Any) -> dict[str, Any]:
    return {"routes": [values]}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"dhcp": True}, "'dhcp' is not an option; did you mean 'dhcp"),
    "unknown key that is like nothing": ({"\x1b[2J": 1}, r"'\x1b[2J' is not an option; there are dhcp4, "),
    "unknown key in a route": (route(to="10.2.0.0/16", gw="10.0.0.1"), "routes[0] 'gw' is not an option"),
    "unknown key in dns": ({"dns": {"address": []}}, "dns 'address' is not an option; did you mean 'addre"),
    "unknown offload": ({"ethtool": {"tx-gro": True}}, "ethtool 'tx-gro' is not an option"),
    "a text for a boolean": ({"dhcp4": "yes"}, "dhcp4 'yes' is not true or false"),
    "a number for a boolean": ({"dhcp6": 1}, "dhcp6 1 is not true or false"),
    "an object for a boolean": ({"accept_ra": {"a": 1}}, "accept_ra {…} is not true or false"),
    "a boolean for a number": ({"metric": True}, "metric true is not a whole number"),
    "a float for a number": ({"metric": 100.0}, "metric 100.0 is not a whole number"),
    "a text for a number": ({"metric": "100"}, "metric '100' is not a whole number"),
    "metric 0": ({"metric": 0}, "metric 0 is outside 1..4294967295"),
    "metric of 33 bits": ({"metric": 2**32}, "metric 4294967296 is outside"),
    "metric of 4000 digits": ({"metric": 10**4000}, "metric '1000000"),
    "gateway no address": ({"gateway": "router"}, "gateway 'router' is not an IP address"),
    "gateway a number": ({"gateway": 167772161}, "gateway 167772161 is not an IP address"),
    "gateway a network": ({"gateway": "10.0.0.1/24"}, "gateway '10.0.0.1/24' is not an IP address"),
    "gateway with a zone": ({"gateway": "fe80::1%eth0"}, "gateway 'fe80::1%eth0' has a zone"),
    "gateway multicast": ({"gateway": "224.0.0.1"}, "is a multicast address"),
    "gateway unspecified": ({"gateway": "::"}, "gateway '::' is the unspecified address"),
    "gateway loopback": ({"gateway": "127.0.0.1"}, "is a loopback address"),
    "gateway broadcast": ({"gateway": "255.255.255.255"}, "is a reserved address"),
    "gateway of IPv4 in IPv6": ({"gateway": "::ffff:10.0.0.1"}, "write 10.0.0.1"),
    "two gateways of a family": (
        {"gateway": ["10.0.0.1", "10.0.0.2"]},
        "gateway […] has two gateways of one",
    ),
    "three gateways": ({"gateway": ["10.0.0.1", "fd00::1", "fd00::2"]}, "gateway […] has more than 2"),
    "second gateway bad": ({"gateway": ["10.0.0.1", None]}, "gateway[1] null is not an IP address"),
    "default_route a text": ({"default_route": "10.0.0.1"}, "default_route '10.0.0.1' is not true or false"),
    "routes an object": ({"routes": {}}, "routes {} is not an array"),
    "routes of text": ({"routes": ["10.2.0.0/16"]}, "routes[0] '10.2.0.0/16' is not an object"),
    "65 routes": ({"routes": [{"to": f"10.{n}.0.0/16"} for n in range(65)]}, "routes […] has more than 64"),
    "route without to": (route(via="10.0.0.1"), "routes[0] {…} has no `to`"),
    "route to default": (route(to="default", table=7), "routes[0].to 'default' is not a network"),
    "route to everything": (
        route(to="0.0.0.0/0", via="10.0.0.1"),
        "'0.0.0.0/0' is a default route; use `gatew",
    ),
    "route to all of IPv6": (route(to="::/0"), "routes[0].to '::/0' is a default route"),
    "route with host bits": (route(to="10.2.0.1/16"), "has host bits; the network is 10.2.0.0/16"),
    "route without prefix": (route(to="10.2.0.0"), "has no prefix length; 10.2.0.0/32 is one address"),
    "route with a netmask": (route(to="10.2.0.0/255.255.0.0"), "is not a network like"),
    "route with prefix 33": (route(to="10.2.0.0/33"), "routes[0].to '10.2.0.0/33' is not a network"),
    "route with a zone": (route(to="fe80::%x/64"), "routes[0].to 'fe80::%x/64' is not a network"),
    "route to a number": (route(to=10), "routes[0].to 10 is not a network"),
    "route to multicast": (route(to="224.0.0.0/4"), "routes[0].to '224.0.0.0/4' is multicast"),
    "route to IPv6 multicast": (route(to="ff02::/16"), "is multicast"),
    "route to loopback": (route(to="127.0.0.0/8"), "is loopback"),
    "route to IPv6 loopback": (route(to="::1/128"), "is loopback"),
    "route to IPv6 link-local": (route(to="fe80::/64"), "is link-local"),
    "route to unspecified": (route(to="0.0.0.0/32"), "is the unspecified address"),
    "via of the other family": (route(to="10.2.0.0/16", via="fd00::1"), "via 'fd00::1' is not of the family"),
    "via multicast": (route(to="10.2.0.0/16", via="224.0.0.1"), "routes[0].via '224.0.0.1' is a multicast"),
    "via loopback": (route(to="10.2.0.0/16", via="127.0.0.1"), "is a loopback"),
    "on_link without via": (route(to="10.2.0.0/16", on_link=True), "routes[0].on_link true needs `via`"),
    "table 0": (route(to="10.2.0.0/16", table=0), "routes[0].table 0 is outside 1..4294967295"),
    "table default": (route(to="10.2.0.0/16", table=253), "is the kernel's table default; leave `table` out"),
    "table main": (route(to="10.2.0.0/16", table=254), "table 254 is the kernel's table main"),
    "table local": (route(to="10.2.0.0/16", table=255), "table 255 is the kernel's table local"),
    "one route twice": (
        {"routes": [{"to": "10.2.0.0/16"}, {"to": "10.3.0.0/16"}, {"to": "10.2.0.0/16", "via": "10.0.0.1"}]},
        "routes[2].to '10.2.0.0/16' is the network of routes[0] too",
    ),
    "policy routing on": ({"policy_routing": True}, "policy_routing true is not 'off' or 'auto'"),
    "dns an array": ({"dns": ["10.0.0.53"]}, "dns […] is not an object"),
    "dns address a name": ({"dns": {"addresses": ["ns1"]}}, "dns.addresses[0] 'ns1' is not an IP address"),
    "9 dns addresses": ({"dns": {"addresses": [f"10.0.0.{n}" for n in range(1, 10)]}}, "has more than 8"),
    "17 search domains": (
        {"dns": {"search": [f"d{n}" for n in range(17)]}},
        "dns.search […] has more than 16",
    ),
    "search with a blank": ({"dns": {"search": ["a b"]}}, "dns.search[0] 'a b' is not a domain name"),
    "search routing domain": ({"dns": {"search": ["~."]}}, "is not a domain name"),
    "search of nothing": ({"dns": {"search": ["."]}}, "is not a domain name"),
    "search with an underscore": ({"dns": {"search": ["_tcp.org"]}}, "is not a domain name"),
    "search with a hyphen first": ({"dns": {"search": ["-a.org"]}}, "is not a domain name"),
    "search with a long label": ({"dns": {"search": ["a" * 64]}}, "is not a domain name"),
    "search too long": ({"dns": {"search": [".".join(["a" * 60] * 5)]}}, "is not a domain name"),
    "search that is lowered to ASCII": ({"dns": {"search": ["\u212a.org"]}}, "is not a domain name"),
    "rp_filter 3": ({"rp_filter": 3}, "rp_filter 3 is outside 0..2"),
    "rp_filter -1": ({"rp_filter": -1}, "rp_filter -1 is outside 0..2"),
    "arp_ignore 4": ({"arp_ignore": 4}, "arp_ignore 4 is outside 0..3, 8"),
    "arp_announce 3": ({"arp_announce": 3}, "arp_announce 3 is outside 0..2"),
    "link_local a word": ({"link_local": "ipv6"}, "link_local 'ipv6' is not an array"),
    "link_local unknown": ({"link_local": ["ipv5"]}, "link_local[0] 'ipv5' is not 'ipv4' or 'ipv6'"),
    "link_local unhashable": ({"link_local": [[]]}, "link_local[0] [] is not 'ipv4' or 'ipv6'"),
    "offload a word": ({"ethtool": {"tx": "off"}}, "ethtool.tx 'off' is not true or false"),
    "txqueuelen too long": ({"txqueuelen": 1_000_001}, "txqueuelen 1000001 is outside 0..1000000"),
    "description empty": ({"description": ""}, "description '' is not a text"),
    "description of blanks": ({"description": "  "}, "description '  ' is not a text"),
    "description of two lines": ({"description": "a\nb"}, r"description 'a\nb' is not a text of printable"),
    "description with an escape": ({"description": "\x1b[2J"}, "is not a text of printable"),
    "description that turns text around": ({"description": "a\u202eb"}, "is not a text of printable"),
    "description half a character": ({"description": "\ud800"}, "is not a text of printable"),
    "description of 256 bytes": ({"description": "ü" * 128}, "is longer than 255 bytes in UTF-8"),
    "description a number": ({"description": 5}, "description 5 is not a text"),
}


@pytest.mark.parametrize(("bad", "words"), BAD.values(), ids=BAD)
def test_what_is_bad_is_named_with_its_place(bad: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse(bad)
    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[]", "[] is not a JSON object", id="an array"),
        pytest.param('"{}"', "'{}' is not a JSON object", id="a text"),
        pytest.param("1", "1 is not a JSON object", id="a number"),
        pytest.param("true", "true is not a JSON object", id="a boolean"),
        pytest.param("dhcp4: true", "'dhcp4: true' is not JSON", id="YAML"),
        pytest.param('{"dhcp4": tr', "is not JSON", id="cut off"),
        pytest.param('{"dhcp4": true} x', "is not JSON", id="more behind it"),
        pytest.param('{"metric": NaN}', "'NaN' is not a number in JSON", id="NaN"),
        pytest.param('{"metric": -Infinity}', "'-Infinity' is not a number in JSON", id="infinity"),
        pytest.param('{"dhcp4": true, "dhcp4": false}', "'dhcp4' is there twice", id="a key twice"),
        pytest.param('{"dns": {"search": [], "search": []}}', "'search' is there twice", id="twice below"),
        pytest.param(json.dumps({"description": "x" * 2**20}), "longer than 16384 characters", id="1 MB"),
        pytest.param("[" * 16384, "is not JSON", id="deep and cut off"),
        pytest.param('{"a":' * 3000, "is not JSON", id="deep objects, cut off"),
        pytest.param("[" * 8192 + "]" * 8192, "", id="deeply nested arrays"),
        pytest.param('{"dhcp4":' * 1600 + "1" + "}" * 1600, "", id="deeply nested objects"),
        pytest.param("\ufeff{}", "is not JSON", id="a byte order mark"),
        pytest.param('{"description": "a\nb"}', "is not JSON", id="a line end in a text"),
    ],
)
def test_what_is_no_json_object_is_refused_whatever_it_is(text: str, words: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse(read(text))
    assert words in str(refused.value) or "nested too deeply" in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["", "  \n", "null", "{}", " { } "])
def test_an_empty_column_asks_for_nothing(text: str) -> None:
    assert read(text) == {}


def test_a_number_of_any_length_is_refused() -> None:
    with pytest.raises(OptionError):
        parse(read('{"metric": ' + "9" * 16000 + "}"))


@given(strategies.options)
def test_what_is_written_is_read_back(options: Options) -> None:
    written = json.loads(json.dumps(document(options)))
    assert parse(written) == options
    assert tuple(written) == asked(options)


def problem_of(document: dict[str, Any]) -> str:
    try:
        parse(document)
    except OptionError as e:
        return str(e)
    return ""


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_no_value_of_any_key_raises_anything_else(value: Any) -> None:
    for key in KEYS:
        assert problem_of({key: value}).isprintable()
