"""Change links in the kernel, through pyroute2. Every call is one effect; reading is netlink.py's job."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_interface
from typing import Any

from multinic.errors import HostError
from multinic.host import Host
from multinic.model import IPInterface, IPNetwork, ObservedAddress, ObservedLink, ObservedRoute, ObservedRule
from multinic.netlink import route_to_add
from multinic.plan import Interface
from multinic.witness import Loss


class Faults(dict[str, HostError]):
    """The first error of each interface, by its key: one that fails does not stop the others."""

    @contextmanager
    def of(self, interface: Interface) -> Iterator[None]:
        """Keep an error of the block instead of raising it."""
        try:
            yield
        except HostError as e:
            self.setdefault(interface.key, e)


@contextmanager
def kept(faults: list[HostError]) -> Iterator[None]:
    """Keep an error of the block for later, and go on."""
    try:
        yield
    except HostError as e:
        faults.append(e)


_HEADER = struct.Struct("=IHHII")  # of linux/netlink.h
_ACKNOWLEDGED = struct.Struct("=i")
_NEW_ADDRESS, _NEW_ROUTE, _NEW_RULE = 20, 24, 32
_ADD = 0x605  # NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE
_SCRATCH_NAME = "mnic-tmp"  # + the link's index: at most 15 characters, and no slot's name


class Links:
    """An open netlink socket for changes. Raises HostError, which names the link."""

    def __init__(self, host: Host) -> None:
        from pyroute2 import IPRoute, NetlinkError  # as slow as ten idle passes

        self._host = host
        self._error = NetlinkError
        self._ip: Any = IPRoute()

    def close(self) -> None:
        """Close the socket."""
        self._ip.close()

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rename_all(self, wanted: Mapping[int, tuple[str, str]]) -> dict[int, HostError]:
        """Rename links, index → (old name, new name), also where two exchange their names.

        Return what went wrong, by index: a link that vanished does not keep the others.
        """
        leaving = {old for old, _ in wanted.values()}
        aside = {
            i: (old, f"{_SCRATCH_NAME}{i}") for i, (old, new) in wanted.items() if new in leaving - {old}
        }
        faults: dict[int, HostError] = {}
        # Who goes to a name that nobody bears goes before those who want the one that it leaves.
        first = {i: names for i, names in wanted.items() if i not in aside}
        for renames in (aside, first, {i: wanted[i] for i in aside}):
            for index, (old, new) in renames.items():
                if old != new and index not in faults and (error := self._renamed(index, old, new)):
                    faults[index] = error
        return faults

    def _renamed(self, index: int, old: str, new: str) -> HostError | None:
        try:
            self.rename(index, old, new)
        except HostError as e:
            return e
        return None

    def rename(self, index: int, old: str, new: str) -> None:
        """Rename one link; kernels before 6.2 need it down for that."""
        try:
            self._set(f"rename {old} to {new}", index, ifname=_name(new))
        except HostError as e:
            code = getattr(e.__cause__, "code", 0)
            if code == errno.EBUSY:
                self.down(index, old)
                self._set(f"rename {old} to {new}", index, ifname=_name(new))
                self.up(index, new)
            elif code == errno.EEXIST and self._drop_altname(index, old, new):
                self._set(f"rename {old} to {new}", index, ifname=_name(new))
            else:
                raise

    def _drop_altname(self, index: int, name: str, altname: str) -> bool:
        """Free a name that is taken by an alternative name of this very link; return whether it was."""
        try:
            self._do(
                f"drop the alternative name {altname} of {name}",
                lambda: self._ip.link("property_del", index=index, altname=[_name(altname)]),
            )
        except HostError:
            return False
        return True

    def up(self, index: int, name: str) -> None:
        """Set a link up."""
        self._set(f"set {name} up", index, state="up")

    def down(self, index: int, name: str) -> None:
        """Set a link down."""
        self._set(f"set {name} down", index, state="down")

    def mtu(self, index: int, name: str, mtu: int) -> None:
        """Set the MTU of a link."""
        self._set(f"set the MTU of {name} to {mtu}", index, mtu=mtu)

    def add_address(self, index: int, name: str, address: IPInterface) -> None:
        """Add an address; one that is there already is fine."""
        arguments: dict[str, Any] = {"address": str(address.ip), "prefixlen": address.network.prefixlen}
        if address.version == 4 and address.network.prefixlen < 31:
            arguments["broadcast"] = str(address.network.broadcast_address)
        self._do(
            f"add {address} to {name}",
            lambda: self._ip.addr("add", index=index, **arguments),
            fine=(errno.EEXIST,),
        )

    def restore_address(self, name: str, found: ObservedAddress) -> None:
        """Add an address exactly as it was observed; one that is there already is fine."""
        self._do(
            f"add {found.address} to {name}", lambda: self._add(_NEW_ADDRESS, found.raw), fine=(errno.EEXIST,)
        )

    def remove_address(self, index: int, name: str, address: IPInterface) -> None:
        """Remove an address; an absent one is fine."""
        self._do(
            f"remove {address} from {name}",
            lambda: self._ip.addr(
                "del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen
            ),
            fine=(errno.EADDRNOTAVAIL,),
        )

    def add_altname(self, index: int, name: str, altname: str) -> None:
        """Give a link an alternative name; one that it has already is fine."""
        self._do(
            f"give {name} the alternative name {altname}",
            lambda: self._ip.link("property_add", index=index, altname=[altname]),
            fine=(errno.EEXIST,),
        )

    def add_rule(self, rule: ObservedRule) -> None:
        """Add a policy-routing rule exactly as it was observed; one that is there already is fine."""
        what = f"add the rule {rule.rule.priority} for table {rule.rule.table}"
        self._do(what, lambda: self._add(_NEW_RULE, rule.raw), fine=(errno.EEXIST,))

    def add_route(self, name: str, route: ObservedRoute) -> None:
        """Add a route exactly as it was observed; one that is there already is fine."""
        what = f"add the route {route.to} on {name}"
        try:
            self._do(what, lambda: self._add(_NEW_ROUTE, route_to_add(route.raw)), fine=(errno.EEXIST,))
        except HostError:  # its next hop object may be gone for good
            by_hops = route_to_add(route.raw, by_object=False)
            if by_hops == route_to_add(route.raw):
                raise
            self._do(what, lambda: self._add(_NEW_ROUTE, by_hops), fine=(errno.EEXIST,))

    def _add(self, kind: int, payload: bytes) -> None:
        """Send the kernel a request in its own words, and raise what it objects."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.settimeout(5)
            kernel.send(_HEADER.pack(_HEADER.size + len(payload), kind, _ADD, 1, 0) + payload)
            code = -_ACKNOWLEDGED.unpack_from(kernel.recv(1 << 16), _HEADER.size)[0]
        if code:
            raise self._error(code, os.strerror(code))

    def _set(self, what: str, index: int, **arguments: Any) -> None:
        self._do(what, lambda: self._ip.link("set", index=index, **arguments))

    def _do(self, what: str, call: Callable[[], object], fine: tuple[int, ...] = ()) -> None:
        with self._host.effect(what):
            try:
                call()
            except self._error as e:
                if e.code in fine:
                    return
                raise HostError(f"cannot {what}: {os.strerror(e.code)}", _HINTS.get(e.code, "")) from e
            except OSError as e:
                raise HostError(f"cannot {what}: {e.strerror or e}") from e


