"""The safety rules that can be decided from what is observed: each a pure function with a name.

A rule answers with a `Block` (its name and a sentence), or None when it has no objection.
docs/safety.md tells operators about every one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from multinic.model import MAIN_TABLE, DesiredLink, IPAddress, Mac, Observed, ObservedLink
from multinic.naming import slot_of
from multinic.routing import is_ours

# Kinds of links (IFLA_INFO_KIND) that copy the MAC address of a real link below them.
STACKED = frozenset(
    {"vlan", "macvlan", "macvtap", "ipvlan", "bridge", "bond", "team", "vrf", "hsr", "macsec"}
)
LINK_SCOPE = 253  # RT_SCOPE_LINK: from here on, addresses that mean nothing beyond the link


@dataclass(frozen=True, slots=True)
class Block:
    """An objection: the rule's name, and the sentence for the operator."""

    rule: str
    message: str


def resolve(mac: Mac, observed: Observed) -> ObservedLink | Block | None:
    """Return the one real link that carries `mac`, None if it is not plugged in, or the objection.

    VLANs, bridges and bonds copy a MAC. The permanent address decides first; then a link
    that is no copy of another.
    """
    carriers = [link for link in observed.links if mac in (link.permanent_mac, link.mac)]
    permanent = [link for link in carriers if link.permanent_mac == mac]
    # A card whose permanent address is another one only wears this one (a bond's slave does).
    real = [link for link in carriers if link.permanent_mac is None and link.kind not in STACKED]
    for candidates in (permanent, real, carriers):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            names = ", ".join(link.name for link in candidates)
            return Block("ambiguous", f"the MAC address {mac} is carried by several links ({names})")
    return None


def in_use(link: ObservedLink, observed: Observed, database: IPAddress | None) -> Block | None:
    """Refuse a link that is not ours and that someone else uses or configures."""
    if block := vital(link, observed, database):
        return block
    for found in link.addresses:
        if not found.kernel and found.scope < LINK_SCOPE:
            return Block("in-use", f"link {link.name} has the address {found.address}, which is not ours")
    uppers = sorted(
        other.name for other in observed.links if other.parent == link.index and other.kind in STACKED
    )
    if uppers:
        return Block("in-use", f"link {link.name} carries {', '.join(uppers)}")
    for path, text in sorted(observed.foreign.items()):
        of_wicked = path.rpartition("/")[2].partition("-")[
            2
        ]  # eth1 of ifcfg-eth1, which need not say it again
        if mentions(text, link) or of_wicked == link.name:
            return Block("in-use", f"link {link.name} is configured by {path}")
    return None


def vital(
    link: ObservedLink, observed: Observed, database: IPAddress | None, *wishes: DesiredLink | None
) -> Block | None:
    """Refuse to change a link, ours or not, that the host or another link depends on.

    A default route that one of `wishes` (what is configured, what shall be) asks for is no objection.
    """
    for route in observed.routes:
        if (
            route.link == link.index
            and route.to.prefixlen == 0
            and route.table == MAIN_TABLE
            and not is_ours(route, link, *wishes)
        ):
            return Block("in-use", f"link {link.name} carries the default route")
    if database is not None and link.index in links_towards(database, observed):
        return Block("in-use", f"link {link.name} carries the route to the database ({database})")
    if link.master:
        names = [other.name for other in observed.links if other.index == link.master]
        return Block("in-use", f"link {link.name} is part of {names[0] if names else 'another link'}")
    return None


def links_towards(address: IPAddress, observed: Observed) -> set[int]:
    """Return the links of the routes to `address` that the kernel prefers: by prefix, then by metric."""
    routes = [
        route
        for route in observed.routes
        if route.table == MAIN_TABLE and route.to.version == address.version and address in route.to
    ]
    best = max(((route.to.prefixlen, -route.metric) for route in routes), default=None)
    return {route.link for route in routes if (route.to.prefixlen, -route.metric) == best}


def mentions(text: str, link: ObservedLink) -> bool:
    """Return whether a foreign configuration speaks of `link`, by MAC or by name as a whole word."""
    macs = [str(mac) for mac in (link.permanent_mac, link.mac) if mac]
    folded = text.lower()
    if any(mac in folded or mac.replace(":", "-") in folded for mac in macs):
        return True
    return bool(re.search(rf"(?<![\w.-]){re.escape(link.name)}(?![\w.-])", text))


def is_managed_name(name: str) -> bool:
    """Return whether a link name is one of ours."""
    return slot_of(name) is not None


def free_name(link: ObservedLink, before: str, taken: Iterable[str]) -> str:
    """Return the name that a link which is no longer ours gets back.

    The one it had before us; else one that udev knows it by; else the next free ethN.
    """
    used = set(taken).difference(link.altnames)
    for name in (before, *link.altnames):
        size = len(name.encode("utf-8", "surrogateescape"))
        if name and name not in used and not is_managed_name(name) and size < 16:  # IFNAMSIZ
            return name
    number = 0
    while f"eth{number}" in used:
        number += 1
    return f"eth{number}"
