"""systemd-networkd without netplan: a .link and a .network file a link, and one `networkctl reload`.

udev names a link by its .link file when it is plugged in and at boot; until then netlink does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from multinic.backend import Render, Staged, networkctl
from multinic.backend.detect import NETWORKD, running
from multinic.host import Host
from multinic.links import Faults, Links
from multinic.model import DesiredLink
from multinic.naming import slot_of
from multinic.plan import Interface
from multinic.routing import ROUTE_PROTOCOL, default_metric

NAME = "networkd"

_ETC = "/etc/systemd/network"
_SOURCES = ("/usr/lib/systemd/network", "/usr/local/lib/systemd/network", "/run/systemd/network", _ETC)
_FILE = re.compile(r"/etc/systemd/network/10-(multinic[0-9]+)\.(?:link|network)")
_LINE = re.compile(r"\s*(?:[#;].*|\[[^\[\]]+\]|[A-Za-z0-9]+\s*=.*)?")  # systemd.syntax(7); we need no more
_LIBRARIES = ("/usr/lib/systemd", "/usr/lib64/systemd", "/lib/systemd")


def unusable(host: Host) -> str:
    """Return why networkd cannot be used on the host; "" if it can."""
    return "" if running(host, NETWORKD) else "systemd-networkd is not running"


def mode(path: str) -> int:  # noqa: ARG001
    """Return 0644: networkd runs as a user of its own, and there is nothing secret in them."""
    return 0o644


def lacks(host: Host) -> Mapping[str, str]:
    """Return what this version of networkd cannot do."""
    version = _version(host)
    found = {}
    if version < 250:  # [IPv6AcceptRA] UseGateway=
        found["accept_ra"] = f"systemd-networkd {version} takes a default route from every router, too"
    if version < 246:  # [DHCPv6] WithoutRA=
        found["dhcp6"] = f"systemd-networkd {version} asks no DHCPv6 server unless a router tells it to"
    return found


def tuning(link: DesiredLink) -> Mapping[str, str]:  # noqa: ARG001
    """Return nothing: networkd sees to advertisements and link-local addresses itself."""
    return {}


def files(name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
    """Return the two files of an interface."""
    metric = default_metric(link, slot_of(name) or 0)
    context = {"name": name, "link": link, "metric": metric, "protocol": ROUTE_PROTOCOL}
    return {
        f"{_ETC}/10-{name}.{kind}": render(f"networkd/{kind}.j2", context) for kind in ("link", "network")
    }


def slot_of_file(path: str) -> int | None:
    """Return the slot of /etc/systemd/network/10-multinic{N}.link or .network."""
    match = _FILE.fullmatch(path)
    return slot_of(match[1]) if match else None


def managed(host: Host) -> Sequence[str]:
    """Return the files that are ours by name."""
    return [path for name in host.names(_ETC) if slot_of_file(path := f"{_ETC}/{name}") is not None]


def foreign(host: Host) -> Sequence[str]:
    """Return all other files that name or configure links, also what netplan made for networkd."""
    paths = [f"{source}/{name}" for source in _SOURCES for name in host.names(source)]
    return [p for p in paths if p.endswith((".link", ".network")) and slot_of_file(p) is None]


def watched(host: Host) -> Sequence[str]:
    """Return networkd's directories and our files."""
    return (*_SOURCES, *managed(host))


def stage(host: Host, interfaces: Sequence[Interface]) -> Staged:  # noqa: ARG001
    """Look at the files ourselves: networkd leaves out what it does not understand, and says so to nobody."""
    refused = {}
    for interface in interfaces:
        for change in interface.files:
            if change.new is not None and (problem := _problem(change.new, interface)):
                refused[interface.key] = f"{change.path}: {problem}"
    return Staged({}, refused)


def _problem(text: str, interface: Interface) -> str:
    """Return what is wrong with a file of an interface; "" for nothing.

    Above all it must match this link and no other one.
    """
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


def activate(
    host: Host,
    links: Links,
    interfaces: Sequence[Interface],
    staged: Staged,  # noqa: ARG001
    faults: Faults,
) -> None:
    """Free and rename links, and let networkd read the files once."""
    networkctl.take_effect(host, links, interfaces, {i.key for i in interfaces if i.files}, faults)


def reload(host: Host, names: Sequence[str]) -> None:  # noqa: ARG001
    """Have udevd and networkd read their files again."""
    networkctl.reload(host)


def _version(host: Host) -> int:
    """Return the version of the host's systemd, by the name of its library; a high one if it is not found."""
    for directory in _LIBRARIES:
        for name in host.names(directory):
            if found := re.fullmatch(r"libsystemd-shared-(\d+)\b.*\.so", name):
                return int(found[1])
    return 999
