"""NetworkManager: have it load, use and forget the connections that changed, and no other ones."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from multinic.backend import keyfile
from multinic.backend.detect import NETWORK_MANAGER, running
from multinic.backend.steps import converge, free_and_rename, reload_udev, set_mtu
from multinic.decide.naming import slot_of
from multinic.host.host import Host
from multinic.kernel.faults import Faults, collected
from multinic.kernel.links import Links
from multinic.values.errors import CommandFailed, HostError
from multinic.values.plan import Interface, State

_TAKE_OVER = 10  # seconds to wait for a link to change its connection; it takes less than one
_NEW_LINK = 3.0  # seconds: NetworkManager leaves a link alone until udev is done with it
UNMANAGED_HINT = (
    "look for unmanaged-devices and managed= in /etc/NetworkManager, and NM_UNMANAGED in rules of udev; "
    "`nmcli device` shows the state"
)


def take_effect(host: Host, links: Links, interfaces: Sequence[Interface], faults: Faults) -> None:
    """Forget removed connections, free and rename links, then load and use the changed connections."""
    changed = {change.path for interface in interfaces for change in interface.files}
    if any(path.endswith(".link") for path in changed):
        reload_udev(host)
    keyfiles = {path for path in changed if path.startswith(keyfile.DIRECTORY)}
    gone = {path for path in keyfiles if not host.present(path)}
    _load(host, gone)
    free_and_rename(links, interfaces, faults)
    _load(host, keyfiles - gone)
    plugged = [i for i in interfaces if i.state is not State.DELETE and i.link and i.key not in faults]
    active = _active(host) if plugged else {}
    left_alone = _left_alone(host, {interface.name for interface in plugged})
    for interface in plugged:
        with faults.of(interface):
            if interface.name in left_alone:
                raise HostError(f"NetworkManager leaves {interface.name} alone (unmanaged)", UNMANAGED_HINT)
            if keyfile.path_of(interface.name) not in keyfiles and _is_used(host, interface.name, active):
                converge(links, interface)
                continue
            _use(host, interface.name, active)
            if interface.link and not interface.link.up:
                links.up(interface.link.index, interface.name)  # `reapply` does not
            if interface.desired is not None and interface.desired.mtu is None:
                set_mtu(links, interface)


def _is_used(host: Host, name: str, active: Mapping[str, str]) -> bool:
    """Return whether a link uses our connection, or is about to use it."""
    return active.get(name) == keyfile.uuid_in(host, name)


def _use(host: Host, name: str, active: Mapping[str, str], wait: int = 0) -> None:
    """Make a link use our connection, if possible without taking the link down. Raises CommandFailed.

    `wait`: how many seconds to wait for the connection; 0: do not wait.
    """
    if _is_used(host, name, active):
        try:
            host.run("nmcli", "--wait", str(wait), "device", "reapply", name)
        except CommandFailed:
            pass  # it was about to go down, or only a new activation can change what differs
        else:
            return
    elif active.get(name):
        wait = _TAKE_OVER  # the configuration of the other connection must be gone before we verify
    host.run("nmcli", "--wait", str(wait), "connection", "up", "uuid", keyfile.uuid_in(host, name))


def reload(host: Host, names: Sequence[str]) -> None:
    """Have udevd read its files again, and NetworkManager those of these links.

    An error of one does not stop the other. Raises the first HostError.
    """
    faults: list[HostError] = []
    with collected(faults):
        reload_udev(host)
    # Before NetworkManager runs, at boot, there is nothing to do: it reads all files when it starts.
    our_names = [name for name in names if slot_of(name) is not None and running(host, NETWORK_MANAGER)]
    active: dict[str, str] = {}
    with collected(faults):
        _load(host, [keyfile.path_of(name) for name in our_names])
        active = _active(host) if our_names else active
    for name in our_names:
        if host.present(keyfile.path_of(name)) and name in active:
            with collected(faults):
                _use(host, name, active, wait=5)
    for fault in faults:
        raise fault


def _load(host: Host, keyfiles: Collection[str]) -> None:
    """Have NetworkManager read these files again; it takes down and forgets connections without a file."""
    if keyfiles:
        host.run("nmcli", "connection", "load", *sorted(keyfiles))


def unmanaged(host: Host) -> set[str]:
    """Return the links that NetworkManager leaves alone. Raises CommandFailed."""
    return {name for name, state in _devices(host, "STATE").items() if state == "unmanaged"}


def _left_alone(host: Host, names: set[str]) -> set[str]:
    """Return those links that NetworkManager still leaves alone when udev is done with new ones."""
    end = time.monotonic() + _NEW_LINK
    while names and (found := unmanaged(host) & names) and time.monotonic() < end:
        time.sleep(0.2)
    return found if names else set()


def _active(host: Host) -> dict[str, str]:
    """Return the links that NetworkManager knows, with the uuid of the connection that each uses."""
    return _devices(host, "CON-UUID")


def _devices(host: Host, field: str) -> dict[str, str]:
    """Return one field of each link that NetworkManager knows. Raises CommandFailed."""
    found = host.run("nmcli", "--terse", "--fields", f"DEVICE,{field}", "device", "status", changes=False)
    return dict(line.rsplit(":", 1) for line in found.splitlines() if ":" in line)
