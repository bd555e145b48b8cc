"""Change links in the kernel, through pyroute2. Every call is one effect; reading is netlink.py's job."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_interface
from typing import Any

from multinic.errors import HostError
from multinic.host import Host
from multinic.model import IPInterface, ObservedLink, ObservedRoute, ObservedRule
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
        for renames in (aside, wanted):
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
            self._set(f"rename {old} to {new}", index, ifname=new)
        except HostError as e:
            code = getattr(e.__cause__, "code", 0)
            if code == errno.EBUSY:
                self.down(index, old)
                self._set(f"rename {old} to {new}", index, ifname=new)
                self.up(index, new)
            elif code == errno.EEXIST and self._drop_altname(index, old, new):
                self._set(f"rename {old} to {new}", index, ifname=new)
            else:
                raise

    def _drop_altname(self, index: int, name: str, altname: str) -> bool:
        """Free a name that is taken by an alternative name of this very link; return whether it was."""
        try:
            self._do(
                f"drop the alternative name {altname} of {name}",
                lambda: self._ip.link("property_del", index=index, altname=[altname]),
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

    def remove_address(self, index: int, name: str, address: IPInterface) -> None:
        """Remove an address; an absent one is fine."""
        self._do(
            f"remove {address} from {name}",
            lambda: self._ip.addr(
                "del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen
            ),
            fine=(errno.EADDRNOTAVAIL,),
        )

    def add_rule(self, rule: ObservedRule) -> None:
        """Add a policy-routing rule as it was observed; one that is there already is fine."""
        arguments: dict[str, Any] = {
            "table": rule.rule.table,
            "priority": rule.rule.priority,
            "protocol": rule.protocol,
            "family": rule.family,
        }
        if rule.rule.source is not None:
            arguments["src"] = str(rule.rule.source.network_address)
            arguments["src_len"] = rule.rule.source.prefixlen
        if rule.rule.destination is not None:
            arguments["dst"] = str(rule.rule.destination.network_address)
            arguments["dst_len"] = rule.rule.destination.prefixlen
        self._do(
            f"add the rule {rule.rule.priority} for table {rule.rule.table}",
            lambda: self._ip.rule("add", **arguments),
            fine=(errno.EEXIST,),
        )

    def add_route(self, name: str, route: ObservedRoute) -> None:
        """Add a route as it was observed; one that is there already is fine."""
        arguments: dict[str, Any] = {
            "dst": str(route.to),
            "oif": route.link,
            "table": route.table,
            "proto": route.protocol,
            "family": 2 if route.to.version == 4 else 10,
        }
        if route.via is not None:
            arguments["gateway"] = str(route.via)
        if route.metric:
            arguments["priority"] = route.metric
        self._do(
            f"add the route {route.to} on {name}",
            lambda: self._ip.route("add", **arguments),
            fine=(errno.EEXIST,),
        )

    def _set(self, what: str, index: int, **arguments: Any) -> None:
        self._do(what, lambda: self._ip.link("set", index=index, **arguments))

    def _do(self, what: str, call: Callable[[], object], fine: tuple[int, ...] = ()) -> None:
        with self._host.effect(what):
            try:
                call()
            except self._error as e:
                if e.code in fine:
                    return
                raise HostError(f"cannot {what}: {_words(e.code)}", _HINTS.get(e.code, "")) from e
            except OSError as e:
                raise HostError(f"cannot {what}: {e.strerror or e}") from e


_HINTS = {errno.EPERM: "run as root", errno.ENODEV: "the link was unplugged meanwhile"}


def _words(code: int) -> str:
    import os

    return os.strerror(code)


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
    for change in interface.changes:
        if change.field == "mtu":
            links.mtu(link.index, name, int(change.new))
        elif change.field == "address" and not change.new:
            links.remove_address(link.index, name, ip_interface(change.old))
    for found in link.addresses:
        if found.dadfailed and found.address in desired.addresses:  # the kernel tries no second time
            links.remove_address(link.index, name, found.address)
    links.up(link.index, name)
    for address in desired.addresses:  # all of them: a rename with an older kernel loses some
        links.add_address(link.index, name, address)


def restore_mtu(links: Links, interface: Interface) -> None:
    """Set the MTU that a plan asks for, and nothing else."""
    for change in interface.changes:
        if change.field == "mtu" and interface.link is not None:
            links.mtu(interface.link.index, interface.name, int(change.new))


def give_back(links: Links, losses: Iterable[Loss]) -> None:
    """Give links that were no target of a change what they lost by it. Raises HostError."""
    for loss in losses:
        if loss.rule is not None:
            links.add_rule(loss.rule)
        link = loss.link
        if link is None:
            continue
        if loss.name:
            links.rename(link.index, link.name, loss.name)
        if loss.up:
            links.up(link.index, link.name)
        if loss.mtu:
            links.mtu(link.index, link.name, loss.mtu)
        if loss.address is not None:
            links.add_address(link.index, link.name, loss.address)
        if loss.route is not None:
            links.add_route(link.name, loss.route)


def put_back(links: Links, before: ObservedLink, now: ObservedLink, routes: Iterable[ObservedRoute]) -> None:
    """Make a link as it was observed before; it has its old name already."""
    index, name = before.index, before.name
    old = {found.address for found in before.addresses if not found.kernel}
    for found in now.addresses:
        if not found.kernel and found.address not in old:
            links.remove_address(index, name, found.address)
    if now.mtu != before.mtu:
        links.mtu(index, name, before.mtu)
    if not before.up:
        if now.up:
            links.down(index, name)
    elif not now.up:
        links.up(index, name)
    present = {found.address for found in now.addresses}
    for found in before.addresses:
        if not found.kernel and (found.address not in present or not now.up):
            links.add_address(index, name, found.address)
    for route in routes:
        links.add_route(name, route)
