"""The backends: each is one module that says whether it can be used here, which files an interface
needs, how to try them out, and how to activate them. Text and running are kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from multinic.backend.detect import detect
from multinic.errors import ConfigError
from multinic.host import File, Host
from multinic.links import Faults, Links
from multinic.model import DesiredLink
from multinic.plan import Interface
from multinic.settings import BACKENDS
from multinic.text import shown

NAMES = tuple(name for name in BACKENDS if name != "auto")
"""All backends; the module of each has its name."""

Render = Callable[[str, Mapping[str, Any]], str]


@dataclass(frozen=True)
class Staged:
    """The outcome of trying candidate files out in a scratch root; nothing on the host has changed."""

    runtime: Mapping[str, File | None] = field(default_factory=dict)
    """Files that the backend's own generator makes of ours: path → content, None to remove."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Interfaces whose files the backend cannot read: key → its words."""


class Backend(Protocol):
    """What every backend module offers."""

    NAME: str

    def mode(self, path: str) -> int:
        """Return the permission bits of one of its files."""

    def unusable(self, host: Host) -> str:
        """Return why this backend cannot be used on the host; "" if it can."""

    def lacks(self, host: Host) -> Mapping[str, str]:
        """Return the options that cannot be had here: name → why, as a clause ("it has no DHCP client")."""

    def tuning(self, link: DesiredLink) -> Mapping[str, str]:
        """Return the fields of tuning.py that this backend leaves to us, beyond what `options` ask for."""

    def files(self, name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
        """Return the files of one interface: path on the host → text."""

    def slot_of_file(self, path: str) -> int | None:
        """Return the slot a managed file belongs to; None for a file that is not ours."""

    def managed(self, host: Host) -> Sequence[str]:
        """Return the paths of the managed files that exist."""

    def foreign(self, host: Host) -> Sequence[str]:
        """Return the paths of other network configuration that this backend reads."""

    def watched(self, host: Host) -> Sequence[str]:
        """Return the files and directories whose change may change a plan."""

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Try the files of a plan in a scratch root."""

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        """Make files that are written already take effect, all at once, and remove what is to go.

        What goes wrong with one interface is kept in `faults`. Raises HostError for what concerns all.
        """

    def reload(self, host: Host, names: Sequence[str]) -> None:
        """Have files that were put back read again, or be forgotten where there is none any more.

        `names` are those that the interfaces and their links had before the change and after it.
        """


def named(name: str) -> Backend:
    """Return the backend called `name`, usable or not. Raises ConfigError where there is none."""
    if name not in NAMES:
        raise ConfigError(
            f"this version of multinic has no backend {shown(name)}", f"it has {', '.join(NAMES)}"
        )
    # Only the one that is used is imported: this is part of every pass that has something to do.
    found: Backend = import_module(f"multinic.backend.{name}")
    return found


def choose(name: str, host: Host) -> tuple[Backend, str]:
    """Return the backend called `name`, or for "auto" the one that manages this host, and why.

    Raises ConfigError when it cannot be used here.
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
    """Return the backends whose files are here, each with those; usable ones first, then who has more.

    A file that several would know as theirs (names for udev) counts for the first of them.
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
    """Return the managed files that only other backends than this one read: backend → paths."""
    found: dict[str, list[str]] = {}
    for one, paths in with_files(host):
        left = [path for path in paths if chosen.slot_of_file(path) is None]
        if left and one.NAME != chosen.NAME:
            found[one.NAME] = left
    return found


if TYPE_CHECKING:
    from multinic.backend import netlink, netplan, networkd, networkmanager, wicked

    _ALL: tuple[Backend, ...] = (netlink, netplan, networkd, networkmanager, wicked)
