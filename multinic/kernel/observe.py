"""The links, routes and rules of the kernel as values. Reads only."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from multinic.kernel.dumps import KeepingReader
from multinic.kernel.messages import link_of
from multinic.kernel.reader import LASTING, Reader
from multinic.kernel.routes import forget as forget_messages
from multinic.kernel.routes import routes_by
from multinic.values.addresses import Mac, ip_interface, ip_network
from multinic.values.desired import Rule
from multinic.values.observed import (
    ObservedAddress,
    ObservedLink,
    ObservedRule,
    Surroundings,
)


def surroundings() -> Surroundings:
    """Return all links, routes and rules of the host: a change must not disturb them. Raises HostError."""
    with KeepingReader() as kernel:
        return Surroundings(
            links=links_by(kernel),
            routes=routes_by(kernel, kinds=LASTING),
            rules=tuple(rule(item) for item in kernel.rules()),
        )


def links() -> tuple[ObservedLink, ...]:
    """Return the links of the kernel, without routes and rules. Raises HostError."""
    with Reader() as kernel:
        return links_by(kernel)


def links_by(kernel: Reader) -> tuple[ObservedLink, ...]:
    """Return the links of the kernel by index, through an open reader. Raises HostError."""
    addresses = {index: tuple(map(address_of, items)) for index, items in kernel.addresses().items()}
    found = sorted(map(_link, kernel.link_messages()), key=attrgetter("index"))
    return tuple(
        replace(link, addresses=addresses[link.index]) if link.index in addresses else link for link in found
    )


def link(item: dict[str, Any]) -> ObservedLink:
    return ObservedLink(
        **{
            **item,
            "mac": _mac(item["mac"]),
            "permanent_mac": _mac(item["permanent_mac"]),
            "altnames": tuple(item["altnames"]),
        }
    )


@lru_cache(maxsize=4096)
def _link(message: bytes) -> ObservedLink:
    """Return a link without its addresses. A change looks at all several times, and most stay as they are."""
    return link(link_of(message))


def forget() -> None:
    """Forget the links that were seen; a process that goes on after its pass needs the memory."""
    _link.cache_clear()
    forget_messages()


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