_HINTS = {errno.EPERM: "run as root", errno.ENODEV: "the link was unplugged meanwhile"}


def rename_pending(links: Links, interfaces: Iterable[Interface], faults: Faults) -> None:
    """Give all links of a plan their new names, the removed ones first."""
    renamed = {
        interface.link.index: (interface, interface.link.name)
        for interface in interfaces
        if interface.link is not None and interface.target_name != interface.link.name
    }
    wanted = {index: (old, interface.target_name) for index, (interface, old) in renamed.items()}
    for index, error in links.rename_all(wanted).items():
        faults.setdefault(renamed[index][0].key, error)


def free(links: Links, interface: Interface) -> None:
    """Take our configuration off a link that is to be removed; its name is changed elsewhere."""
    link = interface.link
    if link is None:
        return
    for change in interface.changes:
        if change.field == "address":
            links.remove_address(link.index, link.name, ip_interface(change.old))
    for change in interface.changes:
        if change.field == "state":
            links.down(link.index, link.name)
        elif change.field == "mtu":
            links.mtu(link.index, link.name, int(change.new))


def converge(links: Links, interface: Interface) -> None:
    """Make a link as it is desired, by netlink alone; the link has its new name already."""
    link, desired = interface.link, interface.desired
    if link is None or desired is None:
        return
    name = interface.name
    gone = [ip_interface(c.old) for c in interface.changes if c.field == "address" and not c.new]
    for change in interface.changes:
        if change.field == "mtu":
            links.mtu(link.index, name, int(change.new))
    for address in gone:
        links.remove_address(link.index, name, address)
    for found in link.addresses:
        if found.dadfailed and found.address in desired.addresses:  # the kernel tries no second time
            links.remove_address(link.index, name, found.address)
    links.up(link.index, name)
    for address in desired.addresses:  # all of them: a rename with an older kernel loses some
        links.add_address(link.index, name, address)
    # With its first address a subnet loses those that others added, unless promote_secondaries is set.
    emptied = {address.network for address in gone}
    for found in link.addresses:
        if found.address.network in emptied and found.address not in gone and not found.kernel:
            links.restore_address(name, found)


