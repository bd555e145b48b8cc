"""The class of all backends: which files an interface needs, how to try them out, how to activate them.

Each backend is a module, which choice.py finds by its name. The methods that make text change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from multinic.decide.naming import slot_of
from multinic.host.host import File, Host
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.values.desired import DesiredLink
from multinic.values.plan import Interface

Render = Callable[[str, Mapping[str, Any]], str]


@dataclass(frozen=True)
class Staged:
    """The result of trying files out in a scratch directory; nothing on the host has changed."""

    runtime: Mapping[str, File | None] = field(default_factory=dict)
    """Files that the backend's own generator makes from ours: path → content, None to remove."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Interfaces whose files the backend cannot read: key → its message."""


class Backend:
    """One way to configure links. The defaults are those of a backend without files and without a service."""

    name: str
    """The name of its module, and the value of the setting `backend`."""
    directories: Sequence[str] = ()
    """The directories of our files."""
    file: re.Pattern[str] = re.compile(r"(?!)")
    """Matches the paths of our files. The last group that matches is the name of the interface."""
    by_permanent_mac: bool = False
    """Whether it finds a link only by the permanent MAC address of the card."""
    connected_metric: Mapping[int, int] = MappingProxyType({4: 0, 6: 256})
    """By IP version, the metric of the route to the network of an address: the kernel's (IP6_RT_PRIO_*)."""
    sources: Sequence[str] = ()
    """The files and directories that the backend reads."""
    alone: bool = False
    """Whether no network service keeps the addresses of rows on their links."""
    needs_carrier: bool = False
    """Whether it gives a link its addresses, routes and rules only once the link has a carrier."""

    leaves_duplicates_out: bool = False
    """Whether it leaves out an IPv4 address that it finds on another machine, and reports success."""

    def unusable(self, host: Host) -> str:
        """Return why this backend cannot be used on the host; "" if it can be used."""
        return ""

    def mode(self, path: str) -> int:
        """Return the permission bits of one of our files."""
        return 0o600

    def lacks(self, host: Host) -> Mapping[str, str]:
        """Return the options that it cannot do here: name → why, as a clause ("it has no DHCP client")."""
        return {}

    def properties(self, link: DesiredLink) -> Mapping[str, str]:
        """Return the properties (values/fields.py) that multinic sets itself, besides those in `options`."""
        return {}

    def files(self, name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
        """Return the files of one interface: path on the host → text."""
        return {}

    def without_lldp(self, link: DesiredLink, files: Mapping[str, str]) -> Mapping[str, str]:
        """Return these files as an earlier version wrote them, which said nothing of LLDP.

        As they differ in nothing else, they stay as they are until the row changes: a rewritten file makes
        the service configure its link again.
        """
        return files

    def traces(self, host: Host, name: str) -> Sequence[str]:
        """Return the files that exist here and that the service made of those of one interface."""
        return ()

    def slot_of_file(self, path: str) -> int | None:
        """Return the slot of a managed file; None for a file that is not ours."""
        match = self.file.fullmatch(path)
        return slot_of(match[match.lastindex or 0]) if match else None

    def managed(self, host: Host) -> Sequence[str]:
        """Return the paths of the managed files that exist, also those of earlier agents."""
        return self._our_files(paths_in(host, self.directories))

    def _our_files(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if self.slot_of_file(path) is not None]

    def _other_files(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if self.slot_of_file(path) is None]

    def foreign(self, host: Host) -> Sequence[str]:
        """Return the paths of all other network configuration that this backend reads."""
        return ()

    def watched(self, host: Host) -> Sequence[str]:
        """Return the files and directories that, when they change, may change a plan."""
        return (*self.sources, *self.managed(host))

    def lease_files(self, index: int, name: str) -> Sequence[str]:
        """Return the files that say what DHCP servers gave the link with an index and a name."""
        return ()

    def leases(self, host: Host, index: int, name: str) -> Collection[str]:
        """Return the addresses that DHCP servers gave the link, beyond what the kernel says of them."""
        return ()

    def check(self, host: Host) -> bool:
        """Return whether the files of the host were tried as they are, also those of others.

        Raises HostError if the network service cannot read one.
        """
        return False

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Try the files of a plan out, without a change of the host. Raises HostError."""
        return Staged()

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        """Make the host use the files that are written, all at once, and free the links that are removed.

        An error of one interface goes into `faults`. Raises HostError for an error of all interfaces.
        """
        raise NotImplementedError

    def may_own(self, host: Host, port: int) -> bool:
        """Return whether the netlink socket with this port may be one of the network service."""
        return True

    def reload(self, host: Host, names: Sequence[str]) -> None:
        """Make the host read restored files again, and forget removed ones. Raises HostError.

        `names`: the names of the interfaces and their links before the change and after it.
        """


def paths_in(host: Host, directories: Iterable[str]) -> list[str]:
    """Return the paths of all files in these directories of the host; an absent directory is empty."""
    return [f"{directory}/{name}" for directory in directories for name in host.names(directory)]
