"""The links, routes and rules of the kernel as values. Reads only."""

from __future__ import annotations

from typing import Any

from multinic.kernel.reader import LASTING, Reader
from multinic.values.addresses import Mac, ip_address, ip_interface, ip_network
from multinic.values.desired import Rule
from multinic.values.observed import (
    ObservedAddress,
    ObservedLink,
    ObservedRoute,
    ObservedRule,
    Surroundings,
)
from multinic.values.rtnetlink import LOCAL_TABLE


def surroundings() -> Surroundings:
    """Return all links, routes and rules of the host: a change must not disturb them. Raises HostError."""
    with Reader() as kernel:
        found, routes, rules = kernel.links(), kernel.routes(table=0, kinds=LASTING), kernel.rules()
    return Surroundings(
        links=tuple(link(item) for item in found),
        routes=tuple(route(item) for item in routes if item["table"] != LOCAL_TABLE),
        rules=tuple(rule(item) for item in rules),
    )


def links() -> tuple[ObservedLink, ...]:
    """Return the links of the kernel, without routes and rules. Raises HostError."""
    with Reader() as kernel:
        return tuple(link(item) for item in kernel.links())


def link(item: dict[str, Any]) -> ObservedLink:
    return ObservedLink(
        **{
            **item,
            "mac": _mac(item["mac"]),
            "permanent_mac": _mac(item["permanent_mac"]),
            "altnames": tuple(item["altnames"]),
            "addresses": tuple(address_of(address) for address in item["addresses"]),
        }
    )


def _mac(text: str) -> Mac | None:
    try:
        return Mac(text) if text else None
    except ValueError:  # a tunnel may have an address that no network card can have
        return None


def address_of(item: dict[str, Any]) -> ObservedAddress:
    return ObservedAddress(
        address=ip_interface(item["address"], item["prefix"]),
        scope=item["scope"],
        tentative=item["tentative"],
        dadfailed=item["dadfailed"],
        kernel=item["kernel"],
        leased=item["leased"],
        expiring=item["expiring"],
        raw=item["raw"],
    )


def route(item: dict[str, Any]) -> ObservedRoute:
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
