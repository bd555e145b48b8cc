"""wicked (SLES 15, Leap 15): ifcfg files, a .link file for the name, `wicked` for the links that changed.

wicked knows a link only by its name; udev gives the name by MAC address. The answers of `wicked` say
little: it exits with 0 even if it cannot read its configuration. So it must first show how it reads our
files, and the kernel is read afterwards. docs/backends.md says which command does what.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_network

from multinic.backend import autoconf, wickedd
from multinic.backend.base import Backend, Render, Staged, paths_in
from multinic.backend.detect import WICKED, running
from multinic.backend.steps import free, reload_udev, rename_pending, set_mtu
from multinic.decide.naming import slot_of
from multinic.decide.routing import METRIC, default_metric
from multinic.host.host import Host
from multinic.kernel.faults import Faults, collected
from multinic.kernel.links import Links
from multinic.kernel.reader import Reader
from multinic.kernel.set_properties import set_changed
from multinic.values.desired import DesiredLink, Route
from multinic.values.errors import HostError
from multinic.values.plan import Interface, State

_ETC, _LINKS = wickedd.CONFIGURATION, "/etc/systemd/network"
_XML = "/etc/wicked/ifconfig"
_PARTS = ("ifcfg", "ifsysctl", "ifroute", "ifrule")
_PROGRAMS = tuple(f"{path}/wicked" for path in ("/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"))
_READ = re.compile(rf"{_ETC}/(?:if(?:cfg|route|rule)-|routes$)")
_GRANTED, _LEASED = "<state>granted</state>", re.compile(r"<address>([^<]+)</address>")
_IGNORED = ("~", ".old", ".bak", ".orig", ".scpmbackup", ".rpmnew", ".rpmsave", ".rpmorig")
_BY_WICKED = frozenset({"name", "state", "mtu", "address", "route", "rule"})
"""Fields of a change that wicked sets; multinic sets the others."""
_BY_ROUTERS = frozenset({"accept_ra", "accept_ra_defrtr", "ra_defrtr_metric", "autoconf", "addr_gen_mode"})
"""Fields that decide what a link takes from router advertisements (autoconf.py)."""


class Wicked(Backend):
    """Up to five files for each interface, for wicked and for udev."""

    name = "wicked"
    directories = (_ETC, _LINKS)
    file = re.compile(rf"{_ETC}/if(?:cfg|route|rule|sysctl)-(multinic\d+)|{_LINKS}/[79]0-(multinic\d+)\.link")
    sources = (_ETC, _LINKS, _XML)
    needs_carrier = True
    leaves_duplicates_out = True

    def unusable(self, host: Host) -> str:
        if not any(host.present(path) for path in _PROGRAMS):
            return "wicked is not installed"
        if not running(host, WICKED):  # /run/wicked stays when it stops
            return "wickedd is not running"
        return ""

    def mode(self, path: str) -> int:
        return 0o644  # as all files in that directory; nothing in them is secret

    def lacks(self, host: Host) -> Mapping[str, str]:
        return {
            "dns": "its DNS servers are those of the whole host (NETCONFIG_DNS_STATIC_SERVERS)",
            "lldp": "its files have no variable for it",
        }

    def properties(self, link: DesiredLink) -> Mapping[str, str]:
        """Return the variables in the ifsysctl file: wicked sets some of them, multinic the others."""
        return autoconf.sysctls(link)

    def files(self, name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
        slot = slot_of(name) or 0
        context = {
            "name": name,
            "link": link,
            "metric": default_metric(link, slot),
            "routes": _routes(link, METRIC + slot),
            "sysctls": self.properties(link),
        }
        parts = ["ifcfg", "ifsysctl"]
        if link.routes:
            parts.append("ifroute")
        if link.rules:
            parts.append("ifrule")
        found = {f"{_ETC}/{part}-{name}": render(f"wicked/{part}.j2", context) for part in parts}
        return found | {f"{_LINKS}/70-{name}.link": render("wicked/link.j2", context)}

    def traces(self, host: Host, name: str) -> Sequence[str]:
        """Return the nanny's policy and the leases of an interface."""
        return [path for path in (wickedd.policy_file(name),) if host.present(path)] + wickedd.leases(
            host, name
        )

    def lease_files(self, index: int, name: str) -> Sequence[str]:
        return [f"/var/lib/wicked/lease-{name}-dhcp-{family}.xml" for family in ("ipv4", "ipv6")]

    def leases(self, host: Host, index: int, name: str) -> Collection[str]:
        """Return the leased addresses: one that is in our file, too, has no lifetime in the kernel."""
        texts = [host.read(path) or "" for path in self.lease_files(index, name)]
        return [address for text in texts if _GRANTED in text for address in _LEASED.findall(text)]

    def foreign(self, host: Host) -> Sequence[str]:
        etc = [path for path in paths_in(host, [_ETC]) if _READ.match(path)]
        xml = [path for path in paths_in(host, [_XML]) if path.endswith(".xml")]
        return self._other_files([*(path for path in etc if not path.endswith(_IGNORED)), *xml])

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Have wicked read the files as they shall be: it objects, or shows how it understands them."""
        refused = {i.key: words for i in interfaces if (words := _unsupported(i))}
        written = {i.key: _as_written(host, i) for i in interfaces if i.state is not State.DELETE}
        written = {key: contents for key, contents in written.items() if contents and key not in refused}
        if not written or not wickedd.objections(host, *written.values()):
            return Staged({}, refused)
        ordinary = set(wickedd.objections(host))  # lines that it writes on this host without a file of ours
        for key, contents in written.items():
            if lines := [line for line in wickedd.objections(host, contents) if line not in ordinary]:
                refused[key] = " ".join(lines)[:300]
        return Staged({}, refused)

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        """Take down links that lose their names, rename, reload and bring up: one command for all links."""
        if any(change.path.startswith(_LINKS) for interface in interfaces for change in interface.files):
            reload_udev(host)
        leaving = {i.link.name: i for i in interfaces if i.link and _leaves_its_name(i)}
        # wicked would keep its configuration of such a link under the old name.
        held = {name: i for name, i in leaving.items() if slot_of(name) is not None or (i.link and i.link.up)}
        wickedd.run(host, "ifdown", held, faults)
        for interface in interfaces:
            with faults.of(interface):
                if interface.state is State.DELETE:
                    wickedd.forget(host, interface.name)
                    free(links, interface)
                elif interface.link and interface.link.name in held:
                    links.down(interface.link.index, interface.link.name)
        rename_pending(links, interfaces, faults)
        for interface in interfaces:
            with faults.of(interface):
                _prepare(host, links, interface)
        there = {
            i.name: i for i in interfaces if i.link and i.state is not State.DELETE and i.key not in faults
        }
        reloaded = {name: i for name, i in there.items() if _is_reloaded(i)}
        wickedd.run(host, "ifreload", reloaded, faults)
        wickedd.run(host, "ifup", {name: i for name, i in there.items() if _is_brought_up(i)}, faults)
        for interface in there.values():
            with faults.of(interface):
                _clear(links, interface)
        wickedd.load(host, [i.name for i in interfaces if i.link is None and i.desired])

    def reload(self, host: Host, names: Sequence[str]) -> None:
        """Have wicked read the files of these links again, and forget links without files.

        Before wicked runs, at boot, it only has to forget: it reads all files when it starts. An error does
        not stop the other steps. Raises the first HostError.
        """
        with Reader() as kernel:
            present = {link["name"] for link in kernel.links()}
        configured = {name for name in names if host.present(f"{_ETC}/ifcfg-{name}")}
        faults: list[HostError] = []
        with collected(faults):
            reload_udev(host)
        is_running = not self.unusable(host)
        if is_running:
            with collected(faults):
                wickedd.exit_status(host, "ifdown", sorted(set(names) & present - configured))
        for name in sorted(set(names) - configured):
            with collected(faults):
                wickedd.forget(host, name)
        if is_running:
            with collected(faults):
                wickedd.exit_status(host, "ifreload", sorted(configured & present))
            with collected(faults):
                wickedd.load(host, sorted(configured - present))
        for fault in faults:
            raise fault


def _routes(link: DesiredLink, metric: int) -> list[Route]:
    """Return the routes in an order that the kernel accepts: routes to gateways first.

    wicked has no flag for a gateway outside the link's networks. A route to that gateway alone does the same;
    its metric makes it differ from the route of another link to the same gateway.
    """
    gateways = [
        Route(ip_network(route.via), None, metric) for route in link.routes if route.on_link and route.via
    ]
    return sorted(dict.fromkeys([*gateways, *link.routes]), key=lambda route: route.via is not None)


def _as_written(host: Host, interface: Interface) -> dict[str, bytes]:
    """Return the files of an interface that wicked reads: name → content; {} if none of them changes."""
    changed = {c.path: c.new for c in interface.files if c.path.startswith(_ETC)}
    found: dict[str, bytes] = {}
    for name in (f"{part}-{interface.name}" for part in _PARTS) if changed else ():
        file = host.file(f"{_ETC}/{name}")
        content = file.content.decode("utf-8", "surrogateescape") if file else None
        if text := changed.get(f"{_ETC}/{name}", content):
            found[name] = text.encode("utf-8", "surrogateescape")
    return found


def _unsupported(interface: Interface) -> str:
    """Return why wicked cannot do what a row asks for; "" if it can."""
    wish = interface.desired
    if wish is None or not wish.options.dhcp4 or 4 not in wish.link_local:
        return ""
    words = "beside dhcp4 it gives a link-local IPv4 address only while no server answers"
    return f"options.link_local of row {wish.row_id}: {words}"


def _prepare(host: Host, links: Links, interface: Interface) -> None:
    """Do what must be done before a link that has its name is brought up.

    The nanny has an unchanged policy for a link that was renamed and has its name again: `ifup` would wait
    for 30 s. wicked sets not all variables of an ifsysctl file: a router must not be heard before they are.
    """
    link = interface.link
    if link is None or interface.state is State.DELETE:
        return
    if link.name != interface.name:
        wickedd.drop_policy(host, interface.name)
    early = [change for change in interface.changes if change.field in _BY_ROUTERS]
    set_changed(host, links, link, interface.name, early)


def _leaves_its_name(interface: Interface) -> bool:
    """Return whether a link gets another name, or is freed."""
    renamed = interface.link is not None and interface.target_name != interface.link.name
    return renamed or interface.state is State.DELETE


def _is_reloaded(interface: Interface) -> bool:
    """Return whether a link must be taken down and up: only that removes old routes and leases.

    If the row is the same as before, it need not be: `ifup` also repairs what `ifreload` does not look at,
    and changes nothing that is right, for example when files of an earlier agent are taken over.
    """
    new = any(c.old is None and c.path == f"{_ETC}/ifcfg-{interface.name}" for c in interface.files)
    is_ours_to_reload = not new and not _leaves_its_name(interface)
    return interface.reason == "changed" and bool(interface.files) and is_ours_to_reload


def _is_brought_up(interface: Interface) -> bool:
    changed = bool(interface.files) or any(change.field in _BY_WICKED for change in interface.changes)
    return changed and not _is_reloaded(interface)


def _clear(links: Links, interface: Interface) -> None:
    """Remove addresses that `ifup` leaves, and reset an MTU that the file no longer has."""
    if interface.link is not None:
        for address in interface.removed_addresses:
            links.remove_address(interface.link.index, interface.name, address)
    if interface.desired is not None and interface.desired.mtu is None:
        set_mtu(links, interface)
