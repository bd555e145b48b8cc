"""What a host remembers: all of it comes back, and a damaged memory is none."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multinic import record
from multinic.host import Host
from multinic.model import DesiredLink
from multinic.record import Memory
from tests.unit import strategies
from tests.unit.making import held, mac, want

FILE = "/var/lib/multinic/record.json"
SAVED = Memory(
    {mac(1): held(0, want(1, "10.0.0.5/24", mtu=1450), name="ens5", mtu=1500), mac(2): held(1)},
    {"multinic0": ("key", {"/etc/netplan/90-multinic0.yaml": "text\n"})},
    1700000000.0,
)
memories = st.builds(
    Memory,
    links=st.dictionaries(strategies.macs, strategies.held, max_size=4),
    rendered=st.dictionaries(
        st.text(max_size=5),
        st.tuples(st.text(), st.dictionaries(st.text(), st.text(), max_size=2)),
        max_size=2,
    ),
)
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as root:
        yield Host(root)


@relaxed
@given(memory=memories)
def test_everything_that_is_remembered_comes_back(host: Host, memory: Memory) -> None:
    record.save(host, memory)
    assert record.load(host) == memory


@given(strategies.desired_links)
def test_a_desired_link_survives_json(link: DesiredLink) -> None:
    assert record.link_from(json.loads(json.dumps(record.link_document(link)))) == link


def test_the_record_is_for_root_alone(host: Host) -> None:
    record.save(host, SAVED)
    assert Path(host.path(FILE)).stat().st_mode & 0o777 == 0o600


def test_no_record_is_no_memory(host: Host) -> None:
    assert record.load(host) == Memory()


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
    assert record.load(host) == Memory()


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
    assert record.load(host) == Memory()


@relaxed
@given(place=st.integers(0, 4000), junk=st.binary(min_size=0, max_size=3), length=st.integers(0, 8))
def test_a_record_with_a_damaged_place_is_read_or_counts_as_none(
    host: Host, place: int, junk: bytes, length: int
) -> None:
    record.save(host, SAVED)
    whole = Path(host.path(FILE)).read_bytes()
    place %= len(whole)
    host.write(FILE, whole[:place] + junk + whole[place + length :], 0o600)
    record.load(host)


@pytest.mark.parametrize("value", ["x", None, [], {}, -1, 99999, 1e999, 1.5, True, "1e5"], ids=repr)
@pytest.mark.parametrize(
    "field", ["slot", "port_id", "name_before", "mtu_before", "applied", "mac", "addresses"]
)
def test_a_value_of_the_wrong_kind_never_reaches_the_plan(host: Host, field: str, value: Any) -> None:
    record.save(host, SAVED)
    document = json.loads(host.read(FILE) or "")
    entry = document["links"][str(mac(1))]
    (entry if field in entry else entry["applied"])[field] = value
    host.write(FILE, json.dumps(document), 0o600)
    for found in record.load(host).links.values():
        assert type(found.slot) is int
        assert 0 <= found.slot <= 9999
        assert type(found.port_id) is str
        assert found.mtu_before is None or type(found.mtu_before) is int
        assert found.applied is None or isinstance(found.applied, DesiredLink)
