"""Rows that mean harm: good values with something in them, values of any type, and texts of every kind."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from multinic.database.rows import parse
from multinic.values.desired import DesiredLink
from tests.unit.making import row

INJECTIONS = (
    *("\n", "\r\n", "\t", "\x00", "\x7f", "\x85", "\x1b[31m", "\x1b]0;title\x07", "\x9b2J"),
    *("\u2028", "\u202e", "\u2066", "\ufeff", "\udcff", "\u0661", "\uff11", "\u212a"),
    *(
        "'",
        '"',
        "\\",
        "`id`",
        "$(id)",
        "${IFS}",
        ";",
        "&&",
        "|",
        ">",
        "<",
        "#",
        " # ",
        "{{ 7*7 }}",
        "{% raw %}",
    ),
    *(": ", "- ", "? ", "!!python/object", "&a", "*a", "{}", "[]", "~", "null", "yes", "%0a", "%eth0"),
    *("0x1f", "0o17", "1e3", "1_0", "+1", "-1", ".5", "\n  dhcp4: true", "\n[Network]\nDHCP=yes\n"),
    *('"\n      gateway4: 10.0.0.1\n      #', "',1); DROP TABLE multi_interface;--"),
)

_signs = st.sampled_from("0123456789abcdefABCDEF:.-/, ;%\n\t\x1b\x00'\"$`#{}[]&*!|>@\\\u0661\u202e")
texts = (
    st.text(max_size=20)
    | st.text(_signs, max_size=40)
    | st.sampled_from(INJECTIONS)
    | st.text(max_size=3).map(lambda text: text * 2000)
)
others = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.binary(max_size=40)
    | st.sampled_from([Decimal("1e3"), datetime(2026, 1, 1), b"\xff" * 5000, "0" * 5000, 10**30])
)


def with_something(good: st.SearchStrategy[str]) -> st.SearchStrategy[str | bytes]:
    """Return good values that have something before, in or after them."""

    @st.composite
    def injected(draw: st.DrawFn) -> str | bytes:
        text = draw(good)
        at = draw(st.sampled_from([len(text), 0, len(text) // 2]))
        text = text[:at] + draw(st.sampled_from(INJECTIONS) | st.text(min_size=1, max_size=2)) + text[at:]
        return text.encode("utf-8", "surrogateescape") if draw(st.booleans()) else text

    return injected()


_MACS = st.builds(
    lambda parts, sign, case: case(sign.join(f"{part:02x}" for part in parts)),
    # 12:34:56:… without quotes is a number in base 60 to some readers of YAML.
    st.tuples(st.sampled_from([0x12, 0x02, 0xFA]), *[st.integers(0, 255)] * 5)
    | st.tuples(*[st.sampled_from([0x12, 0x34, 0x56])] * 6),
    st.sampled_from([":", "-"]),
    st.sampled_from([str.upper, str.lower]),
)
_V4 = st.integers(10 << 24 | 1, (11 << 24) - 2).map(IPv4Address)
_V6 = st.integers(0xFD << 120 | 1, (0xFE << 120) - 1).map(IPv6Address)
_WORDS = st.builds("{}/{}".format, _V4, st.integers(8, 20)) | st.builds(
    "{}/{}".format, _V6, st.integers(1, 128)
)
_ADDRESSES = st.builds(
    lambda sign, found: sign.join(found),
    st.sampled_from([" ", ",", ", ", "\n", ";\t", "\u3000"]),
    st.lists(_WORDS, max_size=4),
)
_GOOD: dict[str, st.SearchStrategy[str]] = {
    "macaddress": _MACS,
    "address": _ADDRESSES | _V4.map(str),
    "mtu": st.integers(1280, 65535).map(str),
    "port_id": st.uuids().map(str) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True),
    "cidr": st.sampled_from(["10.0.0.0/8", "10.1.2.3/8"]),
}

_HARM = {
    name: st.one_of(with_something(good), with_something(good), with_something(good), texts, others)
    for name, good in _GOOD.items()
}
# Python takes any text for the zone of an address.
_ZONES = st.sampled_from(["eth0", *(text for text in INJECTIONS if not set(text) & set(" \t\n\r,;/%"))])
_HARM["address"] |= st.builds("{}%{}/{}".format, _V6, _ZONES, st.integers(1, 128))


# Documents for `options` that nothing in the row contradicts, and texts in all places that hold one.
_NAMES = st.from_regex(r"[A-Za-z0-9]{1,9}(\.[A-Za-z0-9]{1,9}){0,2}", fullmatch=True)
_LINES = st.sampled_from(
    ["uplink", "Speicher für Müller & Söhne", "null", "yes", "1e3", "{{ x }}", "$(id) `id` '\""]
)
_TEXTS: dict[str, st.SearchStrategy[str]] = {
    "gateway": st.just("fe80::1"),
    "to": st.builds("10.{}.0.0/16".format, st.integers(0, 255)),
    "via": _V4.map(str),
    "server": _V4.map(str) | _V6.map(str),
    "domain": _NAMES,
    "description": _LINES | st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30),
    "family": st.sampled_from(["ipv4", "ipv6"]),
    "policy_routing": st.just("off"),
    "key": st.sampled_from(["dhcp4", "rp_filter", "txqueuelen", "metric"]),
}


@st.composite
def option_texts(draw: st.DrawFn) -> Any:
    """Return an `options` column in which at most one text is not good."""
    bad = draw(st.sampled_from(["", *_TEXTS, "document"]))
    if bad == "document":
        return draw(with_something(st.just('{"rp_filter": 2}')) | texts | others)
    text = {
        name: draw(with_something(good).map(_decoded) if name == bad else good)
        for name, good in _TEXTS.items()
    }
    found = {
        "dns": {"addresses": [text["server"]], "search": [text["domain"], "example.org"]},
        "routes": [{"to": text["to"], "via": text["via"], "on_link": True, "table": 7}],
        "gateway": text["gateway"],
        "link_local": ["ipv6", text["family"]],
        "description": text["description"],
        "policy_routing": text["policy_routing"],
        "ethtool": {"tx": False},
        text["key"]: None,
    }
    kept = draw(st.sets(st.sampled_from(sorted(found, key=str)), min_size=1))
    return json.dumps({key: found[key] for key in kept})


def _decoded(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


@st.composite
def rows(draw: st.DrawFn, *, options: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of multi_interface and of multi_subnet; two of them at most are not good.

    `options`: have options too, in one of the tables or in both.
    """
    bad = draw(st.sampled_from([*_GOOD, "", *_GOOD])), draw(st.sampled_from(["", "", *_GOOD]))
    columns = {name: draw(_HARM[name] if name in bad else good) for name, good in _GOOD.items()}
    if draw(st.booleans()):
        columns["mtu"] = draw(st.none() | st.integers(60, 70000))
    cidr = columns.pop("cidr")
    own = row(draw(st.integers(1, 800)), netplan_success=draw(others | texts), **columns)
    if draw(st.integers(0, 19)) == 19:  # 0 is what is drawn most
        own["id"] = draw(others)
    subnet = {"cidr": cidr} if draw(st.integers(0, 9)) < 9 else {}
    for columns in (own, subnet) if options else ():
        if draw(st.booleans()):
            columns["options"] = draw(option_texts())
    return own, subnet


def corpus(count: int, *, options: bool = False) -> list[DesiredLink]:
    """Return what comes through of hostile rows, always the same, no two of one MAC address."""
    found: dict[str, DesiredLink] = {}

    def collect(columns: tuple[dict[str, Any], dict[str, Any]]) -> None:
        link = parse(*columns)
        if isinstance(link, DesiredLink):
            found.setdefault(str(link.mac), link)

    generate = settings(
        max_examples=200,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for number in range(50):
        if len(found) >= count:
            return list(found.values())[:count]
        seed(number)(generate(given(rows(options=options))(collect)))()
    raise AssertionError("too few rows come through for this to mean anything")
