"""Choose the backend of a host, by its name or by detection, and find the files of all backends."""

from __future__ import annotations

from importlib import import_module

from multinic.backend.base import Backend
from multinic.backend.detect import detect
from multinic.host.host import Host
from multinic.values.errors import ConfigError
from multinic.values.settings import BACKENDS
from multinic.values.text import shown

NAMES = tuple(name for name in BACKENDS if name != "auto")
"""All backends."""
_CLASSES = {
    "netplan": "Netplan",
    "networkd": "Networkd",
    "wicked": "Wicked",
    "networkmanager": "NetworkManager",
    "netlink": "Netlink",
}
"""The class of each backend; it is in the module with the name of the backend."""


def named(name: str) -> Backend:
    """Return the backend with this name, usable or not. Raises ConfigError if there is none."""
    if name not in NAMES:
        raise ConfigError(
            f"this version of multinic has no backend {shown(name)}", f"it has {', '.join(NAMES)}"
        )
    # Only this one is imported: every pass that is not idle comes here.
    found: Backend = getattr(import_module(f"multinic.backend.{name}"), _CLASSES[name])()
    return found


def choose(name: str, host: Host) -> tuple[Backend, str]:
    """Return the backend with this name, or for "auto" the one that manages this host, and why.

    Raises ConfigError if it cannot be used here.
    """
    if name != "auto":
        chosen = named(name)
        if problem := chosen.unusable(host):
            raise ConfigError(f"backend {name} cannot be used here: {problem}", "choose another, or auto")
        return chosen, "configured"
    found = detect(host)
    chosen = named(found.name)
    problem = chosen.unusable(host)
    if not problem:
        return chosen, found.why
    return named("netlink"), f"no other backend can be used: {found.why}, but {problem}"


def with_files(host: Host) -> list[tuple[Backend, list[str]]]:
    """Return the backends that have files here, with these: usable ones first, then those with most files.

    A file that may belong to several backends (a .link file for udev) counts only for the first of them.
    """
    found = [(one, list(one.managed(host))) for one in map(named, NAMES)]
    found.sort(key=lambda item: (bool(item[0].unusable(host)), -len(item[1])))
    taken: set[str] = set()
    owners: list[tuple[Backend, list[str]]] = []
    for one, paths in found:
        if its_own := [path for path in paths if path not in taken]:
            owners.append((one, its_own))
            taken.update(its_own)
    return owners


def leftovers(host: Host, chosen: Backend) -> dict[str, list[str]]:
    """Return the managed files that only backends other than `chosen` read: backend → paths."""
    found: dict[str, list[str]] = {}
    for one, paths in with_files(host):
        left = [path for path in paths if chosen.slot_of_file(path) is None]
        if left and one.name != chosen.name:
            found[one.name] = left
    return found
