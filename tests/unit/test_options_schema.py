"""The published JSON Schema of `options` and the parser agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from multinic.cli import main
from multinic.decide import options
from multinic.decide.parsing import OptionError
from multinic.values.desired import Options
from tests.unit import strategies
from tests.unit.test_options import BAD, EVERYTHING

SCHEMA = json.loads(CliRunner().invoke(main, ["db", "options-schema"]).output)
VALIDATOR = Draft202012Validator(SCHEMA)

# What only the parser knows: JSON Schema reads no addresses, counts no bytes and compares no two places.
BEYOND = {
    "a float for a number",  # 100.0 is an integer to it
    "gateway multicast",
    "gateway unspecified",
    "gateway loopback",
    "gateway broadcast",
    "gateway of IPv4 in IPv6",
    "two gateways of a family",
    "route to everything",
    "route to all of IPv6",
    "route with host bits",
    "route to multicast",
    "route to IPv6 multicast",
    "route to loopback",
    "route to IPv6 loopback",
    "route to IPv6 link-local",
    "route to unspecified",
    "via of the other family",
    "via multicast",
    "via loopback",
    "one route twice",
    "description that turns text around",
    "description half a character",
    "description of 256 bytes",
}


def accepted(document: Any) -> bool:
    try:
        options.parse(document)
    except OptionError:
        return False
    return True


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_knows_every_key_and_no_other() -> None:
    assert tuple(SCHEMA["properties"]) == options.KEYS
    assert tuple(SCHEMA["$defs"]["route"]["properties"]) == options.ROUTE_KEYS
    assert sorted(SCHEMA["properties"]["ethtool"]["properties"]) == sorted(options.OFFLOADS)


@settings(max_examples=300)
@given(strategies.options)
def test_whatever_the_parser_gives_back_the_schema_accepts(found: Options) -> None:
    VALIDATOR.validate(options.document(found))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(EVERYTHING, id="everything"),
        pytest.param({}, id="nothing"),
        pytest.param(dict.fromkeys(options.KEYS), id="null"),
        pytest.param({"dns": {"search": None, "addresses": None}, "ethtool": {"rx": None}}, id="null inside"),
        pytest.param(
            {"routes": [dict.fromkeys(options.ROUTE_KEYS) | {"to": "10.0.0.0/8"}]}, id="null in a route"
        ),
        pytest.param({"gateway": [], "dns": {"search": ["Example.ORG."]}}, id="other spellings"),
        pytest.param({"gateway": "FD00::10.0.0.1"}, id="an IPv4 address in an IPv6 address"),
        pytest.param({"routes": [{"to": "fd00::/064"}]}, id="a prefix length with a zero in front"),
        pytest.param({"description": " " * 254 + "x"}, id="blanks around a text"),
        pytest.param({"description": "\u00e4" * 126 + "'\"\\"}, id="255 bytes"),
    ],
)
def test_what_is_good_is_good_for_both(document: Any) -> None:
    assert accepted(document)
    VALIDATOR.validate(document)


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_the_schema_refuses_as_far_as_it_can(name: str) -> None:
    bad, _ = BAD[name]
    assert not accepted(bad)
    assert VALIDATOR.is_valid(bad) == (name in BEYOND)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 300)
    | st.floats()
    | st.text(max_size=8)
    | st.ip_addresses().map(str)
    | strategies.networks.map(str)
    | st.sampled_from(["auto", "off", "ipv4", "ipv6", "a.b", "A-1.", "10.0.0.0/8", "fd00::/16"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["to", "via", "table", "on_link", "addresses", "search", "rx", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=500)
@given(st.sampled_from(options.KEYS), _json)
def test_whatever_the_parser_accepts_the_schema_accepts(key: str, value: Any) -> None:
    """And so: whatever the schema refuses the parser refuses."""
    if accepted({key: value}):
        VALIDATOR.validate({key: value})


@settings(max_examples=500)
@given(st.data(), strategies.options.map(options.document).filter(bool))
def test_what_is_changed_in_one_place_is_accepted_by_both_or_refused_by_the_parser(
    data: st.DataObject, document: dict[str, Any]
) -> None:
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not isinstance(inner, list | dict) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(_json)
    if accepted(document):
        VALIDATOR.validate(document)
