"""wicked (SLES 15, Leap 15): ifcfg files, a .link file for the name, `wicked` for the links that changed.

wicked knows a link by its name alone; udev gives the name by MAC address. What `wicked` answers says
little: exit 0 also for configuration that it cannot read. So it is shown the files first, and the
kernel is looked at afterwards. docs/backends.md tells which command does what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface, ip_network

from multinic.backend import Render, Staged, netlink, wickedd
from multinic.backend.detect import WICKED, running
from multinic.configure import free, reload_udev, rename_pending, restore_mtu
from multinic.errors import HostError
from multinic.host import Host
from multinic.links import Faults, Links, kept
from multinic.model import DesiredLink, Route
from multinic.naming import slot_of
from multinic.netlink import Reader
from multinic.plan import Interface, State
from multinic.routing import METRIC, default_metric

NAME = "wicked"

_ETC, _LINKS = wickedd.CONFIGURATION, "/etc/systemd/network"
_XML = "/etc/wicked/ifconfig"
_PARTS = ("ifcfg", "ifsysctl", "ifroute", "ifrule")
_PROGRAMS = tuple(f"{path}/wicked" for path in ("/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"))
_STATE = "/run/wicked"
_FILE = re.compile(rf"{_ETC}/if(?:cfg|route|rule|sysctl)-(multinic\d+)|{_LINKS}/70-(multinic\d+)\.link")
_IGNORED = ("~", ".old", ".bak", ".orig", ".scpmbackup", ".rpmnew", ".rpmsave", ".rpmorig")
_BY_WICKED = frozenset({"name", "state", "mtu", "address", "route", "rule"})
"""Fields of a change that its files speak of; the rest is set by us."""


def unusable(host: Host) -> str:
    """Return why wicked cannot be used on the host; "" if it can."""
    if not any(host.present(path) for path in _PROGRAMS):
        return "wicked is not installed"
    if not running(host, WICKED) and not host.present(_STATE):
        return "wickedd is not running"
    return ""


def mode(path: str) -> int:  # noqa: ARG001
    """Return 0644, as all files there have: nothing in them is secret."""
    return 0o644


def lacks(host: Host) -> Mapping[str, str]:  # noqa: ARG001
    """Return what an ifcfg file cannot say."""
    return {"dns": "its DNS servers are those of the whole host (NETCONFIG_DNS_STATIC_SERVERS)"}


def tuning(link: DesiredLink) -> Mapping[str, str]:
    """Return what the ifsysctl file says: wicked sets some of it, we the rest, and all of it is watched."""
    return netlink.tuning(link)


def files(name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
    """Return the files of an interface; those of routes and rules only where there are any."""
    slot = slot_of(name) or 0
    context = {
        "name": name,
        "link": link,
        "metric": default_metric(link, slot),
        "routes": _routes(link, METRIC + slot),
        "sysctls": tuning(link),
    }
    parts = ["ifcfg", "ifsysctl", *(["ifroute"] if link.routes else []), *(["ifrule"] if link.rules else [])]
    found = {f"{_ETC}/{part}-{name}": render(f"wicked/{part}.j2", context) for part in parts}
    return found | {f"{_LINKS}/70-{name}.link": render("wicked/link.j2", context)}


def _routes(link: DesiredLink, metric: int) -> list[Route]:
    """Return the routes in the order in which the kernel takes them: first what leads to gateways.

    wicked has no flag for a gateway that no address leads to. A route to it alone does the same; its
    metric tells it from that of another link to the same gateway.
    """
    gateways = [
        Route(ip_network(route.via), None, metric) for route in link.routes if route.on_link and route.via
    ]
    return sorted(dict.fromkeys([*gateways, *link.routes]), key=lambda route: route.via is not None)


def slot_of_file(path: str) -> int | None:
    """Return the slot of ifcfg-multinicN and of what belongs to it."""
    match = _FILE.fullmatch(path)
    return slot_of(match[1] or match[2]) if match else None


def managed(host: Host) -> Sequence[str]:
    """Return the files that are ours by name, also those of earlier agents."""
    paths = [f"{directory}/{name}" for directory in (_ETC, _LINKS) for name in host.names(directory)]
    return [path for path in paths if slot_of_file(path) is not None]


def foreign(host: Host) -> Sequence[str]:
    """Return all other configuration that wicked reads."""
    names = [name for name in host.names(_ETC) if re.match(r"if(cfg|route|rule)-|routes$", name)]
    paths = [f"{_ETC}/{name}" for name in names if not name.endswith(_IGNORED)]
    paths += [f"{_XML}/{name}" for name in host.names(_XML) if name.endswith(".xml")]
    return [path for path in paths if slot_of_file(path) is None]


def watched(host: Host) -> Sequence[str]:
    """Return the directories where files are looked for, and our files."""
    return (_ETC, _LINKS, _XML, *managed(host))


def stage(host: Host, interfaces: Sequence[Interface]) -> Staged:
    """Show wicked the files as they shall be: whatever it says of them is an objection."""
    written = {i.key: _as_written(host, i) for i in interfaces if i.state is not State.DELETE}
    written = {key: contents for key, contents in written.items() if contents}
    if not written or not wickedd.objections(host, *written.values()):
        return Staged()
    ordinary = set(wickedd.objections(host))  # what it says of this host without any file of ours
    refused: dict[str, str] = {}
    for key, contents in written.items():
        if lines := [line for line in wickedd.objections(host, contents) if line not in ordinary]:
            refused[key] = " ".join(lines)[:300]
    return Staged({}, refused)


def _as_written(host: Host, interface: Interface) -> dict[str, bytes]:
    """Return the files that wicked reads of an interface, by name; nothing where none changes."""
    changed = {c.path: c.new for c in interface.files if c.path.startswith(_ETC)}
    found: dict[str, bytes] = {}
    for name in (f"{part}-{interface.name}" for part in _PARTS) if changed else ():
        file = host.file(f"{_ETC}/{name}")
        content = file.content.decode("utf-8", "surrogateescape") if file else None
        if text := changed.get(f"{_ETC}/{name}", content):
            found[name] = text.encode("utf-8", "surrogateescape")
    return found


def activate(
    host: Host,
    links: Links,
    interfaces: Sequence[Interface],
    staged: Staged,  # noqa: ARG001
    faults: Faults,
) -> None:
    """Take down what leaves its name, rename, and bring up or reload: one command each for all links."""
    if any(change.path.startswith(_LINKS) for interface in interfaces for change in interface.files):
        reload_udev(host)
    leaving = {i.link.name: i for i in interfaces if i.link and _leaves_its_name(i)}
    # What wicked holds under its old name it would go on holding under that.
    held = {name: i for name, i in leaving.items() if slot_of(name) is not None or (i.link and i.link.up)}
    wickedd.blame(host, "ifdown", held, faults)
    for interface in interfaces:
        with faults.of(interface):
            if interface.state is State.DELETE:
                wickedd.forget(host, interface.name)
                free(links, interface)
            elif interface.link and interface.link.name in held:
                links.down(interface.link.index, interface.link.name)
    rename_pending(links, interfaces, faults)
    there = {i.name: i for i in interfaces if i.link and i.state is not State.DELETE and i.key not in faults}
    reloaded = {name: i for name, i in there.items() if _is_reloaded(i)}
    wickedd.blame(host, "ifreload", reloaded, faults)
    wickedd.blame(host, "ifup", {name: i for name, i in there.items() if _is_brought_up(i)}, faults)
    for interface in there.values():
        with faults.of(interface):
            _clear(links, interface)
    wickedd.load(host, [i.name for i in interfaces if i.link is None and i.desired])


def _leaves_its_name(interface: Interface) -> bool:
    """Return whether a link is called otherwise afterwards, or is no longer ours."""
    renamed = interface.link is not None and interface.target_name != interface.link.name
    return renamed or interface.state is State.DELETE


def _is_reloaded(interface: Interface) -> bool:
    """Return whether a link must be taken down and up: only so do old routes and leases go.

    Not where its row is the same as before: `ifup` changes nothing that is right, as where files of an
    earlier version are taken over, and repairs what `ifreload` does not look at.
    """
    new = any(c.old is None and c.path == f"{_ETC}/ifcfg-{interface.name}" for c in interface.files)
    is_ours_to_reload = not new and not _leaves_its_name(interface)
    return interface.reason == "changed" and bool(interface.files) and is_ours_to_reload


def _is_brought_up(interface: Interface) -> bool:
    changed = bool(interface.files) or any(change.field in _BY_WICKED for change in interface.changes)
    return changed and not _is_reloaded(interface)


def _clear(links: Links, interface: Interface) -> None:
    """Remove what `ifup` leaves behind, and the MTU that no file speaks of any more."""
    for change in interface.changes:
        if change.field == "address" and not change.new and interface.link:
            links.remove_address(interface.link.index, interface.name, ip_interface(change.old))
    if interface.desired is not None and interface.desired.mtu is None:
        restore_mtu(links, interface)


def reload(host: Host, names: Sequence[str]) -> None:
    """Have wicked go back to the files of these links, and forget those that have none any more.

    Before it runs, at boot, there is nobody to tell: it reads all files when it starts. One thing that
    fails does not keep the others from it. Raises the first HostError.
    """
    with Reader() as kernel:
        present = {link["name"] for link in kernel.links()}
    configured = {name for name in names if host.present(f"{_ETC}/ifcfg-{name}")}
    faults: list[HostError] = []
    with kept(faults):
        reload_udev(host)
    if not unusable(host):
        with kept(faults):
            wickedd.status(host, "ifdown", sorted(set(names) & present - configured))
        for name in sorted(set(names) - configured):
            with kept(faults):
                wickedd.forget(host, name)
        with kept(faults):
            wickedd.status(host, "ifreload", sorted(configured & present))
        with kept(faults):
            wickedd.load(host, sorted(configured - present))
    for fault in faults:
        raise fault
