"""Which backend really manages a host: running services first, then configuration, os-release only in a tie.

Everything is read from files: that is cheap, and works below another root. systemd keeps a
symlink in /run/systemd/units for every active unit. It disappears when the unit stops, while
directories such as /run/systemd/netif stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from multinic.host.host import Host
from multinic.values.errors import HostError

NETWORKD, NETWORK_MANAGER, WICKED = "systemd-networkd", "NetworkManager", "wickedd"
UDEV = "systemd-udevd"
# The last is that of Ubuntu 18.04, whose /lib is not in /usr yet.
NETPLAN_GENERATORS = (
    "/usr/libexec/netplan/generate",
    "/usr/lib/netplan/generate",
    "/lib/netplan/generate",
)
# A file in a later directory replaces that of the same name in an earlier one.
NETPLAN_SOURCES = ("/usr/lib/netplan", "/etc/netplan", "/run/netplan")

_UNITS = "/run/systemd/units"
# Of systemd before 236 (SLES 15 before SP3), which has no symlinks; for both versions of cgroups. No other
# places: a cgroup that is visible in a container may be that of a neighbour.
_CGROUPS = ("/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/systemd/system.slice")
_NETWORKD_FILES = "/etc/systemd/network"
_NETWORK_MANAGER_FILES = (
    ("/etc/NetworkManager/system-connections", ".nmconnection"),
    ("/etc/sysconfig/network-scripts", "ifcfg-"),
)
_NETWORKD_LINKS, _NETWORK_MANAGER_LINKS = "/run/systemd/netif/links", "/run/NetworkManager/devices"
_WICKED_FILES = "/etc/sysconfig/network"
_OS_RELEASE = "/etc/os-release"
_PREFER_NETWORK_MANAGER = {"rhel", "fedora", "centos", "suse", "opensuse", "sles"}


@dataclass(frozen=True)
class Found:
    """The name of the backend that manages the host, the reason as a clause, and the paths behind it."""

    name: str
    why: str
    presence: Sequence[str] = ()
    """Paths of which it only mattered whether they exist."""
    contents: Sequence[str] = ()
    """Files and directories of which the content mattered."""


def running(host: Host, service: str) -> bool:
    """Return whether a systemd service of the host is active, by its files."""
    return _running(service, host.present)


def _running(service: str, present: Callable[[str], bool]) -> bool:
    if present(_UNITS):
        return present(f"{_UNITS}/invocation:{service}.service")
    return any(present(f"{cgroup}/{service}.service") for cgroup in _CGROUPS)


def detect(host: Host) -> Found:
    """Return the backend that manages this host; netlink if no network service runs."""
    return _Detection(host).found()


def netplan_renderer(texts: Sequence[str]) -> str:
    """Return the renderer that netplan files choose for the whole host; the last file that sets it counts.

    Only the key right below `network` counts; single links may have another renderer.
    """
    chosen = ""
    for text in texts:
        for body in re.findall(r"(?m)^network:[ \t]*(?:#.*)?\n((?:[ \t]+\S.*\n?|[ \t]*(?:#.*)?\n)+)", text):
            lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("#")]
            indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
            for line in lines:
                if found := re.match(rf"[ \t]{{{indent}}}renderer:\s*['\"]?(\w+)", line):
                    chosen = found[1]
        if found := re.search(r"(?m)^network:\s*\{[^{}]*\brenderer['\"]?:\s*['\"]?(\w+)", text):
            chosen = found[1]
    return chosen or "networkd"


class _Detection:
    """One detection, which records the paths that it looks at."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.presence: list[str] = []
        self.contents: list[str] = []

    def found(self) -> Found:
        name, why = self._choose()
        return Found(name, why, tuple(self.presence), tuple(self.contents))

    def _choose(self) -> tuple[str, str]:
        networkd, network_manager, wicked = map(self._running, (NETWORKD, NETWORK_MANAGER, WICKED))
        if wicked and not networkd and (not network_manager or self._names(_WICKED_FILES, "ifcfg-")):
            return "wicked", "wickedd is running"
        if not networkd and not network_manager:
            return "netlink", "no network service is running that multinic knows"
        sources = self._netplan_files()
        renderer = netplan_renderer([self._read(path) for path in sources or ()])
        if sources and renderer == "NetworkManager" and network_manager:
            return "networkmanager", "netplan's renderer is NetworkManager, which is running"
        if sources and renderer == "networkd" and networkd:
            return "netplan", "netplan has configuration here, and systemd-networkd is running"
        if not networkd:
            return "networkmanager", "NetworkManager is running"
        if network_manager and (why := self._preferred()):
            return "networkmanager", why
        also = ", and of two running services the one that manages links" if network_manager else ""
        if sources == [] and not self._names(_NETWORKD_FILES, ".network"):
            return "netplan", f"netplan is installed, systemd-networkd is running{also}"
        return "networkd", f"systemd-networkd is running{also}, without netplan"

    def _preferred(self) -> str:
        """Return why NetworkManager manages the host, if networkd runs too; "" if networkd manages it."""
        by_networkd = bool(self._names(_NETWORKD_FILES, ".network"))
        by_network_manager = any(self._names(path, part) for path, part in _NETWORK_MANAGER_FILES)
        if by_networkd is by_network_manager:
            by_networkd = self._any(_NETWORKD_LINKS, r"(?m)^ADMIN_STATE=config")
            by_network_manager = self._any(_NETWORK_MANAGER_LINKS, r"(?m)^connection-uuid=")
        if by_networkd is not by_network_manager:
            return (
                "" if by_networkd else "of two running services NetworkManager is the one that manages links"
            )
        lines = re.findall(r"(?m)^ID(?:_LIKE)?=(.*)$", self._read(_OS_RELEASE))
        if _PREFER_NETWORK_MANAGER & set(re.findall(r"\w+", " ".join(lines))):
            return "of two running services NetworkManager is the usual one of this distribution"
        return ""

    def _netplan_files(self) -> list[str] | None:
        """Return netplan's YAML files in the order in which it reads them; None if it is not installed."""
        if not any(self._present(path) for path in NETPLAN_GENERATORS):
            return None
        by_name = {name: f"{path}/{name}" for path in NETPLAN_SOURCES for name in self._names(path, ".yaml")}
        return [path for _, path in sorted(by_name.items())]

    def _running(self, service: str) -> bool:
        return _running(service, self._present)

    def _present(self, path: str) -> bool:
        self.presence.append(path)
        return self.host.present(path)

    def _names(self, directory: str, part: str) -> list[str]:
        """Return the names in a directory that begin or end with `part`, without those of `lo`.

        A directory that cannot be read counts as empty.
        """
        self.contents.append(directory)
        try:
            names = self.host.names(directory)
        except HostError:
            return []
        return [n for n in names if n.endswith(part) or (n.startswith(part) and n != f"{part}lo")]

    def _read(self, path: str) -> str:
        self.contents.append(path)
        try:
            return self.host.read(path, follow=True) or ""
        except HostError:  # the backend raises it again if it needs the file
            return ""

    def _any(self, directory: str, pattern: str) -> bool:
        """Return whether a file of a directory has a line like this; such files change all the time."""
        try:
            texts = [self.host.read(f"{directory}/{name}") or "" for name in self.host.names(directory)]
        except HostError:
            return False
        return any(re.search(pattern, text) for text in texts)