def restore_mtu(links: Links, interface: Interface) -> None:
    """Set the MTU that a plan asks for, and nothing else."""
    for change in interface.changes:
        if change.field == "mtu" and interface.link is not None:
            links.mtu(interface.link.index, interface.name, int(change.new))


def give_back(links: Links, losses: Iterable[Loss]) -> None:
    """Give links that were no target of a change what they lost by it.

    What cannot be given back does not keep the rest. Raises the first HostError at the end.
    """
    faults: list[HostError] = []
    # Links and addresses first, then routes to what is near, by which gateways are reached.
    for loss in sorted(losses, key=lambda loss: (loss.route is not None, *_nearness(loss.route))):
        with kept(faults):
            _give_back(links, loss)
    for fault in faults:
        raise fault


def _nearness(route: ObservedRoute | None) -> tuple[bool, int]:
    return route is not None and route.via is not None, -route.to.prefixlen if route else 0


def _give_back(links: Links, loss: Loss) -> None:
    if loss.rule is not None:
        links.add_rule(loss.rule)
    if loss.route is not None:
        links.add_route(loss.link.name if loss.link else "no link", loss.route)
    link = loss.link
    if link is None:
        return
    if loss.name:
        links.rename(link.index, link.name, loss.name)
    if loss.up:
        links.up(link.index, link.name)
    if loss.mtu:
        links.mtu(link.index, link.name, loss.mtu)
    if loss.address is not None:
        links.restore_address(link.name, loss.address)


def primaries(link: ObservedLink) -> dict[IPNetwork, IPInterface]:
    """Return the first IPv4 address of each subnet on a link: the kernel sends from it."""
    found: dict[IPNetwork, IPInterface] = {}
    for address in (item.address for item in link.addresses if item.address.version == 4):
        found.setdefault(address.network, address)
    return found


def put_back(links: Links, before: ObservedLink, now: ObservedLink, routes: Iterable[ObservedRoute]) -> None:
    """Make a link as it was observed before; it has its old name already.

    Where another address came first in a subnet, all of that subnet are removed and added again in
    their order. The kernel may take more away than it was told to: look again afterwards.
    """
    index, name = before.index, before.name
    old = {found.address for found in before.addresses if not found.kernel}
    first, first_now = primaries(before), primaries(now)
    present = set()
    for found in now.addresses:
        network = found.address.network
        in_order = network not in first or first[network] == first_now.get(network)
        if found.kernel or (found.address in old and in_order):
            present.add(found.address)
        else:
            links.remove_address(index, name, found.address)
    if now.mtu != before.mtu:
        links.mtu(index, name, before.mtu)
    if not before.up:
        if now.up:
            links.down(index, name)
    elif not now.up:
        links.up(index, name)
    for altname in before.altnames:
        if altname not in now.altnames:
            links.add_altname(index, name, altname)
    for found in before.addresses:
        if not found.kernel and (found.address not in present or not now.up):
            links.restore_address(name, found)
    for route in sorted(routes, key=_nearness):
        links.add_route(name, route)


def _name(text: str) -> str | bytes:
    """Return a name for pyroute2; one that is no text goes back as the bytes that it came as."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape")
