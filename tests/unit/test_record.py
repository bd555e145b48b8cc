"""What a host remembers: all of it comes back, and a damaged memory is none."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.host.host import Host
from multinic.state.codec import decode, encode
from multinic.state.record import load_record, save_record
from multinic.values.desired import DesiredLink
from multinic.values.record import Record, Rendered
from tests.unit import strategies
from tests.unit.making import entry, mac, want

FILE = "/var/lib/multinic/record.json"
SAVED = Record(
    {mac(1): entry(0, want(1, "10.0.0.5/24", mtu=1450), name="ens5", mtu=1500), mac(2): entry(1)},
    {"multinic0": Rendered("key", {"/etc/netplan/90-multinic0.yaml": "text\n"})},
    2,
)
memories = st.builds(
    Record,
    entries=st.dictionaries(strategies.macs, strategies.entries, max_size=4),
    rendered=st.dictionaries(
        st.text(max_size=5),
        st.builds(Rendered, st.text(), st.dictionaries(st.text(), st.text(), max_size=2)),
        max_size=2,
    ),
)


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as root:
        yield Host(root)


@given(memory=memories)
def test_everything_that_is_remembered_comes_back(host: Host, memory: Record) -> None:
    save_record(host, memory)
    assert load_record(host) == memory


@given(strategies.desired_links)
def test_a_desired_link_survives_json(link: DesiredLink) -> None:
    assert decode(DesiredLink, json.loads(json.dumps(encode(link)))) == link


def test_the_record_is_for_root_alone(host: Host) -> None:
    save_record(host, SAVED)
    assert Path(host.path(FILE)).stat().st_mode & 0o777 == 0o600


def test_no_record_is_no_memory(host: Host) -> None:
    assert load_record(host) == Record()


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param("", id="empty"),
        pytest.param("\0" * 4096, id="zeros, as after a power loss"),
        pytest.param("[]", id="a list"),
        pytest.param("null", id="null"),
        pytest.param("7", id="a number"),
        pytest.param('{"version": 99}', id="a later version"),
        pytest.param('{"version": 1}', id="nothing in it"),
        pytest.param("[" * 200_000, id="too deep"),
        pytest.param("\ud800", id="no UTF-8"),
    ],
)
def test_a_damaged_record_is_no_memory(host: Host, damaged: str) -> None:
    host.write(FILE, damaged.encode("utf-8", "surrogatepass"), 0o600)
    assert load_record(host) == Record()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(os.mkfifo, id="fifo"),
        pytest.param(os.mkdir, id="directory"),
        pytest.param(lambda place: os.symlink("/etc/hostname", place), id="symlink"),
    ],
)
def test_what_is_no_file_is_no_memory_and_no_hindrance(host: Host, make: Callable[[Path], None]) -> None:
    place = Path(host.path(FILE))
    place.parent.mkdir(parents=True)
    make(place)
    assert load_record(host) == Record()


@given(place=st.integers(0, 4000), junk=st.binary(min_size=0, max_size=3), length=st.integers(0, 8))
def test_a_record_with_a_damaged_place_is_read_or_counts_as_none(
    host: Host, place: int, junk: bytes, length: int
) -> None:
    save_record(host, SAVED)
    whole = Path(host.path(FILE)).read_bytes()
    place %= len(whole)
    host.write(FILE, whole[:place] + junk + whole[place + length :], 0o600)
    load_record(host)


def broken(host: Host, place: tuple[str, ...], value: Any) -> list[str]:
    """Write SAVED with another value in one place, and return what cannot be read of it."""
    save_record(host, SAVED)
    document = json.loads(host.read(FILE) or "")
    item = document
    for key in place[:-1]:
        item = item[key]
    item[place[-1]] = value
    host.write(FILE, json.dumps(document), 0o600)
    lost: list[str] = []
    load_record(host, lost)
    return lost


def test_an_entry_that_cannot_be_read_leaves_the_others(host: Host) -> None:
    lost = broken(host, ("links", str(mac(2)), "slot"), "one")
    assert lost == [f"{mac(2)}: slot: 'one' is no int"]
    assert load_record(host) == replace(SAVED, entries={mac(1): SAVED.entries[mac(1)]})


def test_a_configuration_of_a_later_version_leaves_what_the_link_was_before_us(host: Host) -> None:
    (lost,) = broken(host, ("links", str(mac(1)), "applied", "options"), {"wormhole": True})
    assert lost.startswith(f"{mac(1)}: applied.options: ")
    known = load_record(host).entries
    assert known[mac(1)] == replace(SAVED.entries[mac(1)], applied=None)
    assert known[mac(2)] == SAVED.entries[mac(2)]


@pytest.mark.parametrize("place", [("rendered", "multinic0"), ("mass_deletion",), ("node",), ("rendered",)])
def test_other_parts_that_cannot_be_read_leave_all_entries(host: Host, place: tuple[str, ...]) -> None:
    assert broken(host, place, [7])
    assert load_record(host).entries == SAVED.entries


@pytest.mark.parametrize("value", ["x", None, [], {}, -1, 99999, 1e999, 1.5, True, "1e5"], ids=repr)
@pytest.mark.parametrize(
    "field", ["slot", "port_id", "name_before", "mtu_before", "applied", "mac", "addresses"]
)
def test_a_value_of_the_wrong_kind_never_reaches_the_plan(host: Host, field: str, value: Any) -> None:
    save_record(host, SAVED)
    document = json.loads(host.read(FILE) or "")
    entry = document["links"][str(mac(1))]
    (entry if field in entry else entry["applied"])[field] = value
    host.write(FILE, json.dumps(document), 0o600)
    for found in load_record(host).entries.values():
        assert type(found.slot) is int
        assert 0 <= found.slot <= 9999
        assert type(found.port_id) is str
        assert found.mtu_before is None or type(found.mtu_before) is int
        assert found.applied is None or isinstance(found.applied, DesiredLink)
