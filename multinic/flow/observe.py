"""What this host has now: the kernel's tables and the files of one backend, as one value. Reads only."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from multinic.backend.base import Backend
from multinic.decide.asking import Asked
from multinic.decide.routing import ROUTE_PROTOCOL
from multinic.host.host import Host
from multinic.kernel import properties
from multinic.kernel.dumps import KeepingReader
from multinic.kernel.namespace import check_namespace
from multinic.kernel.observe import links_by, rule
from multinic.kernel.routes import routes_by
from multinic.kernel.set_properties import properties_of
from multinic.values.addresses import Mac
from multinic.values.fields import LARGER_OF_ALL
from multinic.values.observed import Observed, ObservedLink
from multinic.values.rtnetlink import MAIN_TABLE

_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")


def observe(host: Host, backend: Backend, asked: Asked) -> Observed:
    """Return links and routes of the kernel, and managed and foreign files. Raises HostError."""
    check_namespace(host)
    with KeepingReader() as kernel:
        found = links_by(kernel)
        routes = routes_by(kernel, 0 if asked.routing else MAIN_TABLE)
        rules = kernel.rules()
        if not asked.routing:  # ours may be left all the same, from a record that was lost
            routes = routes.and_more(routes_by(kernel, protocol=ROUTE_PROTOCOL))
            rules = [item for item in rules if item["protocol"] == ROUTE_PROTOCOL]
        towards = kernel.way_to(asked.database.packed) if asked.database else None
    links = tuple(_with_leases(link, host, backend, asked) for link in found)
    files: dict[str, str] = {}
    modes: dict[str, int] = {}
    for path in backend.managed(host):
        file = host.file(path)
        # Something else at our path (a symlink, a directory) counts as an empty file: it is replaced.
        files[path] = file.content.decode("utf-8", "replace") if file else ""
        modes[path] = file.mode if file else 0
    # Files of other programs may be symlinks, which these programs follow.
    foreign = {
        path: _COMMENT.sub("", text)
        for path in backend.foreign(host)
        if (text := host.read(path, follow=True))
    }
    return Observed(
        links=links,
        routes=routes,
        rules=tuple(rule(item) for item in rules),
        link_towards_database=towards[0] if towards else None,
        files=files,
        modes=modes,
        foreign=foreign,
        properties=observed_properties(links, asked.fields),
        properties_of_all=_of_all() if asked.fields else {},
    )


def _with_leases(found: ObservedLink, host: Host, backend: Backend, asked: Asked) -> ObservedLink:
    """Return a link, with those of its addresses marked as leased of which only the service says so."""
    if asked.leases.isdisjoint({found.mac, found.permanent_mac}):
        return found
    leases = backend.leases(host, found.index, found.name)
    addresses = (replace(one, leased=one.leased or str(one.address.ip) in leases) for one in found.addresses)
    return replace(found, addresses=tuple(addresses))


def observed_properties(
    links: Collection[ObservedLink], fields: Mapping[Mac, Collection[str]]
) -> dict[int, dict[str, str]]:
    """Return the properties that are asked for, by the index of the link. Raises HostError."""
    return {
        found.index: properties_of(found, wanted)
        for found in links
        if (
            wanted := {
                name for mac in (found.mac, found.permanent_mac) if mac for name in fields.get(mac, ())
            }
        )
    }


def _of_all() -> dict[str, str]:
    found = {name: properties.read_sysctl("all", name) for name in LARGER_OF_ALL}
    return {name: value for name, value in found.items() if value is not None}
