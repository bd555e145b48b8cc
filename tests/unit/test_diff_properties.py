"""What holds of every plan, whatever the host and the database look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from hypothesis import event, given, settings
from hypothesis import strategies as st

from multinic.backend.netplan import Netplan
from multinic.decide.naming import slot_of
from multinic.values.addresses import Mac
from multinic.values.desired import Desired
from multinic.values.observed import Observed, ObservedLink, ObservedRoute
from multinic.values.plan import State
from multinic.values.record import Entry
from tests.unit.making import desired, invalid, link, mac, path, policy, route, text, want
from tests.unit.model_host import ModelHost

NUMBERS = range(1, 7)
NAMES = ["eth0", "ens3", "ens4", "ens5", "ens6", "multinic0", "multinic1", "multinic2", "multinic12"]


def ports() -> st.SearchStrategy[list[int]]:
    return st.lists(st.sampled_from(NUMBERS), unique=True, max_size=6)


def addresses(number: int) -> st.SearchStrategy[list[str]]:
    mine = [f"10.0.{number}.5/24", f"10.0.{number}.6/24", f"10.0.{number}.5/16", f"2001:db8::{number}/64"]
    return st.lists(st.sampled_from(mine), unique_by=lambda address: address.partition("/")[0], max_size=3)


@st.composite
def wants(draw: st.DrawFn) -> Desired:
    links = [
        want(number, *draw(addresses(number)), mtu=draw(st.sampled_from([None, None, 1280, 9000])))
        for number in draw(ports())
    ]
    rest = [number for number in NUMBERS if mac(number) not in {link.mac for link in links}]
    bad = draw(st.lists(st.sampled_from([None, *rest]), max_size=1))
    database = draw(st.sampled_from([None, "10.0.1.77"]))
    return desired(*links, invalid=[invalid(number) for number in bad], database=database)


@st.composite
def wires(draw: st.DrawFn, number: int, name: str) -> ObservedLink:
    if draw(st.booleans()):  # as it is on most hosts: a plain link that nobody uses yet
        return link(number, name, up=draw(st.booleans()))
    neighbour = number % len(NUMBERS) + 1
    return link(
        number,
        name,
        *draw(addresses(number)),
        *draw(st.lists(st.just("192.0.2.9/32"), max_size=1)),
        up=draw(st.booleans()),
        permanent=draw(st.sampled_from([mac(number), mac(number), None, mac(50 + number), mac(neighbour)])),
        mtu=draw(st.sampled_from([1500, 1280, 9000])),
        min_mtu=68,
        max_mtu=draw(st.sampled_from([0, 1500, 65535])),
        master=draw(st.sampled_from([0, 0, 0, 0, 7])),
        kind=draw(st.sampled_from(["", "", "veth", "vlan"])),
        parent=draw(st.sampled_from([0, 0, 0, 101, 102])),
        altnames=draw(st.sampled_from([(), (f"enp0s{number}",)])),
    )


@st.composite
def memories(draw: st.DrawFn) -> Mapping[Mac, Entry]:
    found: dict[Mac, Entry] = {}
    slots = draw(st.permutations(range(13)))
    for number, slot in zip(draw(ports()), slots, strict=False):
        applied = draw(st.sampled_from([None, want(number, f"10.0.{number}.5/24", mtu=1280), want(number)]))
        name = draw(st.sampled_from(["", *NAMES]))
        mtu = draw(st.sampled_from([None, 1500]))
        found[mac(number)] = Entry(slot, f"port-{number}", name, mtu, applied)
    return found


@st.composite
def hosts(draw: st.DrawFn) -> ModelHost:
    names = draw(st.permutations(NAMES))
    links = tuple(draw(wires(number, name)) for number, name in zip(draw(ports()), names, strict=False))
    routes: tuple[ObservedRoute, ...] = ()
    if links and draw(st.booleans()):
        routes = (route(draw(st.sampled_from(["0.0.0.0/0", "10.0.1.0/24"])), draw(st.sampled_from(links))),)
    owners = draw(st.dictionaries(st.integers(0, 12), st.sampled_from(NUMBERS), max_size=3))
    files = {
        path(slot): draw(st.sampled_from(["", "no MAC in here", text(f"multinic{slot}", want(number))]))
        for slot, number in owners.items()
    }
    modes = {name: draw(st.sampled_from([0o600, 0o644])) for name in files}
    foreign = draw(st.sampled_from([{}, {"/etc/netplan/50-cloud-init.yaml": f"macaddress: {mac(2)}"}]))
    # Mappings that cannot be written to: whoever tries fails.
    values = map(MappingProxyType, (files, modes, foreign))
    return ModelHost(Observed(links, routes, (), *values), MappingProxyType(draw(memories())))


limits = st.sampled_from([1, 2, 10])


@given(hosts(), wants(), limits)
def test_the_same_host_and_database_give_the_same_plan(host: ModelHost, wanted: Desired, limit: int) -> None:
    again = replace(wanted, links=tuple(reversed(wanted.links)))
    assert host.plan(wanted, policy(limit)) == host.plan(again, policy(limit))


@given(hosts(), wants(), limits)
def test_a_plan_that_is_carried_out_leaves_nothing_to_do(
    host: ModelHost, wanted: Desired, limit: int
) -> None:
    plan = host.plan(wanted, policy(limit))
    event(f"{len(plan.pending)} pending")
    after = host.carry_out(plan)
    macs = [mac for link in host.observed.links for mac in {link.mac, link.permanent_mac} if mac is not None]
    twins = len(set(macs)) < len(macs)  # of two orphans with one MAC address the second may be found later
    if twins or any(
        i.reason == "no-free-slot" or (i.row_id is None and not i.pending) for i in plan.interfaces
    ):
        # What was removed may have made room, or left a file to nobody but a link that may not be touched.
        after = after.carry_out(after.plan(wanted, policy(limit)))
    assert not after.plan(wanted, policy(limit)).pending


@given(hosts(), wants(), limits)
def test_what_is_not_managed_and_not_asked_for_is_in_no_plan(
    host: ModelHost, wanted: Desired, limit: int
) -> None:
    asked = {link.mac for link in wanted.links}
    for interface in host.plan(wanted, policy(limit)).pending:
        assert all(Netplan().slot_of_file(file.path) is not None for file in interface.files)
        if interface.link is not None and interface.changes:
            macs = {interface.link.mac, interface.link.permanent_mac}
            assert macs & (asked | host.entries.keys()) or slot_of(interface.link.name) is not None


@given(hosts(), wants(), limits)
def test_no_two_rows_get_one_name(host: ModelHost, wanted: Desired, limit: int) -> None:
    plan = host.plan(wanted, policy(limit))
    names = [i.name for i in plan.interfaces if i.name and i.row_id is not None]
    assert len(set(names)) == len(names)


@given(hosts(), wants(), limits)
def test_every_row_is_in_the_plan_exactly_once(host: ModelHost, wanted: Desired, limit: int) -> None:
    rows = [i.row_id for i in host.plan(wanted, policy(limit)).interfaces if i.row_id is not None]
    assert sorted(rows) == sorted([link.row_id for link in wanted.links] + [99] * len(wanted.invalid))


@given(hosts(), wants(), limits)
def test_removals_come_first_and_then_the_slots_in_order(
    host: ModelHost, wanted: Desired, limit: int
) -> None:
    interfaces = [i for i in host.plan(wanted, policy(limit)).interfaces if i.state is not State.INVALID]
    kinds = [(i.row_id is not None, slot_of(i.name)) for i in interfaces]
    assert kinds == sorted(kinds)


@given(hosts(), wants(), limits)
def test_a_link_with_the_default_route_is_never_changed(host: ModelHost, wanted: Desired, limit: int) -> None:
    vital = {r.link for r in host.observed.routes if r.to.prefixlen == 0}
    for interface in host.plan(wanted, policy(limit)).pending:
        assert interface.link is None or interface.link.index not in vital


@given(hosts(), ports(), limits)
def test_while_a_row_is_nobodys_nothing_is_removed(host: ModelHost, numbers: list[int], limit: int) -> None:
    wanted = desired(*(want(number) for number in numbers), invalid=[invalid(None)])
    plan = host.plan(wanted, policy(limit))
    assert State.DELETE not in {interface.state for interface in plan.interfaces}
    kept = host.carry_out(plan).observed.files.keys()
    assert {Netplan().slot_of_file(name) for name in host.observed.files} <= {
        Netplan().slot_of_file(name) for name in kept
    }


def test_the_strategies_reach_every_state_of_a_plan() -> None:
    """Properties that are only ever tried on empty plans would prove nothing."""
    seen: set[State] = set()

    @settings(max_examples=500, derandomize=True)
    @given(hosts(), wants(), limits)
    def look(host: ModelHost, wanted: Desired, limit: int) -> None:
        plan = host.plan(wanted, policy(limit))
        seen.update(i.state for i in plan.interfaces)
        seen.update(i.state for i in host.carry_out(plan).plan(wanted, policy(limit)).interfaces)

    look()
    assert seen == set(State) - {State.CONVERGED, State.FAILED}
