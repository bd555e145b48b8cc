"""NetworkManager: one keyfile a link, and a .link file by which udev names it.

Only the connections that changed are loaded. A connection that is active is reapplied, which changes
what differs and takes nothing down; one that is not is brought up. What merely drifted in the
kernel is repaired by netlink. docs/backends.md has the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from multinic.backend import Render, Staged, keyfile, nmcli
from multinic.backend.detect import NETWORK_MANAGER, running
from multinic.host import Host
from multinic.links import Faults, Links
from multinic.model import DesiredLink
from multinic.naming import slot_of
from multinic.plan import Interface
from multinic.routing import default_metric

NAME = "networkmanager"

_LINKS = "/etc/systemd/network"
_SOURCES = (
    keyfile.DIRECTORY,
    "/run/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
)
_PLUGINS = ("/etc/sysconfig/network-scripts", "/etc/network/interfaces.d")
"""Directories that are read by the plugins of RHEL before 10 and of Debian."""
_INTERFACES = "/etc/network/interfaces"
_PROGRAM = "/usr/bin/nmcli"

_FILE = re.compile(rf"{keyfile.DIRECTORY}/(multinic[0-9]+)\.nmconnection|{_LINKS}/70-(multinic[0-9]+)\.link")
_MIRROR = "volatile=true"


def unusable(host: Host) -> str:
    """Return why NetworkManager cannot be used on the host; "" if it can."""
    if not host.present(_PROGRAM):
        return "nmcli is not installed"
    if not running(host, NETWORK_MANAGER):
        return "NetworkManager is not running"
    return ""


def mode(path: str) -> int:  # noqa: ARG001
    """Return 0600."""
    return keyfile.MODE


def lacks(host: Host) -> Mapping[str, str]:  # noqa: ARG001
    """Return nothing: NetworkManager has it all."""
    return {}


def tuning(link: DesiredLink) -> Mapping[str, str]:  # noqa: ARG001
    """Return nothing: NetworkManager sees to advertisements and link-local addresses itself."""
    return {}


def files(name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
    """Return the keyfile of an interface, and the file by which udev names its link."""
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


def slot_of_file(path: str) -> int | None:
    """Return the slot of multinicN.nmconnection or of 70-multinicN.link."""
    match = _FILE.fullmatch(path)
    return slot_of(match[1] or match[2]) if match else None


def managed(host: Host) -> Sequence[str]:
    """Return the files that are ours by name."""
    paths = [
        f"{directory}/{name}" for directory in (keyfile.DIRECTORY, _LINKS) for name in host.names(directory)
    ]
    return [path for path in paths if slot_of_file(path) is not None]


def foreign(host: Host) -> Sequence[str]:
    """Return all other connections, but for those that mirror what others did with a link."""
    paths = [f"{source}/{name}" for source in (*_SOURCES, *_PLUGINS) for name in host.names(source)]
    return [
        path
        for path in (*paths, _INTERFACES)
        if slot_of_file(path) is None and _MIRROR not in (host.read(path, follow=True) or "")
    ]


def watched(host: Host) -> Sequence[str]:
    """Return the directories of connections and names, and our files."""
    return (*_SOURCES, *_PLUGINS, _INTERFACES, _LINKS, *managed(host))


def stage(host: Host, interfaces: Sequence[Interface]) -> Staged:
    """Have nmcli read each keyfile: it refuses some faults, and silently leaves out what it cannot read."""
    refused: dict[str, str] = {}
    for interface in interfaces:
        texts = [
            c.new for c in interface.files if c.path == keyfile.path_of(interface.name) and c.new is not None
        ]
        for text in texts:
            if words := keyfile.unsaid(interface.desired) or keyfile.objection(host, interface.name, text):
                refused[interface.key] = words
    return Staged({}, refused)


def activate(
    host: Host,
    links: Links,
    interfaces: Sequence[Interface],
    staged: Staged,  # noqa: ARG001
    faults: Faults,
) -> None:
    """Forget removed connections, free and rename links, load changed connections, and put them to use."""
    nmcli.take_effect(host, links, interfaces, faults)


def reload(host: Host, names: Sequence[str]) -> None:
    """Have udevd read its files again, and NetworkManager those of the links that were put back."""
    nmcli.reload(host, names)
