"""What others have on a link that a change is about, and what rows, files and services put there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from multinic.decide.others import losses_on_targets, others_on
from multinic.values.desired import Options, Route
from multinic.values.observed import ObservedAddress, ObservedRoute, Surroundings
from multinic.values.plan import Change, FileChange, Interface, State
from multinic.values.record import Entry
from tests.unit.making import ready, route, want

APPLIED = replace(want(1, "10.0.0.5/24"), routes=(Route(ip_network("10.9.0.0/16"), metric=0),))
LINK = ready(1, "multinic0")


def change(**values: object) -> Interface:
    """Return the change of a link whose row and configuration are known."""
    link = LINK
    interface = Interface(
        name="multinic0",
        mac=link.mac,
        mac_text=str(link.mac),
        port_id="port-1",
        row_id=1,
        state=State.UPDATE,
        reason="changed",
        message="",
        link=link,
        desired=replace(APPLIED, mtu=1400),
        entry=Entry(0, "port-1", applied=APPLIED),
    )
    return replace(interface, **values)  # type: ignore[arg-type]


def address(text: str, **fields: object) -> ObservedAddress:
    return ObservedAddress(ip_interface(text), **fields)  # type: ignore[arg-type]


DHCP = replace(APPLIED, options=Options(dhcp4=True))
BY_DHCP = change(desired=DHCP, entry=Entry(0, "port-1", applied=DHCP))
ADOPTED = change(
    entry=None,
    files=(FileChange("/etc/netplan/90-multinic0.yaml", 'addresses: ["10.7.0.1/24"]', "new", 0o600),),
)
REMOVING = change(changes=(Change("address", ip_interface("10.0.0.6/24"), None),))


@pytest.mark.parametrize(
    ("interface", "found", "kept"),
    [
        pytest.param(change(), address("10.0.0.200/32"), True, id="a virtual address"),
        pytest.param(change(), address("10.0.0.201/24", leased=True), True, id="one with a lifetime"),
        pytest.param(change(), address("10.0.0.5/24"), False, id="the row's own"),
        pytest.param(REMOVING, address("10.0.0.6/24"), False, id="one that the change removes"),
        pytest.param(change(), address("fd00::1/64", kernel=True), False, id="the kernel's"),
        pytest.param(change(), address("fe80::9/64"), False, id="link-local, where the row wants none"),
        pytest.param(BY_DHCP, address("10.0.0.77/24", leased=True), False, id="a lease"),
        pytest.param(BY_DHCP, address("10.0.0.200/32"), True, id="a virtual address beside a lease"),
        pytest.param(ADOPTED, address("10.7.0.1/24"), False, id="one in the file of an earlier agent"),
        pytest.param(ADOPTED, address("10.7.0.2/24"), True, id="one in no file"),
        pytest.param(ADOPTED, address("10.7.0.3/24", leased=True), False, id="a lease of before us"),
        pytest.param(
            change(state=State.DELETE, desired=None), address("10.0.0.200/32"), False, id="of a link to free"
        ),
    ],
)
def test_an_address_is_of_others_if_nothing_of_ours_put_it_there(
    interface: Interface, found: ObservedAddress, kept: bool
) -> None:
    others = others_on(interface, Surroundings((replace(LINK, addresses=(found,)),), (), ()))
    assert (others.link.addresses if others else ()) == ((found,) if kept else ())


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        pytest.param(route("10.20.0.0/16", LINK, "10.0.0.1", protocol=3), True, id="by hand"),
        pytest.param(route("10.20.0.0/16", LINK, "10.0.0.1", protocol=12), True, id="of BIRD"),
        pytest.param(route("10.20.0.0/16", LINK, protocol=4, table=77), True, id="of another table"),
        pytest.param(route("10.9.0.0/16", LINK, protocol=4), False, id="of the row, by the service"),
        pytest.param(route("10.20.0.0/16", LINK, protocol=114), False, id="with our number"),
        pytest.param(route("10.0.0.0/24", LINK, protocol=2), False, id="of the kernel"),
        pytest.param(route("::/0", LINK, "fe80::1", protocol=9), False, id="advertised"),
    ],
)
def test_a_route_is_of_others_if_nothing_of_ours_put_it_there(found: ObservedRoute, kept: bool) -> None:
    others = others_on(change(), Surroundings((LINK,), (found,), ()))
    assert (others.routes if others else ()) == ((found,) if kept else ())


def test_what_its_owner_took_away_is_no_loss_nor_are_the_routes_that_hang_on_it() -> None:
    virtual, other = address("10.0.0.200/32"), address("fd00::200/128")
    hanging = route("10.20.0.0/16", LINK, "10.0.0.1", protocol=3)
    before = Surroundings((replace(LINK, addresses=(virtual, other)),), (hanging,), ())
    others = others_on(change(), before)
    assert others is not None
    after = Surroundings((LINK,), (), ())
    assert len(losses_on_targets([others], after)) == 3
    (loss,) = losses_on_targets([others], after, {(LINK.index, virtual.address)})
    assert loss.address == other
