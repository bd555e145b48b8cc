"""The actors of the demo besides multinic: the cloud, the controller, and a user with a root shell."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multinic.host.ending import uninterrupted
from multinic.values.errors import HostError, Refused
from multinic.values.rtnetlink import LINK_SCOPE, MAIN_TABLE


@dataclass(frozen=True)
class Link:
    """A link of the namespace as it is now; read by pyroute2, not by the code that the demo shows."""

    index: int
    mac: str
    up: bool
    mtu: int
    addresses: tuple[str, ...]
    """Without those that the kernel made itself."""
    routes: tuple[str, ...]


class Cloud:
    """Plugs links into the namespace, and changes them as a user with a root shell would.

    The other end of each link stands for the cloud's switch; its name is port1, port2 and so on.
    Raises Refused if the namespace is not new: in a new one even lo is down.
    """

    def __init__(self) -> None:
        from pyroute2 import IPRoute, NetlinkError

        self._error = NetlinkError
        with uninterrupted():
            self._ip: Any = IPRoute()
        self._ports = 0
        if any(found.up for found in self.links().values()):
            raise Refused(
                "this network namespace is not new; nothing was changed", "start `multinic demo` again"
            )

    def close(self) -> None:
        """Close the socket; the links end with the namespace."""
        with uninterrupted():
            self._ip.close()

    def plug(self, name: str, mac: str) -> None:
        """Make a link appear, down and without configuration, as a cloud does."""
        self._ports += 1
        port = f"port{self._ports}"
        self._do(
            "make a veth link",
            lambda: self._ip.link("add", ifname=name, kind="veth", address=mac, peer={"ifname": port}),
        )
        self._do(
            "set its other end up", lambda: self._ip.link("set", index=self.link(port).index, state="up")
        )

    def change(self, name: str, **what: object) -> None:
        """Set properties of a link: `state`, `mtu`, `ifname`."""
        self._do(f"change {name}", lambda: self._ip.link("set", index=self.link(name).index, **what))

    def address(self, command: str, name: str, address: str) -> None:
        """Change an address of a link; `command`: "add" or "del"."""
        plain, _, prefix = address.partition("/")
        self._do(
            f"{command} {address}",
            lambda: self._ip.addr(command, index=self.link(name).index, address=plain, prefixlen=int(prefix)),
        )

    def default_route(self, gateway: str) -> None:
        self._do("add the default route", lambda: self._ip.route("add", dst="0.0.0.0/0", gateway=gateway))

    def links(self) -> dict[str, Link]:
        """Return the links of the namespace by name."""
        with uninterrupted():  # an exception from a signal handler breaks pyroute2's event loop
            return self._links()

    def _links(self) -> dict[str, Link]:
        addresses: dict[int, list[str]] = {}
        for message in self._ip.get_addr():
            if message["scope"] < LINK_SCOPE:
                given = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
                addresses.setdefault(message["index"], []).append(f"{given}/{message['prefixlen']}")
        routes: dict[int, list[str]] = {}
        for message in self._ip.get_routes(table=MAIN_TABLE):
            to = f"{message.get_attr('RTA_DST') or 'default'}/{message['dst_len']}"
            via = message.get_attr("RTA_GATEWAY") or "on link"
            routes.setdefault(message.get_attr("RTA_OIF"), []).append(f"{to} {via}")
        return {
            message.get_attr("IFLA_IFNAME"): Link(
                index=message["index"],
                mac=message.get_attr("IFLA_ADDRESS"),
                up=bool(message["flags"] & 1),
                mtu=message.get_attr("IFLA_MTU"),
                addresses=tuple(addresses.get(message["index"], ())),
                routes=tuple(routes.get(message["index"], ())),
            )
            for message in self._ip.get_links()
        }

    def link(self, name: str) -> Link:
        """Return one link. Raises HostError if there is none of that name."""
        found = self.links().get(name)
        if found is None:
            raise HostError(f"there is no link {name} in the demo's namespace")
        return found

    def _do(self, what: str, call: Callable[[], object]) -> None:
        try:
            with uninterrupted():
                call()
        except (self._error, OSError) as e:
            raise HostError(
                f"the demo cannot {what} in its namespace: {e}", "try it on another machine"
            ) from e


class Controller:
    """Writes the rows, and reads the results that multinic writes."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)

    def close(self) -> None:
        self._database.close()

    def subnet(self, subnet_id: str, cidr: str) -> None:
        self._database.execute("INSERT INTO multi_subnet (subnet_id, cidr) VALUES (?, ?)", (subnet_id, cidr))

    def port(self, node: str, port_id: str, mac: str, subnet_id: str, address: str, mtu: int | None) -> None:
        """Attach a port to the node."""
        self._database.execute(
            "INSERT INTO multi_interface (port_id, subnet_id, macaddress, attached_node_name, address, mtu)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (port_id, subnet_id, mac, node, address, mtu),
        )

    def readdress(self, port_id: str, address: str) -> None:
        """Give a port another address."""
        self._database.execute("UPDATE multi_interface SET address = ? WHERE port_id = ?", (address, port_id))

    def detach(self, port_id: str) -> None:
        """Take a port away."""
        self._database.execute("DELETE FROM multi_interface WHERE port_id = ?", (port_id,))

    def rows(self, columns: str) -> Sequence[tuple[Any, ...]]:
        """Return columns of the rows, in the order of their ids."""
        joined = "multi_interface JOIN multi_subnet USING (subnet_id)"
        return self._database.execute(
            f"SELECT {columns} FROM {joined} ORDER BY multi_interface.id"  # noqa: S608 - the demo's own words
        ).fetchall()
