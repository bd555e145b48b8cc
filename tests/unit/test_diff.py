"""What a plan says: for every difference between database and host, the state, the reason and the changes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from multinic.values.addresses import Mac
from multinic.values.desired import Desired
from multinic.values.observed import Observed, ObservedAddress
from multinic.values.plan import Interface, Plan
from multinic.values.record import Entry
from tests.unit.making import (
    desired,
    entry,
    files,
    invalid,
    link,
    mac,
    observed,
    path,
    policy,
    ready,
    route,
    text,
    want,
)
from tests.unit.model_host import ModelHost

ONE = want(1, "10.0.0.5/24")


def told(interface: Interface) -> tuple[str, ...]:
    """Return a plan's word about one interface: name, state, reason, then what changes."""
    changes = [f"{c.field} {c.before or '-'}>{c.after or '-'}" for c in interface.changes]
    return (
        interface.name,
        str(interface.state),
        interface.reason,
        *changes,
        *(f"{file.action} {file.path}" for file in interface.files),
    )


def plan(
    wanted: Desired, host: Observed, record: dict[Mac, Entry] | None = None, max_interfaces: int = 10
) -> Plan:
    return ModelHost(host, record or {}).plan(wanted, policy(max_interfaces))


DADFAILED = ObservedAddress(ip_interface("10.0.0.5/24"), dadfailed=True)
KERNEL = ObservedAddress(ip_interface("fe80::1/64"), kernel=True)


