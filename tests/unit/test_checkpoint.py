"""The checkpoint on disk: all that is needed to put interfaces back is in it, byte for byte."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.host.host import File, Host
from multinic.state import checkpoint
from multinic.values.desired import Rule
from multinic.values.errors import HostError
from multinic.values.observed import ObservedAddress, ObservedRoute, ObservedRule, Surroundings
from multinic.values.paths import CHECKPOINT, LAST_CHECKPOINT
from multinic.values.plan import Change, FileChange, Interface, State
from tests.unit import strategies
from tests.unit.making import link, mac, path, ready, route


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as root:
        yield Host(root)


def interface(slot: int, found: Any, *paths: str, rules: Iterable[ObservedRule] = ()) -> Interface:
    return Interface(
        name=f"multinic{slot}",
        mac=mac(slot),
        mac_text=str(mac(slot)),
        port_id="",
        row_id=None,
        state=State.UPDATE,
        reason="",
        message="",
        files=tuple(FileChange(name, None, "new", 0o600) for name in paths),
        link=found,
        changes=(Change("rp_filter", "0", "2"), *(Change("rule", rule, None) for rule in rules)),
    )


def around(routes: Iterable[ObservedRoute] = (), rules: Iterable[ObservedRule] = ()) -> Surroundings:
    return Surroundings((), tuple(routes), tuple(rules))


def nothing_more(_: str) -> tuple[str, ...]:
    return ()


observed_addresses = st.builds(ObservedAddress, strategies.addresses, kernel=st.booleans())
observed_routes = st.builds(
    ObservedRoute,
    strategies.networks,
    st.none() | st.ip_addresses(),
    link=st.sampled_from([101, 102]),
    table=strategies.numbers,
    metric=strategies.numbers,
    protocol=st.integers(0, 255),
)

optional_networks = st.none() | strategies.networks
observed_rules = st.builds(
    ObservedRule,
    st.builds(Rule, optional_networks, optional_networks, strategies.numbers, strategies.numbers),
    family=st.sampled_from([2, 10]),
    protocol=st.integers(0, 255),
    raw=st.binary(max_size=20),
)


@given(
    found=st.lists(observed_addresses, max_size=3),
    routes=st.lists(observed_routes, max_size=3),
    rules=st.lists(observed_rules, max_size=3),
    up=st.booleans(),
    mtu=st.integers(68, 65535),
    content=st.none() | st.binary(max_size=50),
)
def test_what_was_saved_comes_back(
    host: Host, found: Any, routes: Any, rules: Any, up: bool, mtu: int, content: bytes | None
) -> None:
    host.remove(path(0))
    if content is not None:
        host.write(path(0), content, 0o644)
    carrier = link(1, "ens5", *found, up=up, mtu=mtu)
    taken = checkpoint.take(
        host, "netplan", [interface(0, carrier, path(0), rules=rules)], around(routes, rules), nothing_more
    )
    loaded = checkpoint.load(host, CHECKPOINT)
    assert loaded is not None
    (before,), (after,) = taken.interfaces, loaded.interfaces
    assert (after.key, after.name, after.routes) == (before.key, before.name, before.routes)
    assert (after.rules, after.our_rules, after.properties) == (
        tuple(rules),
        before.our_rules,
        {"rp_filter": "0"},
    )
    assert after.files == before.files == {path(0): host.file(path(0))}
    assert after.link is not None
    for field in ("index", "name", "mac", "up", "mtu"):
        assert getattr(after.link, field) == getattr(carrier, field)
    kept = [(one.address, one.kernel) for one in after.link.addresses]
    assert kept == [(one.address, one.kernel) for one in carrier.addresses]


def test_every_file_that_a_change_may_touch_is_saved(host: Host) -> None:
    runtime = "/run/systemd/network/10-netplan-multinic0.network"
    host.write(runtime, b"\xff\x00binary", 0o640)
    taken = checkpoint.take(host, "netplan", [interface(0, None, path(0))], around(), lambda _: [runtime])
    assert taken.interfaces[0].files[path(0)] is None
    saved = taken.interfaces[0].files[runtime]
    assert saved is not None
    assert (saved.content, saved.mode) == (b"\xff\x00binary", 0o640)


def test_routes_of_other_links_and_of_the_kernels_making_are_not_saved(host: Host) -> None:
    mine, other = ready(1, "multinic0"), ready(2, "ens6")
    ours = route("10.9.0.0/24", mine, "10.0.0.1")
    made = ObservedRoute(ours.to, None, mine.index, protocol=2)
    there = around([ours, made, route("10.8.0.0/24", other)])
    taken = checkpoint.take(host, "netplan", [interface(0, mine)], there, nothing_more)
    assert taken.interfaces[0].routes == (ours,)


def test_a_finished_change_is_kept_for_a_rollback_only(host: Host) -> None:
    checkpoint.take(host, "netplan", [interface(0, ready(1, "multinic0"))], around(), nothing_more)
    assert Path(host.path(CHECKPOINT)).stat().st_mode & 0o777 == 0o600
    checkpoint.commit(host)
    assert checkpoint.load(host, CHECKPOINT) is None
    assert checkpoint.load(host, LAST_CHECKPOINT) is not None


def test_after_a_reboot_only_files_are_put_back(host: Host) -> None:
    """The links are what the boot made of the files; their numbers may mean others."""
    host.write(path(0), "old", 0o600)
    checkpoint.take(host, "netplan", [interface(0, ready(1, "multinic0"), path(0))], around(), nothing_more)
    document = json.loads(host.read(CHECKPOINT) or "")
    host.write(CHECKPOINT, json.dumps(document | {"boot": "another"}), 0o600)
    loaded = checkpoint.load(host, CHECKPOINT)
    assert loaded is not None
    assert loaded.interfaces[0].link is None
    assert isinstance(loaded.interfaces[0].files[path(0)], File)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param('{"version": 2}', id="another version"),
        pytest.param("[" * 200_000, id="too deep"),
    ],
)
def test_a_damaged_checkpoint_is_an_error_that_names_it(host: Host, damaged: str) -> None:
    host.write(CHECKPOINT, damaged, 0o600)
    with pytest.raises(HostError, match=f"the checkpoint {CHECKPOINT} is damaged") as error:
        checkpoint.load(host, CHECKPOINT)
    assert CHECKPOINT in error.value.hint


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [1], {"a": 1}, 1e999], ids=repr)
@pytest.mark.parametrize(
    "field",
    [
        "backend",
        "interfaces",
        "key",
        "files",
        "link",
        "routes",
        "mac",
        "addresses",
        "rules",
        "our_rules",
        "tuning",
    ],
)
def test_a_value_of_the_wrong_kind_is_an_error_and_no_traceback(host: Host, field: str, value: Any) -> None:
    carrier = ready(1, "multinic0", ObservedAddress(ip_interface("10.0.0.5/24")))
    routes = [route("10.9.0.0/24", carrier)]
    rules = [ObservedRule(Rule(ours := routes[0].to, ours, 1000, 1000), 2)]
    checkpoint.take(
        host, "netplan", [interface(0, carrier, path(0), rules=rules)], around(routes, rules), nothing_more
    )
    document = json.loads(host.read(CHECKPOINT) or "")
    entry = document["interfaces"][0]
    next(part for part in (document, entry, entry["link"]) if field in part)[field] = value
    host.write(CHECKPOINT, json.dumps(document), 0o600)
    with contextlib.suppress(HostError):
        checkpoint.load(host, CHECKPOINT)
