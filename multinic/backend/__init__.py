"""The backends: each is one module that says whether it can be used here, which files an interface
needs, how to try them out, and how to activate them. Text and running are kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from multinic.errors import ConfigError
from multinic.host import File, Host
from multinic.links import Faults, Links
from multinic.model import DesiredLink
from multinic.plan import Interface
from multinic.text import shown

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

    def reload(self, host: Host) -> None:
        """Have files that were put back read again."""


def markers() -> tuple[str, ...]:
    """Return the paths whose presence decides which backend `choose` takes."""
    from multinic.backend import netplan

    return netplan.MARKERS


def named(name: str) -> Backend:
    """Return the backend called `name`, usable or not. Raises ConfigError where there is none."""
    from multinic.backend import netlink, netplan

    known: dict[str, Backend] = {"netplan": netplan, "netlink": netlink}
    if name not in known:
        raise ConfigError(
            f"this version of multinic has no backend {shown(name)}", f"it has {', '.join(known)}"
        )
    return known[name]


def choose(name: str, host: Host) -> tuple[Backend, str]:
    """Return the backend called `name`, or for "auto" the one that manages this host, and why.

    Raises ConfigError when it cannot be used here.
    """
    from multinic.backend import netlink, netplan  # they import this module's types

    if name != "auto":
        chosen = named(name)
        if problem := chosen.unusable(host):
            raise ConfigError(f"backend {name} cannot be used here: {problem}", "choose another, or auto")
        return chosen, "configured"
    problem = netplan.unusable(host)
    if not problem:
        return netplan, "netplan is installed and systemd-networkd is running"
    return netlink, f"no other backend can be used: {problem}"
