"""What this host has now: the kernel's tables and the files of one backend, as values. Reads only."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from multinic import properties
from multinic.backend import Backend
from multinic.configure import fields_of
from multinic.fields import LARGER_OF_ALL
from multinic.host import Host
from multinic.model import (
    MAIN_TABLE,
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


@dataclass(frozen=True)
class Asked:
    """What is looked at only where somebody asks for it: most hosts need none of it."""

    routing: bool = False
    """Routes of all tables, and rules."""
    fields: Mapping[Mac, Collection[str]] = field(default_factory=dict)
    """Fields of tuning.py, by the MAC address of their link."""


def observe(host: Host, backend: Backend, asked: Asked) -> Observed:
    """Return links and routes of the kernel, and managed and foreign files. Raises HostError."""
    with Reader() as kernel:
        found = kernel.links()
        routes = kernel.routes(0 if asked.routing else MAIN_TABLE)
        rules = kernel.rules() if asked.routing else []
    links = tuple(link(item) for item in found)
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
        links=links,
        routes=tuple(route(item) for item in routes if item["table"] != _LOCAL_TABLE),
        rules=tuple(rule(item) for item in rules),
        files=files,
        modes=modes,
        foreign=foreign,
        tuning=tuning(links, asked.fields),
        tuning_of_all=_of_all() if asked.fields else {},
    )


def tuning(
    links: Collection[ObservedLink], fields: Mapping[Mac, Collection[str]]
) -> dict[int, dict[str, str]]:
    """Return the fields of tuning.py that are asked for, by the index of the link. Raises HostError."""
    return {
        found.index: fields_of(found, wanted)
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
        leased=item["leased"],
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
