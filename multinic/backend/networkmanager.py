"""NetworkManager: one keyfile a link, and a .link file by which udev names it.

Only the connections that changed are loaded. A connection that is active is reapplied, which changes
what differs and takes nothing down; one that is not is brought up. What merely drifted in the
kernel is repaired by netlink. docs/backends.md has the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from multinic.backend import Render, Staged
from multinic.backend.detect import NETWORK_MANAGER, running
from multinic.configure import converge, free, rename_pending, restore_mtu
from multinic.errors import CommandFailed, HostError
from multinic.host import Host
from multinic.links import Faults, Links, kept
from multinic.model import DesiredLink
from multinic.naming import slot_of
from multinic.paths import SCRATCH, UNFINISHED
from multinic.plan import Interface, State
from multinic.routing import default_metric

NAME = "networkmanager"
_MODE = 0o600  # NetworkManager ignores a keyfile that others may read

_KEYFILES = "/etc/NetworkManager/system-connections"
_LINKS = "/etc/systemd/network"
_SOURCES = (_KEYFILES, "/run/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")
_PLUGINS = ("/etc/sysconfig/network-scripts", "/etc/network/interfaces.d")
"""Directories that are read by the plugins of RHEL before 10 and of Debian."""
_INTERFACES = "/etc/network/interfaces"
_PROGRAM = "/usr/bin/nmcli"

_FILE = re.compile(rf"{_KEYFILES}/(multinic[0-9]+)\.nmconnection|{_LINKS}/70-(multinic[0-9]+)\.link")
_ENTRY = re.compile(r"(?m)^\[(?P<section>[^\]\n]+)\]|^(?P<key>[^#;=\s\[][^=\n]*?)[ \t]*=[ \t]*(?P<value>.*)$")
_DEFAULTS = frozenset({"", "true", "false", "auto", "default", "0", "-1"})
_OFFLINE_UNKNOWN = 2  # exit status of an nmcli before 1.38, which has no --offline
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
    return _MODE


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
        "uuid": _uuid(name, link),
        "metric": default_metric(link, slot_of(name) or 0),
    }
    return {
        _keyfile(name): render("networkmanager/keyfile.j2", context),
        f"{_LINKS}/70-{name}.link": render("networkmanager/link.j2", context),
    }


def slot_of_file(path: str) -> int | None:
    """Return the slot of multinicN.nmconnection or of 70-multinicN.link."""
    match = _FILE.fullmatch(path)
    return slot_of(match[1] or match[2]) if match else None


def managed(host: Host) -> Sequence[str]:
    """Return the files that are ours by name."""
    paths = [f"{directory}/{name}" for directory in (_KEYFILES, _LINKS) for name in host.names(directory)]
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
        texts = [c.new for c in interface.files if c.path == _keyfile(interface.name) and c.new is not None]
        for text in texts:
            if words := _unsaid(interface.desired) or _objection(host, interface.name, text):
                refused[interface.key] = words
    return Staged({}, refused)


def _unsaid(wish: DesiredLink | None) -> str:
    """Return which wish no keyfile can say; "" where one can say all."""
    if wish is None:
        return ""
    options = wish.options
    items = (*wish.addresses, *(route.to for route in wish.routes))
    versions: set[int] = {*wish.link_local, *(item.version for item in items)}
    if options.dhcp4:
        versions.add(4)  # IPv6 from outside needs link-local addresses anyway
    if 6 in versions and 6 not in wish.link_local:
        return f"options.link_local of row {wish.row_id}: with IPv6 it always gives a link-local address"
    for server in options.dns:
        if server.version not in versions:
            return (
                f"options.dns of row {wish.row_id}: it takes {server} only on a link with IPv{server.version}"
            )
    if options.search and not versions:
        return f"options.dns.search of row {wish.row_id}: it takes domains only on a link with addresses"
    return ""


def _objection(host: Host, name: str, text: str) -> str:
    """Return what NetworkManager's reader has against a keyfile; "" for nothing."""
    candidate = f"{SCRATCH}/{name}{UNFINISHED}"
    host.write(candidate, text, _MODE)
    try:
        # The shell only opens the file: nmcli reads it from nowhere but its standard input.
        command = 'exec nmcli --offline connection modify connection.id "$1" <"$2"'
        understood = host.run("sh", "-c", command, "sh", name, candidate, changes=False)
    except CommandFailed as e:
        if e.status is None:
            raise
        words = " ".join(e.stderr.replace("Error: ", "").split())
        return "" if e.status == _OFFLINE_UNKNOWN else words[:300] or "nmcli refused it"
    finally:
        host.remove(candidate)
    left_out = {entry: value for entry, value in _entries(text).items() if value not in _DEFAULTS}
    for section, key in left_out.keys() - _entries(understood).keys():
        return f"it makes nothing of {key}={left_out[section, key]} in [{section}]"
    return ""


