"""Change links in the kernel, through pyroute2. Every call is one effect; reader.py reads links.

What needs a message of a few bytes alone does without: pyroute2 takes as long to import as ten idle passes.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from multinic.decide.routing import ROUTE_PROTOCOL
from multinic.host.ending import uninterrupted
from multinic.host.host import Host
from multinic.kernel import ports
from multinic.kernel.messages import LINK, route_to_add
from multinic.kernel.parts import HEADER
from multinic.kernel.pyroute import iproute
from multinic.kernel.refusals import answer, why_not_added
from multinic.values.addresses import IPInterface
from multinic.values.desired import Route, Rule
from multinic.values.errors import HostError
from multinic.values.observed import ObservedAddress, ObservedRoute, ObservedRule
from multinic.values.rtnetlink import LINK_SCOPE

_NETLINK, _SHORT_ANSWERS, _SENTENCES = 270, 10, 11  # SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK
_NEW_ADDRESS, _NEW_ROUTE, _NEW_RULE = 20, 24, 32
_DELETE_ROUTE, _DELETE_RULE = 25, 33
_ADD = 0x605  # NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE
_CHANGE = 0x005  # NLM_F_REQUEST | NLM_F_ACK
_SET_LINK, _UP = 16, 1  # RTM_NEWLINK, IFF_UP
_ON_LINK = 4  # RTNH_F_ONLINK
_SCRATCH_NAME = "mnic-tmp"  # + the link's index: at most 15 characters, and no slot's name


class Links:
    """An open netlink socket for changes. Raises HostError, which names the link."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        ports.ours()  # notes those of this socket
        if "_ip" in self.__dict__:
            with uninterrupted():
                self._ip.close()

    @cached_property
    def _ip(self) -> Any:
        with uninterrupted():
            return iproute()[0](ext_ack=True)  # so that the kernel says what it minds

    @property
    def _error(self) -> Any:
        return iproute()[1]

    def rename_all(self, wanted: Mapping[int, tuple[str, str]]) -> dict[int, HostError]:
        """Rename links, index → (old name, new name), also if two links exchange their names.

        Return the errors by index: a link that vanished does not stop the others.
        """
        leaving = {old for old, _ in wanted.values()}
        aside = {
            i: (old, f"{_SCRATCH_NAME}{i}") for i, (old, new) in wanted.items() if new in leaving - {old}
        }
        faults: dict[int, HostError] = {}
        # Links that take a free name come first, so that the names they give up are free for the others.
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
        """Rename one link; kernels before 6.2 rename only a link that is down."""
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
        """Remove an alternative name of a link, so that it can become its name; return whether it had it."""
        try:
            self._do(
                f"drop the alternative name {altname} of {name}",
                lambda: self._ip.link("property_del", index=index, altname=[_name(altname)]),
            )
        except HostError:
            return False
        return True

    def up(self, index: int, name: str) -> None:
        self._set_flags(f"set {name} up", index, _UP)

    def down(self, index: int, name: str) -> None:
        self._set_flags(f"set {name} down", index, 0)

    def mtu(self, index: int, name: str, mtu: int) -> None:
        self._set(f"set the MTU of {name} to {mtu}", index, mtu=mtu)

    def txqueuelen(self, index: int, name: str, packets: int) -> None:
        self._set(f"set the transmit queue of {name} to {packets}", index, txqlen=packets)

    def alias(self, index: int, name: str, text: str) -> None:
        """Set the alias of a link, the description that `ip link` shows; "" removes it."""
        self._set(f"describe {name}", index, ifalias=_name(text))

    def add_route(self, index: int, name: str, route: Route) -> None:
        """Add a route of ours; it may be there already."""
        arguments: dict[str, Any] = {"dst": str(route.to), "oif": index, "table": route.table}
        arguments |= {"proto": ROUTE_PROTOCOL, "family": _FAMILY[route.to.version]}
        if route.metric:
            arguments["priority"] = route.metric
        if route.via is not None:
            arguments["gateway"] = str(route.via)
        elif route.to.version == 4:
            arguments["scope"] = LINK_SCOPE
        if route.on_link:
            arguments["flags"] = _ON_LINK
        what = f"add the route {route} on {name}"
        self._do(what, lambda: self._ip.route("add", **arguments), fine=(errno.EEXIST,))

    def add_rule(self, rule: Rule) -> None:
        """Add a policy-routing rule of ours; it may be there already."""
        arguments: dict[str, Any] = {
            "table": rule.table,
            "priority": rule.priority,
            "protocol": ROUTE_PROTOCOL,
        }
        for key, network in (("src", rule.source), ("dst", rule.destination)):
            if network is not None:
                arguments |= {key: str(network.network_address), f"{key}_len": network.prefixlen}
                arguments["family"] = _FAMILY[network.version]
        what = f"add the rule {rule}"
        self._do(what, lambda: self._ip.rule("add", **arguments), fine=(errno.EEXIST,))

    def remove_route(self, name: str, route: ObservedRoute) -> None:
        """Remove exactly the route that was observed; it may be gone already."""
        what = f"remove the route {route} from {name}"
        payload = route_to_add(route.raw)
        by_object = payload != route_to_add(route.raw, by_object=False)
        # A route goes with its next hop object, and of that the kernel says: Nexthop id does not exist.
        fine = (*_GONE, errno.EINVAL) if by_object else _GONE
        self._do(what, lambda: self._request(_DELETE_ROUTE, _CHANGE, payload), fine=fine)

    def remove_rule(self, rule: ObservedRule) -> None:
        """Remove exactly the rule that was observed; it may be gone already."""
        what = f"remove the rule {rule}"
        self._do(what, lambda: self._request(_DELETE_RULE, _CHANGE, rule.raw), fine=_GONE)

    def add_address(self, index: int, name: str, address: IPInterface) -> None:
        """Add an address; it may be there already."""
        arguments: dict[str, Any] = {"address": str(address.ip), "prefixlen": address.network.prefixlen}
        if address.version == 4 and address.network.prefixlen < 31:
            arguments["broadcast"] = str(address.network.broadcast_address)
        try:
            self._do(
                f"add {address} to {name}", lambda: self._ip.addr("add", index=index, **arguments), fine=()
            )
        except HostError as e:
            code = getattr(e.__cause__, "code", 0)
            if error := why_not_added(index, name, address, code):
                raise error from e
            if code != errno.EEXIST:
                raise

    def make_permanent(self, index: int, name: str, address: IPInterface) -> None:
        """Take the lifetime off an address that a router or a server gave; connections from it go on."""
        self._do(
            f"make {address} on {name} permanent",
            lambda: self._ip.addr(
                "replace", index=index, address=str(address.ip), prefixlen=address.network.prefixlen
            ),
        )

    def restore_address(self, name: str, found: ObservedAddress) -> None:
        """Add an address exactly as it was observed; it may be there already."""
        self._do(
            f"add {found.address} to {name}", lambda: self._add(_NEW_ADDRESS, found.raw), fine=(errno.EEXIST,)
        )

    def remove_address(self, index: int, name: str, address: IPInterface) -> None:
        """Remove an address; it may be gone already."""
        self._do(
            f"remove {address} from {name}",
            lambda: self._ip.addr(
                "del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen
            ),
            fine=(errno.EADDRNOTAVAIL,),
        )

    def add_altname(self, index: int, name: str, altname: str) -> None:
        """Give a link an alternative name; it may have it already."""
        self._do(
            f"give {name} the alternative name {altname}",
            lambda: self._ip.link("property_add", index=index, altname=[_name(altname)]),
            fine=(errno.EEXIST,),
        )

    def restore_rule(self, rule: ObservedRule) -> None:
        """Add a policy-routing rule exactly as it was observed; it may be there already."""
        what = f"add the rule {rule.rule.priority} for table {rule.rule.table}"
        self._do(what, lambda: self._add(_NEW_RULE, rule.raw), fine=(errno.EEXIST,))

    def restore_route(self, name: str, route: ObservedRoute) -> None:
        """Add a route exactly as it was observed; it may be there already."""
        what = f"add the route {route.to} on {name}"
        try:
            self._do(what, lambda: self._add(_NEW_ROUTE, route_to_add(route.raw)), fine=(errno.EEXIST,))
        except HostError:  # its next hop object may be gone for good
            by_hops = route_to_add(route.raw, by_object=False)
            if by_hops == route_to_add(route.raw):
                raise
            self._do(what, lambda: self._add(_NEW_ROUTE, by_hops), fine=(errno.EEXIST,))

    def _add(self, kind: int, payload: bytes) -> None:
        self._request(kind, _ADD, payload)

    def _request(self, kind: int, flags: int, payload: bytes) -> None:
        """Send the kernel a request with a payload from one of its dumps. Raises NetlinkError."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.settimeout(5)
            for option in (_SHORT_ANSWERS, _SENTENCES):
                kernel.setsockopt(_NETLINK, option, 1)
            kernel.bind((0, 0))
            ports.used(kernel.getsockname()[0])
            kernel.send(HEADER.pack(HEADER.size + len(payload), kind, flags, 1, 0) + payload)
            code, words = answer(kernel.recv(1 << 16))
        if code:
            raise self._error(code, words)

    def _set_flags(self, what: str, index: int, flags: int) -> None:
        payload = LINK.pack(0, 0, index, flags, _UP)
        self._do(what, lambda: self._request(_SET_LINK, _CHANGE, payload))

    def _set(self, what: str, index: int, **arguments: Any) -> None:
        self._do(what, lambda: self._ip.link("set", index=index, **arguments))

    def _do(self, what: str, call: Callable[[], object], fine: tuple[int, ...] = ()) -> None:
        with self._host.effect(what):
            try:
                with uninterrupted():  # an exception from a signal handler breaks pyroute2's event loop
                    call()
            except self._error as e:
                if e.code in fine:
                    return
                words = os.strerror(e.code)
                said = str(e.args[-1])
                words += f" ({said})" if said not in ("", words) else ""
                raise HostError(f"cannot {what}: {words}", _HINTS.get(e.code, "")) from e
            except OSError as e:
                raise HostError(f"cannot {what}: {e.strerror or e}") from e


_GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV)
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_HINTS = {errno.EPERM: "run as root", errno.ENODEV: "the link was unplugged meanwhile"}


def _name(text: str) -> str | bytes:
    """Return a name for pyroute2; a name that is not ASCII as the bytes that the kernel has."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape")