@pytest.mark.parametrize(
    ("wanted", "host", "record", "expected"),
    [
        pytest.param(desired(), observed(link(1, "ens5", "192.0.2.5/24")), {}, [], id="nothing managed"),
        pytest.param(
            desired(ONE),
            observed(link(1, "ens5", mtu=1500)),
            {},
            [
                (
                    "multinic0",
                    "create",
                    "new",
                    "name ens5>multinic0",
                    "state down>up",
                    "address ->10.0.0.5/24",
                    f"create {path(0)}",
                )
            ],
            id="a new row and its link",
        ),
        pytest.param(
            desired(want(1, mtu=9000)),
            observed(link(1, "ens5", up=True)),
            {},
            [("multinic0", "create", "new", "name ens5>multinic0", "mtu 1500>9000", f"create {path(0)}")],
            id="no address: named, set up, given its MTU, nothing more",
        ),
        pytest.param(
            desired(ONE),
            observed(),
            {},
            [("multinic0", "waiting", "not-plugged-in", f"create {path(0)}")],
            id="a row whose link is not plugged in: configured in advance",
        ),
        pytest.param(
            desired(ONE),
            observed(files=files((0, ONE))),
            {mac(1): entry(0)},
            [("multinic0", "waiting", "not-plugged-in")],
            id="waiting, and everything is written",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [("multinic0", "unchanged", "converged")],
            id="converged",
        ),
        pytest.param(
            desired(replace(ONE, row_id=77, port_id="port-77")),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [("multinic0", "unchanged", "converged")],
            id="the controller replaced the row",
        ),
        pytest.param(
            desired(ONE),
            observed(
                ready(1, "multinic0", "10.0.0.5/24", "10.0.0.99/24", "fe80::1/64"), files=files((0, ONE))
            ),
            {mac(1): entry(0, ONE)},
            [("multinic0", "unchanged", "converged")],
            id="a virtual address that others put on a managed link stays",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "multinic0"), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [("multinic0", "update", "drift", "address ->10.0.0.5/24")],
            id="an address was deleted by hand",
        ),
        pytest.param(
            desired(ONE),
            observed(link(1, "multinic0", "10.0.0.5/24"), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [("multinic0", "update", "drift", "state down>up")],
            id="a link was set down by hand",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "eth7", "10.0.0.5/24"), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [("multinic0", "update", "drift", "name eth7>multinic0")],
            id="a link was renamed by hand",
        ),
        pytest.param(
            desired(replace(ONE, mtu=1450)),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, replace(ONE, mtu=1450)))),
            {mac(1): entry(0, replace(ONE, mtu=1450))},
            [("multinic0", "update", "drift", "mtu 1500>1450")],
            id="an MTU was changed by hand",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files={path(0): "edited\n"}),
            {mac(1): entry(0, ONE)},
            [("multinic0", "update", "drift", f"replace {path(0)}")],
            id="a file was edited by hand",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "multinic0", "10.0.0.5/24")),
            {mac(1): entry(0, ONE)},
            [("multinic0", "update", "drift", f"create {path(0)}")],
            id="a file was deleted by hand",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, ONE)), mode=0o644),
            {mac(1): entry(0, ONE)},
            [("multinic0", "update", "drift", f"chmod {path(0)}")],
            id="a file is open to others",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "multinic0", DADFAILED), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [("multinic0", "update", "drift", "address ->10.0.0.5/24")],
            id="an address that another machine has too is not there",
        ),
        pytest.param(
            desired(want(1, "10.0.0.6/24")),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [
                (
                    "multinic0",
                    "update",
                    "changed",
                    "address 10.0.0.5/24>-",
                    "address ->10.0.0.6/24",
                    f"replace {path(0)}",
                )
            ],
            id="a new address: the old one is taken away",
        ),
        pytest.param(
            desired(want(1, "10.0.0.5/16")),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [
                (
                    "multinic0",
                    "update",
                    "changed",
                    "address 10.0.0.5/24>-",
                    "address ->10.0.0.5/16",
                    f"replace {path(0)}",
                )
            ],
            id="a new prefix length is a new address",
        ),
        pytest.param(
            desired(want(1)),
            observed(ready(1, "multinic0", mtu=9000), files=files((0, want(1, mtu=9000)))),
            {mac(1): entry(0, want(1, mtu=9000), mtu=1500)},
            [("multinic0", "update", "changed", "mtu 9000>1500", f"replace {path(0)}")],
            id="no MTU is asked for any more: back to what it was",
        ),
        pytest.param(
            desired(want(1)),
            observed(ready(1, "multinic0", mtu=9000), files=files((0, want(1)))),
            {mac(1): entry(0, want(1), mtu=1500)},
            [("multinic0", "unchanged", "converged")],
            id="an MTU that we never set is not ours",
        ),
        pytest.param(
            desired(want(1, mtu=9000)),
            observed(ready(1, "ens5", min_mtu=68, max_mtu=1500)),
            {},
            [("multinic0", "invalid", "mtu-out-of-range")],
            id="an MTU above what the link can do",
        ),
        pytest.param(
            desired(want(1, mtu=500)),
            observed(ready(1, "ens5", min_mtu=576, max_mtu=0)),
            {},
            [("multinic0", "invalid", "mtu-out-of-range")],
            id="an MTU below what the link can do",
        ),
        pytest.param(
            desired(want(1, mtu=65535)),
            observed(link(1, "ens5", min_mtu=68, max_mtu=0)),
            {},
            [
                (
                    "multinic0",
                    "create",
                    "new",
                    "name ens5>multinic0",
                    "state down>up",
                    "mtu 1500>65535",
                    f"create {path(0)}",
                )
            ],
            id="a driver without a limit",
        ),
        pytest.param(
            desired(),
            observed(ready(1, "multinic0", "10.0.0.5/24", KERNEL, mtu=9000), files=files((0, ONE))),
            {mac(1): entry(0, ONE, name="ens5", mtu=1500)},
            [
                (
                    "multinic0",
                    "delete",
                    "orphan",
                    "name multinic0>ens5",
                    "address 10.0.0.5/24>-",
                    "state up>down",
                    "mtu 9000>1500",
                    f"remove {path(0)}",
                )
            ],
            id="a row was removed: everything as it was before",
        ),
        pytest.param(
            desired(),
            observed(files=files((0, ONE))),
            {mac(1): entry(0, ONE)},
            [("multinic0", "delete", "orphan", f"remove {path(0)}")],
            id="a row and its link are gone: the file goes too",
        ),
        pytest.param(
            desired(),
            observed(ready(1, "ens5", "192.0.2.5/24")),
            {mac(1): entry(0)},
            [("multinic0", "delete", "orphan")],
            id="the row of a link that never became ours is gone: nothing to do but to forget it",
        ),
        pytest.param(
            desired(),
            observed(ready(1, "multinic3")),
            {},
            [("multinic3", "delete", "orphan", "name multinic3>eth0", "state up>down")],
            id="a link that merely bears one of our names",
        ),
        pytest.param(
            desired(),
            observed(files={path(3): "# no MAC in here\n"}),
            {},
            [("multinic3", "delete", "orphan", f"remove {path(3)}")],
            id="a file of ours without a MAC",
        ),
        pytest.param(
            desired(),
            observed(files={path(3): "macaddress: ff:ff:ff:ff:ff:ff\n"}),
            {},
            [("multinic3", "delete", "orphan", f"remove {path(3)}")],
            id="a file of ours with a MAC that no card has",
        ),
        pytest.param(
            desired(ONE),
            observed(
                ready(1, "multinic4", "10.0.0.5/24"), files={path(4): f"{mac(1)} 10.0.0.5/24"}, mode=0o644
            ),
            {},
            [("multinic4", "update", "adopt", f"replace {path(4)}")],
            id="a host of the earlier agent keeps slot and link, and gets our file",
        ),
        pytest.param(
            desired(want(1, "10.0.0.6/24")),
            observed(
                ready(1, "multinic4", "10.0.0.5/24", "10.0.0.9/24"), files={path(4): f"{mac(1)} 10.0.0.5/24"}
            ),
            {},
            [
                (
                    "multinic4",
                    "update",
                    "adopt",
                    "address 10.0.0.5/24>-",
                    "address ->10.0.0.6/24",
                    f"replace {path(4)}",
                )
            ],
            id="what the earlier agent's file configured is ours to take away, and only that",
        ),
        pytest.param(
            desired(ONE),
            observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, ONE))),
            {},
            [("multinic0", "unchanged", "converged")],
            id="a wiped record of a converged host changes nothing",
        ),
        pytest.param(
            desired(want(1), want(2)),
            observed(link(1, "ens5"), ready(2, "multinic0"), files=files((1, want(1)), (0, want(2)))),
            {},
            [
                ("multinic0", "unchanged", "converged"),
                ("multinic1", "create", "new", "name ens5>multinic1", "state down>up"),
            ],
            id="a wiped record: slots are read off files and names",
        ),
        pytest.param(
            desired(want(1), want(2)),
            observed(ready(1, "multinic1"), ready(2, "multinic0"), files=files((0, want(1)), (1, want(2)))),
            {mac(1): entry(0, want(1)), mac(2): entry(1, want(2))},
            [
                ("multinic0", "update", "drift", "name multinic1>multinic0"),
                ("multinic1", "update", "drift", "name multinic0>multinic1"),
            ],
            id="two links that swapped their names",
        ),
        pytest.param(
            desired(want(2)),
            observed(ready(1, "multinic0"), link(2, "ens6"), files=files((0, want(1)))),
            {mac(1): entry(0, want(1), name="ens5")},
            [
                (
                    "multinic0",
                    "delete",
                    "orphan",
                    "name multinic0>ens5",
                    "state up>down",
                    f"remove {path(0)}",
                ),
                ("multinic1", "create", "new", "name ens6>multinic1", "state down>up", f"create {path(1)}"),
            ],
            id="a slot that is being freed is not the first choice",
        ),
        pytest.param(
            desired(want(1, mtu=9000)),
            observed(ready(1, "multinic0", permanent=mac(50)), files=files((0, want(1)))),
            {mac(1): entry(0, want(1))},
            [("multinic0", "update", "changed", "mtu 1500>9000", f"replace {path(0)}")],
            id="a link whose permanent MAC is another one is no orphan",
        ),
        pytest.param(
            desired(want(1)),
            observed(ready(1, "multinic0", permanent=mac(50)), files=files((0, want(1)))),
            {},
            [("multinic0", "unchanged", "converged")],
            id="nor is it without a record",
        ),
        pytest.param(
            desired(want(1)),
            observed(ready(1, "multinic0", permanent=mac(50))),
            {},
            [("multinic0", "update", "adopt", f"create {path(0)}")],
            id="nor without a file, and it keeps its slot",
        ),
        pytest.param(
            desired(want(1), want(2)),
            observed(link(1, "ens5", permanent=mac(2))),
            {},
            [
                ("multinic0", "waiting", "not-plugged-in", f"create {path(0)}"),
                ("multinic1", "create", "new", "name ens5>multinic1", "state down>up", f"create {path(1)}"),
            ],
            id="one link for two rows: it is its permanent MAC's",
        ),
        pytest.param(
            desired(want(1), invalid=[invalid(2)]),
            observed(ready(2, "multinic0"), link(1, "ens5"), files=files((0, want(1)))),
            {mac(1): entry(0, want(1)), mac(2): entry(1, want(2))},
            [("multinic0", "blocked", "name-taken"), ("multinic1", "invalid", "bad-value")],
            id="a name that another link keeps cannot be given",
        ),
    ],
)
def test_a_plan_names_what_differs_and_why(
    wanted: Desired, host: Observed, record: dict[Mac, Entry], expected: list[tuple[str, ...]]
) -> None:
    assert [told(interface) for interface in plan(wanted, host, record).interfaces] == expected


