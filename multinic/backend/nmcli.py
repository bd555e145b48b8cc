"""NetworkManager, told by nmcli of the connections that changed, and of no others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from multinic.backend import keyfile
from multinic.backend.detect import NETWORK_MANAGER, running
from multinic.configure import converge, release, reload_udev, restore_mtu
from multinic.errors import CommandFailed, HostError
from multinic.host import Host
from multinic.links import Faults, Links, kept
from multinic.naming import slot_of
from multinic.plan import Interface, State

_TAKE_OVER = 10  # seconds to wait for a link to change its connection; it takes less than one


def take_effect(host: Host, links: Links, interfaces: Sequence[Interface], faults: Faults) -> None:
    """Forget removed connections, free and rename links, load changed connections, and put them to use."""
    changed = {change.path for interface in interfaces for change in interface.files}
    if any(path.endswith(".link") for path in changed):
        reload_udev(host)
    keyfiles = {path for path in changed if path.startswith(keyfile.DIRECTORY)}
    gone = {path for path in keyfiles if not host.present(path)}
    _load(host, gone)
    release(links, interfaces, faults)
    _load(host, keyfiles - gone)
    plugged = [i for i in interfaces if i.state is not State.DELETE and i.link and i.key not in faults]
    active = _active(host) if plugged else {}
    for interface in plugged:
        with faults.of(interface):
            if keyfile.path_of(interface.name) not in keyfiles and _is_used(host, interface.name, active):
                converge(links, interface)
                continue
            _use(host, interface.name, active)
            _keep_others(links, interface)
            if interface.link and not interface.link.up:
                links.up(interface.link.index, interface.name)  # to reapply a connection does not
            if interface.desired is not None and interface.desired.mtu is None:
                restore_mtu(links, interface)


def _is_used(host: Host, name: str, active: Mapping[str, str]) -> bool:
    """Return whether NetworkManager has configured a link by its own connection, or is about to."""
    return active.get(name) == keyfile.uuid_in(host, name)


def _use(host: Host, name: str, active: Mapping[str, str], wait: int = 0) -> None:
    """Put the connection of a link that is plugged in to use, without taking it down where possible."""
    if _is_used(host, name, active):
        try:
            host.run("nmcli", "--wait", str(wait), "device", "reapply", name)
        except CommandFailed:
            pass  # it was being taken down, or something changed that only a new activation can change
        else:
            return
    elif active.get(name):
        wait = _TAKE_OVER  # what another connection configured must be gone before anybody looks
    host.run("nmcli", "--wait", str(wait), "connection", "up", "uuid", keyfile.uuid_in(host, name))


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
        reload_udev(host)
    # Before NetworkManager runs, at boot, there is nobody to tell: it reads all files when it starts.
    ours = [name for name in names if slot_of(name) is not None and running(host, NETWORK_MANAGER)]
    active: dict[str, str] = {}
    with kept(faults):
        _load(host, [keyfile.path_of(name) for name in ours])
        active = _active(host) if ours else active
    for name in ours:
        if host.present(keyfile.path_of(name)) and name in active:
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
