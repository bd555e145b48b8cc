"""Text of others on its way to people: nothing of it acts on a terminal, a log or a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.values.text import counted, printable, shown


@given(st.text())
def test_text_is_printable_afterwards_and_printable_text_stays(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert not text.isprintable() or printable(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        pytest.param("multinic2: mtu 1500 → 1450", "multinic2: mtu 1500 → 1450", id="ordinary"),
        pytest.param("\x1b[31mred", "\\x1b[31mred", id="an escape sequence"),
        pytest.param("a\nb\r\nc\td", "a b  c d", id="line ends"),
        pytest.param("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b", id="control characters, also of eight bits"),
        pytest.param("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066", id="reversed text"),
        pytest.param("\u2028\ue000", "\\u2028\\ue000", id="separators and private characters"),
        pytest.param("\udcff", "\\udcff", id="half a character"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, safe: str) -> None:
    assert printable(text) == safe


@given(st.text() | st.binary() | st.none() | st.integers(-(2**64), 2**64) | st.floats() | st.datetimes())
def test_a_value_is_shown_in_one_short_printable_word(value: object) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) < 700


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "NULL"),
        (7, "7"),
        ("", "''"),
        ("zz:", "'zz:'"),
        ("it's", '"it\'s"'),
        (b"\xff\x00", "'\ufffd\\x00'"),
        ("x" * 61, "'" + "x" * 60 + "…'"),
    ],
)
def test_a_value_is_shown_as_a_reader_of_the_database_knows_it(value: object, word: str) -> None:
    assert shown(value) == word


def test_one_thing_is_no_several() -> None:
    assert [counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert counted(2, "MAC address", "MAC addresses") == "2 MAC addresses"