def test_a_slot_is_taken_over_in_one_pass_when_no_other_is_free() -> None:
    host = observed(ready(1, "multinic0"), link(2, "ens6"), files=files((0, want(1))))
    found = plan(desired(want(2)), host, {mac(1): entry(0, want(1), name="ens5")}, max_interfaces=1)
    assert [told(interface) for interface in found.interfaces] == [
        ("multinic0", "delete", "orphan", "name multinic0>ens5", "state up>down"),
        ("multinic0", "create", "new", "name ens6>multinic0", "state down>up", f"replace {path(0)}"),
    ]


def test_a_name_that_the_next_owner_of_the_slot_leaves_is_not_given_back_at_once() -> None:
    host = observed(ready(1, "multinic0"), link(2, "ens5"))
    found = plan(desired(want(2)), host, {mac(1): entry(0, want(1), name="ens5")}, max_interfaces=1)
    assert found.interfaces[0].target_name == "eth0"


def test_two_links_that_are_let_go_get_two_names() -> None:
    found = plan(desired(), observed(ready(1, "multinic0"), ready(2, "multinic1"), link(3, "eth0")))
    assert [interface.target_name for interface in found.interfaces] == ["eth1", "eth2"]


def test_a_name_that_another_link_is_known_by_is_not_given() -> None:
    host = observed(ready(1, "multinic0", altnames=("enp1s0",)), link(2, "ens6", altnames=("eth0", "ens5")))
    assert plan(desired(), host, {mac(1): entry(0, name="ens5")}).interfaces[0].target_name == "enp1s0"


