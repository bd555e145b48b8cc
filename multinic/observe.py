"""What this host has now: the kernel's tables and the files of one backend, as values. Reads only."""

from __future__ import annotations

import re
from typing import Any

from multinic.backend import Backend
from multinic.host import Host
from multinic.model import (
    Mac,
    Observed,
    ObservedAddress,
    ObservedLink,
    ObservedRoute,
    ObservedRule,
    Rule,
    ip_address,
    ip_interface,
    ip_network,
)
from multinic.netlink import LASTING, Reader
from multinic.witness import Surroundings

_LOCAL_TABLE = 255  # RT_TABLE_LOCAL: follows from the addresses
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")


def observe(host: Host, backend: Backend) -> Observed:
    """Return links and routes of the kernel, and managed and foreign files. Raises HostError."""
    with Reader() as kernel:
        found, routes = kernel.links(), kernel.routes()
    files: dict[str, str] = {}
    modes: dict[str, int] = {}
    for path in backend.managed(host):
        file = host.file(path)
        # Something else at our path (a symlink, a directory) counts as an empty file: it is replaced.
        files[path] = file.content.decode("utf-8", "replace") if file else ""
        modes[path] = file.mode if file else 0
    # Those of others may be symlinks: whoever reads the configuration follows them.
    foreign = {
        path: _COMMENT.sub("", text)
        for path in backend.foreign(host)
        if (text := host.read(path, follow=True))
    }
    return Observed(
        links=tuple(link(item) for item in found),
        routes=tuple(route(item) for item in routes),
        files=files,
        modes=modes,
        foreign=foreign,
    )


def surroundings() -> Surroundings:
    """Return what a change must not disturb: all links, routes and rules of the host. Raises HostError."""
    with Reader() as kernel:
        found, routes, rules = kernel.links(), kernel.routes(table=0, kinds=LASTING), kernel.rules()
    return Surroundings(
        links=tuple(link(item) for item in found),
        routes=tuple(route(item) for item in routes if item["table"] != _LOCAL_TABLE),
        rules=tuple(rule(item) for item in rules),
    )


def links() -> tuple[ObservedLink, ...]:
    """Return the links of the kernel alone. Raises HostError."""
    with Reader() as kernel:
        return tuple(link(item) for item in kernel.links())


def link(item: dict[str, Any]) -> ObservedLink:
    """Return a link as a value."""
    return ObservedLink(
        **{
            **item,
            "mac": _mac(item["mac"]),
            "permanent_mac": _mac(item["permanent_mac"]),
            "altnames": tuple(item["altnames"]),
            "addresses": tuple(_address(address) for address in item["addresses"]),
        }
    )


def _mac(text: str) -> Mac | None:
    try:
        return Mac(text) if text else None
    except ValueError:  # a tunnel may have an address that no card could have
        return None


def _address(item: dict[str, Any]) -> ObservedAddress:
    return ObservedAddress(
        address=ip_interface(item["address"], item["prefix"]),
        scope=item["scope"],
        tentative=item["tentative"],
        dadfailed=item["dadfailed"],
        kernel=item["kernel"],
        raw=item["raw"],
    )


def route(item: dict[str, Any]) -> ObservedRoute:
    """Return a route as a value."""
    return ObservedRoute(
        to=ip_network(item["to"], item["prefix"]),
        via=ip_address(item["via"]) if item["via"] else None,
        link=item["link"],
        table=item["table"],
        metric=item["metric"],
        protocol=item["protocol"],
        raw=item["raw"],
    )


def rule(item: dict[str, Any]) -> ObservedRule:
    """Return a policy-routing rule as a value."""
    source, destination = item["source"], item["destination"]
    return ObservedRule(
        rule=Rule(
            source=ip_network(*source) if source else None,
            destination=ip_network(*destination) if destination else None,
            table=item["table"],
            priority=item["priority"],
        ),
        family=item["family"],
        protocol=item["protocol"],
        raw=item["raw"],
    )
