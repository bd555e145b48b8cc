"""`--output yaml`: what a reader of YAML 1.1 finds in it is what was written."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from multinic.cli.yaml import dumped

TEXTS = st.text() | st.sampled_from(
    ["", "no", "null", "~", "1e3", "0o17", "- a", "a: b", "#", "=", "<<", "a\nb\n", "\x85\u2028", "😀", "y"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_it_is_read_as_it_was_written(document: object) -> None:
    text = dumped(document)
    assert yaml.safe_load(text) == document
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("number", [1e16, 1e-7, -2.5e300, 1.0])
def test_a_float_stays_a_number(number: float) -> None:
    assert yaml.safe_load(dumped({"number": number})) == {"number": number}


def test_it_is_there_for_people() -> None:
    document = {"version": 1, "interfaces": [{"name": "multinic0", "mtu": None, "changes": []}], "empty": {}}
    assert dumped(document).splitlines() == [
        "version: 1",
        "interfaces:",
        '  - name: "multinic0"',
        "    mtu: null",
        "    changes: []",
        "empty: {}",
    ]
