"""The dashboard where it needs no database and no library of its own: texts, queries, comparisons."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from multinic.dashboard import beside, catalogue, problems
from multinic.dashboard.catalogue import LANGUAGES, chosen, counted, texts
from multinic.dashboard.filters import Filter, Invalid, parse
from multinic.dashboard.gate import _before
from multinic.dashboard.listings import INTERFACES, LISTINGS, NODES
from multinic.dashboard.options import Proxies
from multinic.dashboard.render import environment
from multinic.database.tables import statements
from multinic.values.counts import REASONS
from multinic.values.history import Kind

PAGES = Path(catalogue.__file__).parent / "templates"
FIELD = re.compile(r"%\(\w+\)s")


def english() -> set[str]:
    """Every text of the pages."""
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    found = {text for problem in problems.FIXED for text in (problem.message, problem.hint) if text}
    for page in PAGES.glob("*.html"):
        for _, _, text in environment.extract_translations(page.read_text(encoding="utf-8")):  # type: ignore[attr-defined]
            found |= {part for part in (text if isinstance(text, tuple) else (text,)) if part}
    return found


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_every_text_is_in_every_language_with_its_fields_and_no_other_is(language: str) -> None:
    known = texts(language)
    assert set(known) == english()
    for text, translated in known.items():
        assert sorted(FIELD.findall(text)) == sorted(FIELD.findall(translated)), text
        assert "<" not in translated  # what comes from a catalogue is not escaped


def test_every_reason_has_a_sentence_and_every_kind_of_event_a_word() -> None:
    found = environment("ko").get_template("reasons.html").module
    assert set(found.sentences) == REASONS  # type: ignore[attr-defined]
    words = (
        environment("ko")
        .get_template("macros.html")
        .make_module({"prefix": "", "urlencode": str, "as_of": ""})
    )
    assert {str(kind) for kind in Kind} <= {*found.kinds, *words.words}  # type: ignore[attr-defined]


def test_no_page_translates_what_it_was_given() -> None:
    """`_` takes its text for ours: it would not escape it."""
    for page in PAGES.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"""(?:\b_|\bngettext)\(\s*[^"'\s]""", text), page.name
        assert "safe" not in re.findall(r"\|\s*(\w+)", text), page.name


def test_the_language_is_the_first_of_ours_that_a_browser_names() -> None:
    assert [chosen(word) for word in ("ko-KR,ko;q=0.9,en;q=0.8", "de,en-GB,ko", "fr", "", "ko" * 500)] == [
        "ko", "en", "en", "en", "en",
    ]  # fmt: skip
    assert [counted("en", "node", "nodes", number) for number in (0, 1, 2)] == ["nodes", "node", "nodes"]
    assert counted("ko", "node", "nodes", 2) == counted("ko", "node", "nodes", 1) == "노드"


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=lambda listing: listing.name)
def test_a_list_is_sorted_by_what_has_an_index_alone(listing: Any) -> None:
    table = next(statements(listing.table, "mysql"))
    indexes = [tuple(found.split(", ")) for found in re.findall(r"INDEX \w+ \(([^)]*)\)", table)]
    for columns in listing.orders.values():
        unique = re.search(rf"^\s*{columns[-1]} .*PRIMARY KEY", table, re.MULTILINE)
        assert unique, columns
        # InnoDB ends each index with the primary key.
        assert columns in indexes or columns[:-1] in indexes or columns == (listing.key,), columns


values = st.text(min_size=1, max_size=20).filter(str.strip)


@given(
    search=st.text(max_size=20).map(str.strip),
    states=st.lists(values, unique=True, max_size=3),
    order=st.sampled_from([sign + name for name in INTERFACES.orders for sign in ("", "-")]),
    columns=st.lists(st.sampled_from(list(INTERFACES.columns)), unique=True),
    at=st.lists(st.text(max_size=9) | st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
)
def test_a_query_says_all_that_is_asked(search: str, states: Any, order: str, columns: Any, at: Any) -> None:
    wanted = {"state": tuple(states)} if states else {}
    asked = Filter(INTERFACES, search, wanted, order, 100, tuple(columns))
    asked = replace(asked, after=tuple(at[: len(asked.keys)]))
    assert parse(INTERFACES, parse_qsl(asked.query())) == asked


@given(st.text(max_size=40))
def test_a_place_in_a_list_that_is_none_is_refused(word: str) -> None:
    try:
        found = parse(NODES, [("after", word)])
    except Invalid:
        return
    assert len(found.after) in (0, 1)


def test_a_value_is_wanted_then_not_wanted_then_neither() -> None:
    asked = Filter(INTERFACES)
    assert asked.toggled("state", "failed") == "state=failed"
    one = Filter(INTERFACES, wanted={"state": ("failed",)}, after=("a", 1))
    assert one.toggled("state", "failed") == ""
    assert one.toggled("state", "!failed") == "state=%21failed"
    assert one.toggled("state", "invalid") == "state=failed&state=invalid"
    chips = Filter(INTERFACES, "x", {"state": ("!a",)}).chips()
    assert [chip[:2] for chip in chips] == [("q", "x"), ("state", "!a")]
    assert one.sorted_by("state") == "state=failed&sort=state"


def test_what_others_put_on_a_link_is_no_difference_and_what_is_missing_is() -> None:
    row = {"macaddress": "FA-16-3E-00-00-01", "address": "10.0.0.5, 2001:db8::5/64", "mtu": 1500}

    def differing(addresses: str, mac: str = "fa:16:3e:00:00:01", mtu: int | None = 1500) -> list[str]:
        have = {"mac": mac, "addresses": addresses, "mtu": mtu}
        return [field["field"] for field in beside.compared(have, row, "10.0.0.0/24") if field["differs"]]

    assert differing("10.0.0.5/24 2001:db8::5/64 192.0.2.1/24") == []
    assert differing("10.0.0.5/24") == ["addresses"]
    assert differing("10.0.0.5/16 2001:db8::5/64", "fa:16:3e:00:00:02", None) == ["mac", "addresses", "mtu"]
    assert not any(field["differs"] for field in beside.compared({"mac": "x"}, None, ""))


def test_the_client_is_the_last_address_that_no_proxy_of_ours_has() -> None:
    proxies = Proxies(tuple(map(ip_network, ("127.0.0.1", "10.0.0.0/24", "fd00::/64"))))
    assert _before("192.0.2.1, 198.51.100.7, 10.0.0.1, fd00::7", proxies) == "198.51.100.7"
    assert _before("127.0.0.1, 10.0.1.1", proxies) == "10.0.1.1"
    assert _before("192.0.2.1, unknown", proxies) == "unknown"
    assert _before("127.0.0.1", proxies) == ""
