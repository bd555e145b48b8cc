"""netplan with systemd-networkd: one file for each link in /etc/netplan, without `netplan apply`.

`netplan apply` reconfigures every link of the host. Instead its generator runs in a scratch directory,
once for all changes; only our own results go to /run/systemd/network; netlink renames links; then
comes one `networkctl reload`. Other links see no event. At the next boot the generator makes the same
files from /etc/netplan. docs/backends.md has the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from multinic.backend import generator, networkctl
from multinic.backend.base import Backend, Render, Staged, paths_in
from multinic.backend.detect import NETPLAN_SOURCES, NETWORKD, netplan_renderer, running
from multinic.decide.naming import name_of, slot_of
from multinic.decide.routing import default_metric
from multinic.host.host import Host
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.values.desired import DesiredLink
from multinic.values.plan import Interface

_ETC = "/etc/netplan"
_DROP_INS = "/etc/systemd/network"
_DROP_IN_DIRECTORY = re.compile(rf"{_DROP_INS}/10-netplan-multinic[^/]*\.network\.d")


class Netplan(Backend):
    """One file for each interface, and a drop-in for networkd with what netplan has no key for."""

    name = "netplan"
    by_permanent_mac = True  # match: {macaddress: } becomes PermanentMACAddress=
    file = re.compile(
        r"/etc/netplan/9([0-9]+)-(multinic\1)\.yaml"
        r"|/etc/systemd/network/10-netplan-(multinic[0-9]+)\.network\.d/multinic\.conf"
    )
    sources = (*NETPLAN_SOURCES, _DROP_INS)
    needs_carrier = True

    def unusable(self, host: Host) -> str:
        if generator.program(host) is None:
            return "netplan is not installed"
        by_name = {path.rpartition("/")[2]: path for path in _yaml(host)}
        paths = [path for _, path in sorted(by_name.items())]
        if netplan_renderer([host.read(path, follow=True) or "" for path in paths]) != "networkd":
            return "netplan's renderer is NetworkManager on this host: set backend to networkmanager"
        if not running(host, NETWORKD):
            return "systemd-networkd is not running"
        return ""

    def mode(self, path: str) -> int:
        # netplan warns on every call about a file that other users may read. networkd, which is not root,
        # must read the drop-ins.
        return 0o600 if path.startswith(_ETC) else 0o644

    def lacks(self, host: Host) -> Mapping[str, str]:
        return networkctl.lacks(host)  # netplan itself has every option

    def files(self, name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
        context = {"name": name, "link": link, "metric": default_metric(link, slot_of(name) or 0)}
        return {
            f"{_ETC}/9{slot_of(name)}-{name}.yaml": render("netplan.yaml.j2", context),
            _drop_in(name): render("netplan-drop-in.conf.j2", context),
        }

    def without_lldp(self, link: DesiredLink, files: Mapping[str, str]) -> Mapping[str, str]:
        """Return the file for netplan, and the drop-in only if it has more in it than LLDP."""
        with_drop_in = link.options.accept_ra or link.options.dhcp6
        return {
            path: networkctl.without_lldp(text)
            for path, text in files.items()
            if with_drop_in or path.startswith(_ETC)
        }

    def traces(self, host: Host, name: str) -> Sequence[str]:
        """Return what the generator made, for networkd and for udev."""
        return [path for path in generator.runtime_paths(name) if host.present(path)]

    def managed(self, host: Host) -> Sequence[str]:
        drop_ins = [path for path in paths_in(host, [_DROP_INS]) if _DROP_IN_DIRECTORY.fullmatch(path)]
        return self._our_files(paths_in(host, [_ETC, *drop_ins]))

    def foreign(self, host: Host) -> Sequence[str]:
        return self._other_files(_yaml(host))

    def watched(self, host: Host) -> Sequence[str]:
        """Return also the files that the generator made from ours."""
        watched = super().watched(host)
        slots = [slot for path in watched if (slot := self.slot_of_file(path)) is not None]
        return (*watched, *(path for slot in slots for path in generator.runtime_paths(name_of(slot))))

    def check(self, host: Host) -> bool:
        if generator.program(host) is None:
            return False
        generator.check(host, _yaml(host))
        return True

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Try the files of a plan with netplan's own generator, together with the other files of the host."""
        return generator.stage(host, interfaces, self.foreign(host), self.managed(host))

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        """Install the generator's results, free and rename links, and let networkd read everything once."""
        for path, file in sorted(staged.runtime.items()):
            host.restore(path, file)
        changed = {interface.key for interface in interfaces if _is_reread(interface, staged)}
        networkctl.take_effect(host, links, interfaces, changed, faults)

    def may_own(self, host: Host, port: int) -> bool:
        return networkctl.may_own(host, port)

    def reload(self, host: Host, names: Sequence[str]) -> None:
        networkctl.reload(host)


def _drop_in(name: str) -> str:
    return f"{_DROP_INS}/10-netplan-{name}.network.d/multinic.conf"


def _yaml(host: Host) -> list[str]:
    """Return the YAML files that the generator reads, also ours."""
    return [path for path in paths_in(host, NETPLAN_SOURCES) if path.endswith(".yaml")]


def _is_reread(interface: Interface, staged: Staged) -> bool:
    """Return whether files of an interface are new to networkd: then it configures the link again."""
    changed = {change.path for change in interface.files} | staged.runtime.keys()
    return not changed.isdisjoint({_drop_in(interface.name), *generator.runtime_paths(interface.name)})