@pytest.mark.parametrize("limit", [1, 10, 64])
def test_rows_beyond_the_last_slot_are_named_and_the_others_carried_out(limit: int) -> None:
    numbers = range(1, limit + 2)
    host = observed(*(link(number, f"ens{number}") for number in numbers))
    found = plan(desired(*map(want, numbers)), host, max_interfaces=limit)
    assert [interface.name for interface in found.interfaces] == [
        *(f"multinic{slot}" for slot in range(limit)),
        "",
    ]
    last = found.interfaces[-1]
    assert (str(last.state), last.reason) == ("invalid", "no-free-slot")
    assert f"row {limit + 1}: " in last.message
    assert f"max_interfaces is {limit}" in last.message
    assert len(found.pending) == limit


def test_a_link_above_a_lowered_limit_stays() -> None:
    host = observed(ready(1, "multinic12"), files=files((12, want(1))))
    found = plan(desired(want(1)), host, {mac(1): entry(12, want(1))}, max_interfaces=2)
    assert [told(interface) for interface in found.interfaces] == [("multinic12", "unchanged", "converged")]


@pytest.mark.parametrize(
    ("carrier", "more", "rule"),
    [
        pytest.param(link(1, "ens5", "192.0.2.5/24"), {}, "in-use", id="an address of others"),
        pytest.param(link(1, "ens5", master=7), {}, "in-use", id="part of a bridge"),
        pytest.param(
            link(1, "ens5"), {"routes": [route("0.0.0.0/0", link(1, "ens5"))]}, "in-use", id="default route"
        ),
        pytest.param(
            link(1, "ens5"),
            {"foreign": {"/etc/netplan/50.yaml": "ens5:"}},
            "in-use",
            id="others' configuration",
        ),
        pytest.param(
            link(1, "ens5"),
            {"routes": [route("192.0.2.0/24", link(1, "ens5"))]},
            "in-use",
            id="to the database",
        ),
    ],
)
def test_a_link_in_use_is_blocked_and_left_alone(carrier: object, more: dict[str, object], rule: str) -> None:
    found = plan(desired(ONE, database="192.0.2.1"), observed(carrier, **more))  # type: ignore[arg-type]
    assert [told(interface) for interface in found.interfaces] == [("multinic0", "blocked", rule)]
    assert found.interfaces[0].message.startswith("row 1 is not carried out: link ens5 ")
    assert found.empty