def _entries(text: str) -> dict[tuple[str, str], str]:
    section, found = "", {}
    for match in _ENTRY.finditer(text):
        if match["section"]:
            section = match["section"]
        else:
            found[section, match["key"]] = match["value"].strip()
    return found


def activate(
    host: Host,
    links: Links,
    interfaces: Sequence[Interface],
    staged: Staged,  # noqa: ARG001
    faults: Faults,
) -> None:
    """Forget removed connections, free and rename links, load changed connections, and put them to use."""
    changed = {change.path for interface in interfaces for change in interface.files}
    if any(path.startswith(_LINKS) for path in changed):
        _reload_udev(host)
    keyfiles = {path for path in changed if path.startswith(_KEYFILES)}
    gone = {path for path in keyfiles if not host.present(path)}
    _load(host, gone)
    for interface in interfaces:
        if interface.state is State.DELETE:
            with faults.of(interface):
                free(links, interface)
    rename_pending(links, interfaces, faults)
    _load(host, keyfiles - gone)
    plugged = [i for i in interfaces if i.state is not State.DELETE and i.link and i.key not in faults]
    active = _active(host) if plugged else {}
    for interface in plugged:
        with faults.of(interface):
            if _keyfile(interface.name) not in keyfiles and _is_used(host, interface.name, active):
                converge(links, interface)
                continue
            _use(host, interface.name, active)
            _keep_others(links, interface)
            if interface.desired is not None and interface.desired.mtu is None:
                restore_mtu(links, interface)


def _is_used(host: Host, name: str, active: Mapping[str, str]) -> bool:
    """Return whether NetworkManager has configured a link by its own connection, or is about to."""
    return active.get(name) == _uuid_in(host, name)


def _uuid_in(host: Host, name: str) -> str:
    return _entries(host.read(_keyfile(name)) or "").get(("connection", "uuid"), "")


def _use(host: Host, name: str, active: Mapping[str, str], wait: int = 0) -> None:
    """Put the connection of a link that is plugged in to use, without taking it down where possible."""
    if _is_used(host, name, active):
        try:
            host.run("nmcli", "--wait", str(wait), "device", "reapply", name)
        except CommandFailed:
            pass  # it was being taken down, or something changed that only a new activation can change
        else:
            return
    host.run("nmcli", "--wait", str(wait), "connection", "up", "uuid", _uuid_in(host, name))


def _keep_others(links: Links, interface: Interface) -> None:
    """Give a link back what others had added: to reapply a connection takes all other addresses away."""
    link, held = interface.link, interface.held
    if link is None or held is None or held.applied is None:
        return
    known = held.applied.addresses
    leased = {4: held.applied.options.dhcp4, 6: held.applied.options.dhcp6 or held.applied.options.accept_ra}
    for found in link.addresses:
        if not (found.kernel or found.address in known or leased[found.address.version] or found.scope):
            links.restore_address(interface.name, found)


def reload(host: Host, names: Sequence[str]) -> None:
    """Have udevd read its files again, and NetworkManager those of the links that were put back.

    One that fails does not keep the other from it. Raises the first HostError.
    """
    faults: list[HostError] = []
    with kept(faults):
        _reload_udev(host)
    # Before NetworkManager runs, at boot, there is nobody to tell: it reads all files when it starts.
    ours = [name for name in names if slot_of(name) is not None and running(host, NETWORK_MANAGER)]
    active: dict[str, str] = {}
    with kept(faults):
        _load(host, [_keyfile(name) for name in ours])
        active = _active(host) if ours else active
    for name in ours:
        if host.present(_keyfile(name)) and name in active:
            with kept(faults):
                _use(host, name, active, wait=5)
    for fault in faults:
        raise fault


def _load(host: Host, keyfiles: Collection[str]) -> None:
    """Have NetworkManager read these files again; what is no longer there it forgets and takes down."""
    if keyfiles:
        host.run("nmcli", "connection", "load", *sorted(keyfiles))


def _active(host: Host) -> dict[str, str]:
    """Return the links that NetworkManager knows, with the uuid of the connection that each uses."""
    found = host.run("nmcli", "--terse", "--fields", "DEVICE,CON-UUID", "device", "status", changes=False)
    return dict(line.rsplit(":", 1) for line in found.splitlines() if ":" in line)


def _reload_udev(host: Host) -> None:
    """Have udevd read .link files again before a link is renamed or plugged in."""
    host.run("udevadm", "control", "--reload")


def _uuid(name: str, link: DesiredLink) -> str:
    """Return the same identifier for the same link in the same slot, always.

    Another link in that slot gets another one: its predecessor's connection ends with its file.
    """
    from uuid import UUID, uuid5

    return str(uuid5(UUID("6d1e1b02-8b0c-5f3e-9d0a-5a1c6f0e7c11"), f"{name} {link.mac}"))


def _keyfile(name: str) -> str:
    return f"{_KEYFILES}/{name}.nmconnection"
