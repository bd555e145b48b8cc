"""systemd-networkd without netplan: a .link and a .network file for each link, and one `networkctl reload`.

udev names a link by its .link file at boot and when it is plugged in; until then netlink renames it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from multinic.backend import networkctl
from multinic.backend.base import Backend, Render, Staged, paths_in
from multinic.backend.detect import NETWORKD, running
from multinic.decide.naming import slot_of
from multinic.decide.routing import ROUTE_PROTOCOL, default_metric
from multinic.host.host import Host
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.values.desired import DesiredLink
from multinic.values.plan import Interface

_ETC = "/etc/systemd/network"
_LINE = re.compile(r"\s*(?:[#;].*|\[[^\[\]]+\]|[A-Za-z0-9]+\s*=.*)?")  # what we need of systemd.syntax(7)


class Networkd(Backend):
    """Two files for each interface, for networkd and for udev."""

    name = "networkd"
    directories = (_ETC,)
    file = re.compile(r"/etc/systemd/network/10-(multinic[0-9]+)\.(?:link|network)")
    sources = ("/usr/lib/systemd/network", "/usr/local/lib/systemd/network", "/run/systemd/network", _ETC)
    needs_carrier = True

    def unusable(self, host: Host) -> str:
        return "" if running(host, NETWORKD) else "systemd-networkd is not running"

    def mode(self, path: str) -> int:
        return 0o644  # networkd, which is not root, must read them; nothing in them is secret

    def lacks(self, host: Host) -> Mapping[str, str]:
        return networkctl.lacks(host)

    def files(self, name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
        metric = default_metric(link, slot_of(name) or 0)
        context = {"name": name, "link": link, "metric": metric, "protocol": ROUTE_PROTOCOL}
        return {
            f"{_ETC}/10-{name}.{kind}": render(f"networkd/{kind}.j2", context) for kind in ("link", "network")
        }

    def without_lldp(self, link: DesiredLink, files: Mapping[str, str]) -> Mapping[str, str]:
        return {path: networkctl.without_lldp(text) for path, text in files.items()}

    def foreign(self, host: Host) -> Sequence[str]:
        """Return all other files that name or configure links, also what netplan made for networkd."""
        paths = paths_in(host, self.sources)
        return self._other_files(path for path in paths if path.endswith((".link", ".network")))

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Look for faults: networkd ignores what it does not understand, and says so only in its log."""
        refused = {}
        for interface in interfaces:
            for change in interface.files:
                if change.new is not None and (problem := _problem(change.new, interface)):
                    refused[interface.key] = f"{change.path}: {problem}"
        return Staged({}, refused)

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        """Free and rename links, and let networkd read the files once."""
        networkctl.take_effect(host, links, interfaces, {i.key for i in interfaces if i.files}, faults)

    def may_own(self, host: Host, port: int) -> bool:
        return networkctl.may_own(host, port)

    def reload(self, host: Host, names: Sequence[str]) -> None:
        networkctl.reload(host)


def _problem(text: str, interface: Interface) -> str:
    """Return the fault of a file; "" for none. Above all it must match only the link of its interface."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not _LINE.fullmatch(line):
            return f"line {number} is no section, no comment and no assignment"
    sections = re.split(r"(?m)^\s*\[", text)
    matches = "".join(section for section in sections if section.startswith("Match]"))
    selectors = {interface.name, str(interface.mac)}
    chosen = re.findall(r"(?m)^\s*(?:Name|MACAddress|PermanentMACAddress)\s*=\s*(.*?)\s*$", matches)
    if not chosen or not selectors.issuperset(chosen):
        return f"[Match] does not choose {interface.name} by its name or MAC address"
    return ""