def test_an_ambiguous_mac_is_blocked_and_both_links_are_named() -> None:
    found = plan(desired(ONE), observed(link(1, "ens5"), link(1, "ens6", index=7))).interfaces[0]
    assert told(found) == ("multinic0", "blocked", "ambiguous")
    assert "(ens5, ens6)" in found.message


def test_a_managed_link_that_came_to_carry_the_default_route_is_not_removed() -> None:
    carrier = ready(1, "multinic0", "10.0.0.5/24")
    host = observed(carrier, routes=[route("0.0.0.0/0", carrier)], files=files((0, ONE)))
    found = plan(desired(), host, {mac(1): entry(0, ONE)})
    assert [told(interface) for interface in found.interfaces] == [("multinic0", "blocked", "in-use")]
    assert found.interfaces[0].message == "not removed: link multinic0 carries the default route"


def test_a_file_of_ours_that_names_the_link_of_the_default_route_is_not_removed() -> None:
    """An earlier agent may have written it, and the host may be configured by it."""
    carrier = ready(1, "eth0", "10.0.0.5/24")
    host = observed(carrier, routes=[route("0.0.0.0/0", carrier)], files=files((0, ONE)))
    found = plan(desired(), host)
    assert [told(interface) for interface in found.interfaces] == [("multinic0", "blocked", "in-use")]
    assert found.interfaces[0].message == "not removed: link eth0 carries the default route"


def test_a_converged_link_is_not_blocked_by_what_others_do_with_it() -> None:
    carrier = ready(1, "multinic0", "10.0.0.5/24")
    host = observed(carrier, routes=[route("0.0.0.0/0", carrier)], files=files((0, ONE)))
    assert told(plan(desired(ONE), host, {mac(1): entry(0, ONE)}).interfaces[0])[1] == "unchanged"


def test_the_slot_of_a_removal_that_is_blocked_is_given_to_nobody() -> None:
    carrier = ready(1, "multinic0")
    host = observed(carrier, link(2, "ens6"), routes=[route("0.0.0.0/0", carrier)])
    found = plan(desired(want(2)), host, {mac(1): entry(0, want(1))})
    assert [interface.name for interface in found.interfaces] == ["multinic0", "multinic1"]


def test_while_one_row_is_nobodys_no_link_and_no_file_is_removed() -> None:
    host = observed(ready(1, "multinic0"), files={**files((0, want(1))), path(5): ""})
    found = plan(desired(want(3), invalid=[invalid(None)]), host, {mac(1): entry(0, want(1))})
    assert [told(interface) for interface in found.interfaces] == [
        ("multinic0", "blocked", "incomplete-read"),
        ("multinic5", "blocked", "incomplete-read"),
        ("multinic1", "waiting", "not-plugged-in", f"create {path(1)}"),
        ("", "invalid", "bad-value"),
    ]
    assert "row 99" in found.interfaces[0].message


