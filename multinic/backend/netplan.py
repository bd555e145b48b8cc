"""netplan with systemd-networkd: one file a link under /etc/netplan, activated without `netplan apply`.

`netplan apply` reconfigures every link of the host. Instead its generator runs in a scratch root,
once for all changes; only our own results go to /run/systemd/network; links are renamed by
netlink; then one `networkctl reload`. Links of others see no event. At the next boot the
generator makes the same of /etc/netplan. docs/backends.md has the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from multinic.backend import Render, Staged, generator, networkctl, networkd
from multinic.backend.detect import NETPLAN_SOURCES, NETWORKD, netplan_renderer, running
from multinic.host import Host
from multinic.links import Faults, Links
from multinic.model import DesiredLink
from multinic.naming import name_of, slot_of
from multinic.plan import Interface
from multinic.routing import default_metric

NAME = "netplan"
_MODE = 0o600  # netplan warns about anything more open, on every call

_ETC = "/etc/netplan"
_SOURCES = NETPLAN_SOURCES  # where the generator looks for YAML

_DROP_INS = "/etc/systemd/network"
_DROP_IN = re.compile(r"/etc/systemd/network/10-netplan-(multinic[0-9]+)\.network\.d/multinic\.conf")
_FILE = re.compile(r"/etc/netplan/9([0-9]+)-(multinic([0-9]+))\.yaml")


def unusable(host: Host) -> str:
    """Return why netplan cannot be used on the host; "" if it can."""
    if generator.program(host) is None:
        return "netplan is not installed"
    by_name = {name: f"{source}/{name}" for source in _SOURCES for name in host.names(source)}
    paths = [path for name, path in sorted(by_name.items()) if name.endswith(".yaml")]
    if netplan_renderer([host.read(path, follow=True) or "" for path in paths]) != "networkd":
        return "netplan's renderer is NetworkManager on this host: set backend to networkmanager"
    if not running(host, NETWORKD):
        return "systemd-networkd is not running"
    return ""


def mode(path: str) -> int:
    """Return 0600; networkd, which is not root, reads the drop-ins."""
    return 0o644 if _DROP_IN.fullmatch(path) else _MODE


def lacks(host: Host) -> Mapping[str, str]:
    """Return what the host's networkd cannot do: netplan itself has it all."""
    return networkd.lacks(host)


def tuning(link: DesiredLink) -> Mapping[str, str]:  # noqa: ARG001
    """Return nothing: networkd sees to advertisements and link-local addresses itself."""
    return {}


def files(name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
    """Return the file of an interface, and a drop-in for networkd where netplan lacks words for an option."""
    context = {"name": name, "link": link, "metric": default_metric(link, slot_of(name) or 0)}
    found = {_path(name): render("netplan.yaml.j2", context)}
    if link.options.accept_ra or link.options.dhcp6:
        found[_drop_in(name)] = render("netplan-drop-in.conf.j2", context)
    return found


def slot_of_file(path: str) -> int | None:
    """Return the slot of /etc/netplan/9{N}-multinic{N}.yaml, or of the drop-in."""
    if match := _DROP_IN.fullmatch(path):
        return slot_of(match[1])
    match = _FILE.fullmatch(path)
    return slot_of(match[2]) if match and match[1] == match[3] else None


def managed(host: Host) -> Sequence[str]:
    """Return the files that are ours by name, also those of earlier agents."""
    paths = [f"{_ETC}/{name}" for name in host.names(_ETC)]
    for name in host.names(_DROP_INS):
        paths += [f"{_DROP_INS}/{name}/{inner}" for inner in _drop_ins_in(host, name)]
    return [path for path in paths if slot_of_file(path) is not None]


def _drop_ins_in(host: Host, directory: str) -> Sequence[str]:
    ours = directory.startswith("10-netplan-multinic") and directory.endswith(".network.d")
    return host.names(f"{_DROP_INS}/{directory}") if ours else ()


def foreign(host: Host) -> Sequence[str]:
    """Return all other netplan files."""
    paths = [f"{source}/{name}" for source in _SOURCES for name in host.names(source)]
    return [path for path in paths if path.endswith(".yaml") and slot_of_file(path) is None]


def watched(host: Host) -> Sequence[str]:
    """Return netplan's directories and parts, our files, and what the generator made of them."""
    ours = managed(host)
    made = [path for own in ours for path in generator.runtime_paths(name_of(slot_of_file(own) or 0))]
    return (*_SOURCES, _DROP_INS, *ours, *made)


def stage(host: Host, interfaces: Sequence[Interface]) -> Staged:
    """Try the files of a plan with netplan's own generator, beside the host's others."""
    return generator.stage(host, interfaces, foreign(host), managed(host))


def activate(
    host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
) -> None:
    """Install the generator's results, free and rename links, and let networkd read it all once."""
    for path, file in sorted(staged.runtime.items()):
        host.restore(path, file)
    changed = {interface.key for interface in interfaces if _is_reread(interface, staged)}
    networkctl.take_effect(host, links, interfaces, changed, faults)


def _is_reread(interface: Interface, staged: Staged) -> bool:
    """Return whether networkd has new files to read of an interface: it then configures the link anew."""
    changed = {change.path for change in interface.files} | staged.runtime.keys()
    return not changed.isdisjoint({_drop_in(interface.name), *generator.runtime_paths(interface.name)})


def reload(host: Host, names: Sequence[str]) -> None:  # noqa: ARG001
    """Have udevd and networkd read their files again."""
    networkctl.reload(host)


def _drop_in(name: str) -> str:
    return f"{_DROP_INS}/10-netplan-{name}.network.d/multinic.conf"


def _path(name: str) -> str:
    return f"{_ETC}/9{slot_of(name)}-{name}.yaml"
