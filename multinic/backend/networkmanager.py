"""NetworkManager: one keyfile for each link, and a .link file by which udev names it.

Only the connections that changed are loaded. An active connection is reapplied: that changes only what
differs, and takes nothing down. Another one is brought up. If a link only drifted in the kernel, netlink
repairs it. docs/backends.md has the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from multinic.backend import keyfile, nmcli, sockets
from multinic.backend.base import Backend, Render, Staged, paths_in
from multinic.backend.detect import NETWORK_MANAGER, running
from multinic.decide.naming import slot_of
from multinic.decide.routing import default_metric
from multinic.host.host import Host
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.values.desired import DesiredLink
from multinic.values.plan import Interface

_LINKS = "/etc/systemd/network"
_CONNECTIONS = (
    keyfile.DIRECTORY,
    "/run/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
    # Of plugins: that of RHEL before 10, and that of Debian.
    "/etc/sysconfig/network-scripts",
    "/etc/network/interfaces.d",
)
_INTERFACES = "/etc/network/interfaces"
_PROGRAM = "/usr/bin/nmcli"
_LEASE = re.compile(r"(?m)^dhcp[46]\.ip6?_address=(\S+)$")
_MIRROR = "volatile=true"


class NetworkManager(Backend):
    """One connection for each interface, and a file by which udev names its link."""

    name = "networkmanager"
    directories = (keyfile.DIRECTORY, _LINKS)
    file = re.compile(
        # An earlier agent wrote those with 90-.
        rf"{keyfile.DIRECTORY}/(?:90-)?(multinic[0-9]+)\.nmconnection|{_LINKS}/[79]0-(multinic[0-9]+)\.link"
    )
    # It gives every device a metric of its own, from 100 on: a later one never wins over an earlier one.
    connected_metric: Mapping[int, int] = MappingProxyType({4: 101, 6: 101})
    sources = (*_CONNECTIONS, _INTERFACES, _LINKS)

    def unusable(self, host: Host) -> str:
        if not host.present(_PROGRAM):
            return "nmcli is not installed"
        if not running(host, NETWORK_MANAGER):
            return "NetworkManager is not running"
        return ""

    def mode(self, path: str) -> int:
        return keyfile.MODE

    def files(self, name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
        context = {
            "name": name,
            "link": link,
            "uuid": keyfile.uuid_for(name, link),
            "metric": default_metric(link, slot_of(name) or 0),
        }
        return {
            keyfile.path_of(name): render("networkmanager/keyfile.j2", context),
            f"{_LINKS}/70-{name}.link": render("networkmanager/link.j2", context),
        }

    def foreign(self, host: Host) -> Sequence[str]:
        """Return all other connections, without those that mirror what other programs did with a link."""
        others = self._other_files([*paths_in(host, _CONNECTIONS), _INTERFACES])
        return [path for path in others if _MIRROR not in (host.read(path, follow=True) or "")]

    def lease_files(self, index: int, name: str) -> Sequence[str]:
        return (f"/run/NetworkManager/devices/{index}",)

    def leases(self, host: Host, index: int, name: str) -> Collection[str]:
        """Return the leased addresses: the kernel does not know that one in our connection is leased, too."""
        (path,) = self.lease_files(index, name)
        return _LEASE.findall(host.read(path, follow=True) or "")

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Have nmcli read each keyfile: it refuses some faults, and ignores others without a word."""
        refused: dict[str, str] = {}
        for interface in interfaces:
            path = keyfile.path_of(interface.name)
            for text in [c.new for c in interface.files if c.path == path and c.new is not None]:
                problem = keyfile.unsupported(interface.desired)
                if words := problem or keyfile.objection(host, interface.name, text):
                    refused[interface.key] = words
        return Staged({}, refused)

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        nmcli.take_effect(host, links, interfaces, faults)

    def may_own(self, host: Host, port: int) -> bool:
        return sockets.may_own(host, NETWORK_MANAGER, port)

    def reload(self, host: Host, names: Sequence[str]) -> None:
        nmcli.reload(host, names)