def test_a_row_without_a_mac_is_known_by_its_port_and_removals_go_on() -> None:
    host = observed(ready(1, "multinic0"), files={**files((0, want(1))), path(5): ""})
    found = plan(desired(invalid=[invalid(None, "port-1")]), host, {mac(1): entry(0, want(1))})
    assert [told(interface) for interface in found.interfaces] == [
        ("multinic5", "delete", "orphan", f"remove {path(5)}"),
        ("multinic0", "invalid", "bad-value"),
    ]


def test_an_invalid_row_leaves_its_link_as_it_is_and_keeps_its_slot() -> None:
    host = observed(ready(1, "multinic0", "10.0.0.5/24"), link(2, "ens6"), files=files((0, ONE)))
    found = plan(desired(want(2), invalid=[invalid(1)]), host, {mac(1): entry(0, ONE)})
    assert [told(interface)[:2] for interface in found.interfaces] == [
        ("multinic1", "create"),
        ("multinic0", "invalid"),
    ]
    assert [interface.name for interface in found.pending] == ["multinic1"]


def test_the_slot_of_an_invalid_row_is_given_to_nobody() -> None:
    host = observed(ready(1, "multinic0"), link(2, "ens6"), files=files((0, want(1))))
    wanted = desired(want(2), invalid=[invalid(1)])
    found = plan(wanted, host, {mac(1): entry(0, want(1))}, max_interfaces=1)
    assert [(i.name, i.reason) for i in found.interfaces] == [
        ("", "no-free-slot"),
        ("multinic0", "bad-value"),
    ]


def test_a_file_that_names_a_mac_of_another_slot_does_not_move_it() -> None:
    host = observed(ready(1, "multinic0"), files={**files((0, want(1))), path(4): text("multinic4", want(1))})
    found = plan(desired(want(1)), host, {mac(1): entry(0, want(1))})
    assert [told(interface) for interface in found.interfaces] == [
        ("multinic4", "delete", "orphan", f"remove {path(4)}"),
        ("multinic0", "unchanged", "converged"),
    ]


def test_two_orphans_in_one_slot_are_both_removed_at_once() -> None:
    host = observed(ready(1, "eth7"), ready(2, "multinic0"), files=files((0, want(1))))
    found = plan(desired(), host, {mac(1): entry(0, want(1))})
    assert [told(interface) for interface in found.interfaces] == [
        ("multinic0", "delete", "orphan", "state up>down", f"remove {path(0)}"),
        ("multinic0", "delete", "orphan", "name multinic0>eth0", "state up>down"),
    ]


def test_a_link_that_ceased_to_be_ours_long_ago_keeps_its_addresses() -> None:
    """Its slot is remembered from a row that was never carried out: nothing on the link is ours."""
    found = plan(desired(), observed(ready(1, "ens5", "192.0.2.5/24")), {mac(1): entry(3)})
    assert found.empty


def test_every_interface_of_a_plan_has_a_key_of_its_own() -> None:
    twice = [replace(invalid(1), row_id=number) for number in (98, 99)]
    nobody = [replace(invalid(None), row_id=number) for number in (96, 97)]
    found = plan(desired(want(2), invalid=[*twice, *nobody]), observed(ready(3, "multinic5"))).interfaces
    assert len({interface.key for interface in found}) == len(found) == 6


def test_where_the_database_is_reached_over_ipv6_its_link_is_left_alone_too() -> None:
    carrier = link(1, "ens5")
    host = observed(carrier, routes=[route("2001:db8::/64", carrier)])
    wanted = replace(desired(ONE), database_address=ip_address("2001:db8::1"))
    assert told(plan(wanted, host).interfaces[0]) == ("multinic0", "blocked", "in-use")
