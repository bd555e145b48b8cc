"""Short ways to write values: a link, a row, a host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from multinic.backend.netplan import Netplan
from multinic.decide.diff import Policy
from multinic.decide.restraint import Past
from multinic.values.addresses import Mac
from multinic.values.desired import Desired, DesiredLink, InvalidRow
from multinic.values.observed import Observed, ObservedAddress, ObservedLink, ObservedRoute
from multinic.values.record import Entry

NOT_GIVEN: Any = object()


def mac(number: int) -> Mac:
    """Return the MAC address of the numbered port: fa:16:3e:00:00:NN."""
    return Mac(f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}")


def row(number: int = 1, **columns: Any) -> dict[str, Any]:
    """Return a good row of multi_interface, with these columns instead of its own."""
    return {
        "id": number,
        "port_id": f"port-{number}",
        "subnet_id": "subnet-1",
        "macaddress": str(mac(number)),
        "attached_node_name": "node1",
        "netplan_success": 0,
        **columns,
    }


def want(number: int, *addresses: str, mtu: int | None = None, row_id: int | None = None) -> DesiredLink:
    """Return what the database wants of the numbered port."""
    found = tuple(ip_interface(address) for address in addresses)
    return DesiredLink(mac(number), f"port-{number}", row_id or number, found, mtu)


def invalid(number: int | None, port_id: str = "") -> InvalidRow:
    """Return a row that cannot be carried out; None: nobody can say whose."""
    found = None if number is None else mac(number)
    return InvalidRow(
        99, found, str(found or "'zz:'"), port_id, "bad-value", "row 99: macaddress 'zz:' is bad"
    )


def link(
    number: int,
    name: str,
    *addresses: str | ObservedAddress,
    up: bool = False,
    permanent: Mac | None = NOT_GIVEN,
    **fields: Any,
) -> ObservedLink:
    """Return a link with the MAC of the numbered port, a physical one unless `permanent` says otherwise."""
    found = tuple(
        a if isinstance(a, ObservedAddress) else ObservedAddress(ip_interface(a)) for a in addresses
    )
    near = {"index": 100 + number, "mac": mac(number), "addresses": found, "up": up, "carrier": up}
    fields = near | fields
    return ObservedLink(
        name=name, permanent_mac=fields["mac"] if permanent is NOT_GIVEN else permanent, **fields
    )


def ready(number: int, name: str, *addresses: str, **fields: Any) -> ObservedLink:
    """Return a link that is up: one on which there is nothing left to do."""
    return link(number, name, *addresses, up=True, **fields)


def route(to: str, through: ObservedLink, via: str | None = None, **fields: Any) -> ObservedRoute:
    """Return a route through a link."""
    return ObservedRoute(ip_network(to), ip_address(via) if via else None, through.index, **fields)


def desired(*links: DesiredLink, invalid: Iterable[InvalidRow] = (), database: str | None = None) -> Desired:
    """Return what a database says of node1."""
    where = ip_address(database) if database else None
    return Desired("node1", links, tuple(invalid), database_address=where)


def observed(
    *links: ObservedLink,
    routes: Iterable[ObservedRoute] = (),
    files: Mapping[str, str] | None = None,
    mode: int = 0o600,
    foreign: Mapping[str, str] | None = None,
) -> Observed:
    """Return a host; all its managed files have one mode."""
    files = dict(files or {})
    return Observed(links, tuple(routes), (), files, dict.fromkeys(files, mode), dict(foreign or {}))


def path(slot: int) -> str:
    """Return the netplan file of a slot."""
    return f"/etc/netplan/9{slot}-multinic{slot}.yaml"


def text(name: str, link: DesiredLink) -> str:
    """Return what a managed file holds in these tests; real templates are the golden files' business."""
    return f"{name} {link.mac} {' '.join(map(str, link.addresses))} mtu {link.mtu}\n"


def files(*configured: tuple[int, DesiredLink]) -> dict[str, str]:
    """Return the managed files of slots that are configured."""
    return {path(slot): text(f"multinic{slot}", link) for slot, link in configured}


def entry(slot: int, applied: DesiredLink | None = None, name: str = "", mtu: int | None = None) -> Entry:
    """Return what a host remembers of a link."""
    return Entry(slot, applied.port_id if applied else "", name, mtu, applied)


def policy(max_interfaces: int = 10) -> Policy:
    """Return a policy with netplan's paths and our short text in the files; no deletion is held back."""

    def render(name: str, wanted: DesiredLink) -> Mapping[str, str]:
        slot = int(name.removeprefix("multinic"))
        return {path(slot): text(name, wanted)}

    netplan, past = Netplan(), Past(allow_mass_delete=True)
    return Policy("netplan", max_interfaces, netplan.mode, render, netplan.slot_of_file, past)
