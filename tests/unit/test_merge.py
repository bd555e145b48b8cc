"""The options of a row and of its subnet together: which of them count, and what contradicts the link."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multinic.database.rows import desired, parse
from multinic.database.statement import Answer
from multinic.decide.options import KEYS, document
from multinic.decide.parsing import TEXT_MAX
from multinic.values.desired import Desired, DesiredLink, InvalidRow, Options
from tests.unit import strategies
from tests.unit.making import row
from tests.unit.test_options import BAD, EVERYTHING

DUAL = "10.0.0.5/24 fd00::5/64"


def parsed(
    options: Any = None, subnet_options: Any = None, *, subnet: dict[str, Any] | None = None, **columns: Any
) -> DesiredLink | InvalidRow:
    own = {"address": "10.0.0.5/24", "options": _text(options)} | columns
    return parse(row(7, **own), {"options": _text(subnet_options)} | (subnet or {}))


def _text(options: Any) -> Any:
    return json.dumps(options) if isinstance(options, dict) else options


def asked(*arguments: Any, **columns: Any) -> dict[str, Any]:
    link = parsed(*arguments, **columns)
    assert isinstance(link, DesiredLink), link
    return document(link.options)


def refused(*arguments: Any, **columns: Any) -> InvalidRow:
    found = parsed(*arguments, **columns)
    assert isinstance(found, InvalidRow), found
    assert found.message.isprintable()
    assert found.mac is not None  # so that nothing becomes an orphan of it
    return found


@pytest.mark.parametrize(
    ("own", "of_subnet", "both"),
    [
        pytest.param({"dhcp4": True}, None, {"dhcp4": True}, id="of the row"),
        pytest.param(None, {"dhcp4": True}, {"dhcp4": True}, id="of the subnet"),
        pytest.param({"rp_filter": 2}, {"dhcp4": True}, {"dhcp4": True, "rp_filter": 2}, id="of both"),
        pytest.param({"dhcp4": False}, {"dhcp4": True}, {}, id="the row says otherwise"),
        pytest.param({"dhcp4": None}, {"dhcp4": True}, {}, id="the row takes a default away"),
        pytest.param({"metric": None}, {"metric": 5, "dhcp4": True}, {"dhcp4": True}, id="one of two"),
        pytest.param(
            {"dns": {"search": ["a"]}},
            {"dns": {"search": ["b"], "addresses": ["10.0.0.53"]}},
            {"dns": {"search": ["a"]}},
            id="a key is replaced as a whole",
        ),
        pytest.param({"routes": []}, {"routes": [{"to": "10.9.0.0/16"}]}, {}, id="no routes for this one"),
        pytest.param(
            {"metric": 5},
            {"metric": "x", "dhcp4": True, "default_route": True},
            3,
            id="what is replaced is not looked at",
        ),
    ],
)
def test_a_row_overrides_its_subnet_key_by_key(own: Any, of_subnet: Any, both: Any) -> None:
    found = asked(own, of_subnet)
    assert len(found) == both if isinstance(both, int) else found == both


@pytest.mark.parametrize("value", [None, "", "  ", "null", "{}", b"", b"{}"])
def test_an_empty_column_asks_for_nothing(value: Any) -> None:
    assert asked(value, value) == {}


def test_bytes_are_read_like_text() -> None:
    assert asked(b'{"description": "\xc3\xbc"}') == {"description": "ü"}


@pytest.mark.parametrize(
    ("columns", "of_subnet", "own", "subnet_options", "gateway"),
    [
        pytest.param({"gateway": "10.0.0.1"}, {}, None, None, "10.0.0.1", id="column gateway"),
        pytest.param({"gateway_ip": "10.0.0.1"}, {}, None, None, "10.0.0.1", id="column gateway_ip"),
        pytest.param(
            {"gateway": "10.0.0.1", "gateway_ip": "x"}, {}, None, None, "10.0.0.1", id="both columns"
        ),
        pytest.param(
            {"gateway": " ", "gateway_ip": "10.0.0.2"}, {}, None, None, "10.0.0.2", id="one is empty"
        ),
        pytest.param({}, {"gateway_ip": "10.0.0.1"}, None, None, "10.0.0.1", id="of the subnet"),
        pytest.param(
            {"gateway": "10.0.0.2"}, {"gateway": "10.0.0.1"}, None, None, "10.0.0.2", id="row first"
        ),
        pytest.param(
            {"gateway": "10.0.0.2"}, {}, {"gateway": "10.0.0.3"}, None, "10.0.0.3", id="options before column"
        ),
        pytest.param(
            {"gateway": "10.0.0.2"}, {}, None, {"gateway": "10.0.0.3"}, "10.0.0.2", id="near before far"
        ),
        pytest.param(
            {},
            {"gateway": "10.0.0.2"},
            None,
            {"gateway": "10.0.0.3"},
            "10.0.0.3",
            id="subnet's options first",
        ),
        pytest.param({"gateway": "10.0.0.2"}, {}, {"gateway": None}, None, None, id="none, says the row"),
        pytest.param(
            {}, {"gateway": "10.0.0.2"}, {"gateway": None}, None, None, id="none, whatever the subnet"
        ),
        pytest.param(
            {"gateway": "rubbish"}, {}, {"gateway": "10.0.0.3"}, None, "10.0.0.3", id="not looked at"
        ),
        pytest.param({"gateway": "10.0.0.1, fd00::1"}, {}, None, None, "10.0.0.1", id="of a family it lacks"),
        pytest.param({"gateway": "fd00::1"}, {}, None, None, None, id="only of a family it lacks"),
        pytest.param(
            {"gateway": "10.9.9.9", "address": None},
            {},
            {"policy_routing": "off", "default_route": True, "accept_ra": True},
            None,
            None,
            id="no address at all",
        ),
        pytest.param(
            {"address": DUAL, "gateway": "10.0.0.1;fd00::1"},
            {},
            None,
            None,
            ["10.0.0.1", "fd00::1"],
            id="both",
        ),
        pytest.param(
            {"gateway": "172.16.0.1"}, {}, {"dhcp4": True}, None, "172.16.0.1", id="DHCP may reach it"
        ),
    ],
)
def test_the_nearest_gateway_counts(
    columns: dict[str, Any], of_subnet: dict[str, Any], own: Any, subnet_options: Any, gateway: Any
) -> None:
    used = {"policy_routing": "auto"} | (own or {})
    assert asked(used, subnet_options, subnet=of_subnet, **columns).get("gateway") == gateway


@pytest.mark.parametrize(
    ("columns", "of_subnet", "message"),
    [
        ({"gateway": "router"}, {}, "row 7: gateway 'router' is not an IP address"),
        ({"gateway_ip": "fe80::1%eth0"}, {}, "row 7: gateway_ip 'fe80::1%eth0' has a zone"),
        ({}, {"gateway_ip": "10.9.9.9"}, "row 7: multi_subnet.gateway_ip '10.9.9.9' is outside every subnet"),
        ({"gateway": "10.0.0.5"}, {}, "row 7: gateway '10.0.0.5' is an address of this link itself"),
        ({"gateway": "10.0.0.1 10.0.0.2"}, {}, "row 7: gateway […] has two gateways of one family"),
        ({"gateway": "1" * 5000}, {}, "is longer than 4096 characters"),
    ],
)
def test_a_bad_gateway_column_is_named(columns: Any, of_subnet: Any, message: str) -> None:
    found = refused({"default_route": True}, subnet=of_subnet, **columns)
    assert found.reason == "bad-value"
    assert message in found.message


@pytest.mark.parametrize(
    ("options", "columns", "words"),
    [
        pytest.param({"gateway": "10.9.9.1"}, {}, "gateway '10.9.9.1' is outside every", id="outside"),
        pytest.param(
            {"gateway": "10.0.0.1"}, {"address": None}, "gateway '10.0.0.1' is outside", id="no address"
        ),
        pytest.param({"gateway": "fd00::1"}, {}, "gateway 'fd00::1' is outside", id="of the other family"),
        pytest.param({"gateway": "10.0.0.5"}, {}, "is an address of this link itself", id="itself"),
        pytest.param(
            {"gateway": "10.0.0.5", "dhcp4": True}, {}, "of this link itself", id="itself with DHCP"
        ),
        pytest.param(
            {"gateway": ["10.0.0.1", "fd01::1"]}, {"address": DUAL}, "gateway[1] 'fd01::1'", id="second"
        ),
        pytest.param({"gateway": "fe80::1"}, {}, "gateway 'fe80::1' needs an IPv6 address", id="no IPv6"),
        pytest.param({"default_route": True}, {}, "default_route true needs a `gateway`", id="to nowhere"),
        pytest.param(
            {"default_route": True, "dhcp6": True}, {}, "default_route true", id="DHCPv6 has no route"
        ),
        pytest.param(
            {"metric": 5, "dhcp4": True}, {}, "metric 5 belongs to the default route", id="metric of nothing"
        ),
        pytest.param(
            {"policy_routing": "auto", "dhcp4": True},
            {"address": None},
            "policy_routing 'auto' nee",
            id="rules",
        ),
        pytest.param(
            {"dhcp6": True, "link_local": ["ipv4"]}, {}, "dhcp6 true needs an IPv6 link", id="dhcp6"
        ),
        pytest.param({"accept_ra": True, "link_local": []}, {}, "accept_ra true needs an IPv6 link", id="ra"),
        pytest.param(
            {"routes": [{"to": "10.2.0.0/16", "via": "10.9.9.1"}]},
            {},
            "routes[0].via '10.9.9.1' is outside every subnet of this link",
            id="via outside",
        ),
        pytest.param(
            {"routes": [{"to": "10.2.0.0/16", "via": "10.0.0.5", "on_link": True}]},
            {},
            "itself",
            id="via itself",
        ),
        pytest.param(
            {"routes": [{"to": "10.3.0.0/16"}, {"to": "fd02::/16", "via": "fd01::1"}], "dhcp4": True},
            {"address": DUAL},
            "routes[1].via 'fd01::1' is outside",
            id="via outside, DHCP of the other family",
        ),
        pytest.param(
            {"dhcp6": True}, {"mtu": 1000}, "dhcp6 true needs IPv6, and an mtu of 1000", id="mtu, dhcp6"
        ),
        pytest.param({"accept_ra": True}, {"mtu": 1279}, "accept_ra true needs IPv6", id="mtu, accept_ra"),
        pytest.param(
            {"link_local": ["ipv6"]}, {"mtu": 1279}, "link_local […] needs IPv6", id="mtu, link-local"
        ),
        pytest.param({"routes": [{"to": "fd02::/16"}]}, {"mtu": 1279}, "routes", id="mtu, routes"),
    ],
)
def test_what_contradicts_is_named_at_either_level(options: Any, columns: dict[str, Any], words: str) -> None:
    own, of_subnet = refused(options, **columns), refused(None, options, **columns)
    assert own.reason == of_subnet.reason == "bad-options"
    assert own.message.startswith("row 7: options.")
    assert words in own.message
    assert of_subnet.message == own.message.replace("options.", "multi_subnet.options.", 1)


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        pytest.param(
            {"gateway": "fe80::1", "default_route": True}, {"address": DUAL}, id="a link-local gateway"
        ),
        pytest.param({"gateway": "fe80::1", "link_local": ["ipv6"]}, {}, id="with link-local alone"),
        pytest.param(
            {"gateway": "fe80::1", "link_local": []},
            {"address": DUAL},
            id="with an address alone",
        ),
        pytest.param({"default_route": True, "accept_ra": True}, {}, id="a router brings the default route"),
        pytest.param(
            {"gateway": "10.9.9.1", "dhcp4": True}, {"address": None}, id="DHCP may reach the gateway"
        ),
        pytest.param({"gateway": "fd09::1", "accept_ra": True}, {}, id="an advertisement may reach it"),
        pytest.param(
            {"default_route": True, "dhcp4": True, "metric": 5}, {}, id="DHCP brings the default route"
        ),
        pytest.param({"routes": [{"to": "10.2.0.0/16"}]}, {"address": None}, id="a route on the link itself"),
        pytest.param(
            {"routes": [{"to": "10.2.0.0/16", "via": "10.9.9.1", "on_link": True}]}, {}, id="on_link means it"
        ),
        pytest.param({"link_local": ["ipv4"], "dhcp4": True}, {"mtu": 1000}, id="small without IPv6"),
        pytest.param({"dhcp6": True}, {"mtu": 1280}, id="just large enough"),
    ],
)
def test_what_goes_together_is_carried_out(options: Any, columns: dict[str, Any]) -> None:
    assert set(asked(options, **columns)) == set(options)


def test_a_contradiction_of_two_levels_is_named_where_it_is_said() -> None:
    found = refused({"link_local": []}, {"dhcp6": True})
    assert found.message.startswith("row 7: multi_subnet.options.dhcp6 true needs")


def together(*options: dict[str, Any]) -> Desired:
    """Return what a node desires of rows that have an address each in one subnet."""
    columns = ("id", "port_id", "macaddress", "attached_node_name", "netplan_success", "address", "options")
    found = [
        row(number, address=f"10.0.0.{number}/24 fd00::{number}/64", options=json.dumps(one))
        for number, one in enumerate(options, 11)
    ]
    answer = Answer(
        (*columns, "_subnet"), tuple((*(one.get(name) for name in columns), None) for one in found)
    )
    return desired("node1", answer, ignore_deleted_at=False, database="")


ROUTE = {"to": "10.2.0.0/16", "via": "10.0.0.1"}
DEFAULT = {"gateway": "10.0.0.1", "default_route": True}


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        pytest.param(
            {"routes": [ROUTE]},
            {"routes": [{"to": "10.3.0.0/16"}, ROUTE | {"via": "10.0.0.2"}]},
            "options.routes[1].to '10.2.0.0/16' is asked for by row 11 too",
            id="one network through two links",
        ),
        pytest.param(
            {"routes": [{"to": "fd02::/16"}]},
            {"routes": [{"to": "fd02::/16", "metric": 1024}]},
            "options.routes[0].to 'fd02::/16' is asked for by row 11",
            id="the metric that the kernel takes",
        ),
        pytest.param(
            DEFAULT | {"metric": 50},
            {"dhcp4": True, "default_route": True, "metric": 50},
            "options.metric 50 is asked for by row 11 too",
            id="two default routes of one metric",
        ),
        pytest.param(
            {"gateway": "fd00::1", "default_route": True, "metric": 50},
            {"accept_ra": True, "default_route": True, "metric": 50},
            "options.metric 50 is asked for by row 11 too",
            id="one of them by a router",
        ),
    ],
)
def test_a_route_that_two_rows_want_is_carried_out_for_neither(one: Any, other: Any, words: str) -> None:
    found = together(one, other, {"rp_filter": 1})
    assert [link.row_id for link in found.links] == [13]
    assert [row.reason for row in found.invalid] == ["bad-options"] * 2
    assert found.invalid[1].message.startswith(f"row 12: {words}")
    assert "row 12 too, in the same table with the same metric" in found.invalid[0].message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"routes": [ROUTE]}, {"routes": [ROUTE | {"metric": 9}]}, id="another metric"),
        pytest.param({"routes": [ROUTE]}, {"routes": [ROUTE | {"table": 9}]}, id="another table"),
        pytest.param(DEFAULT, DEFAULT, id="default routes with metrics by slot"),
        pytest.param(DEFAULT | {"metric": 5}, DEFAULT | {"metric": 6}, id="default routes of two metrics"),
        pytest.param(
            DEFAULT | {"metric": 5}, DEFAULT | {"metric": 5, "gateway": "fd00::99"}, id="of two families"
        ),
    ],
)
def test_routes_that_the_kernel_tells_apart_are_carried_out(one: Any, other: Any) -> None:
    assert len(together(one, other).links) == 2


@pytest.mark.parametrize(("bad", "words"), BAD.values(), ids=BAD)
def test_bad_options_are_named_at_either_level(bad: dict[str, Any], words: str) -> None:
    own, of_subnet = refused(bad), refused(None, bad)
    assert own.reason == of_subnet.reason == "bad-options"
    assert own.message.startswith("row 7: options")
    assert words in own.message
    assert of_subnet.message == own.message.replace("options", "multi_subnet.options", 1)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[]", id="an array"),
        pytest.param("{" * 9000, id="deep"),
        pytest.param("[" * 8192 + "]" * 8192, id="deep and complete"),
        pytest.param('{"a": ' + "1" * 16000 + "}", id="a long number"),
        pytest.param('{"a": 1, "a": 1}', id="a key twice"),
        pytest.param("x" * 2**20, id="a megabyte"),
        pytest.param(b"\xff\xfe{}", id="no text"),
        pytest.param(5, id="a number"),
        pytest.param('{"dhcp4": NaN}', id="NaN"),
        pytest.param('{"metric": 1e999}', id="more than a float can hold"),
    ],
)
def test_what_is_no_json_object_makes_the_row_invalid(text: Any) -> None:
    for found in (refused(text), refused(None, text)):
        assert found.reason == "bad-options"
        assert len(found.message) < 400


def test_a_document_of_64_routes_fits() -> None:
    routes = [
        {
            "to": f"fd00:{n:x}:1111:2222:3333:4444:5555:0/112",
            "via": "fd00::5555:6666:7777:8888",
            "metric": 1000,
        }
        for n in range(1, 65)
    ]
    assert len(json.dumps({"routes": routes}, indent=2)) < TEXT_MAX
    assert len(asked({"routes": routes}, address="fd00::5/64")["routes"]) == 64


def test_everything_at_once_is_carried_out() -> None:
    assert asked(EVERYTHING, address=DUAL) == EVERYTHING


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.ip_addresses().map(str)
    | strategies.networks.map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), _json, max_size=4) | st.builds(
    lambda options, key, value: document(options) | {key: value},
    strategies.options,
    st.sampled_from(KEYS),
    _json,
)
_columns = _objects.map(json.dumps) | _json.map(json.dumps) | st.text() | st.binary() | _json


@settings(max_examples=300)
@given(own=_columns, of_subnet=_columns, gateway=_columns, mtu=st.sampled_from([None, 1000, 9000]))
def test_whatever_options_hold_it_becomes_a_link_or_a_sentence(
    own: Any, of_subnet: Any, gateway: Any, mtu: int | None
) -> None:
    found = parsed(own, of_subnet, gateway=gateway, address=DUAL if mtu != 1000 else None, mtu=mtu)
    if isinstance(found, InvalidRow):
        assert found.message.isprintable()
        assert found.reason in ("bad-options", "bad-value")
        assert len(found.message) < 600


@settings(max_examples=300)
@given(strategies.options)
def test_whatever_can_be_asked_for_is_either_carried_out_or_contradicts_itself(options: Options) -> None:
    found = parsed(document(options), address=DUAL)
    if isinstance(found, DesiredLink):
        assert found.options == options
    else:
        assert found.reason == "bad-options"
