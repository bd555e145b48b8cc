"""The safety rules that can be decided from what is observed: each a pure function with a name.

A rule answers with a `Block` (its name and a sentence), or None when it has no objection.
docs/safety.md tells operators about every one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from multinic.model import MAIN_TABLE, DesiredLink, IPAddress, Mac, Observed, ObservedLink, ObservedRoute
from multinic.naming import slot_of
from multinic.routing import is_ours

# Kinds of links (IFLA_INFO_KIND) that copy the MAC address of a real link below them.
STACKED = frozenset(
    {"vlan", "macvlan", "macvtap", "ipvlan", "bridge", "bond", "team", "vrf", "hsr", "macsec"}
)
LINK_SCOPE = 253  # RT_SCOPE_LINK: from here on, addresses that mean nothing beyond the link
_RA, _DHCP = 9, 16  # RTPROT_RA, RTPROT_DHCP


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
    unclaimed = _is_unclaimed(link, observed)
    for found in link.addresses:
        if not found.kernel and found.scope < LINK_SCOPE and not (unclaimed and found.leased):
            return Block("in-use", f"link {link.name} has the address {found.address}, which is not ours")
    uppers = sorted(
        other.name for other in observed.links if other.parent == link.index and other.kind in STACKED
    )
    if uppers:
        return Block("in-use", f"link {link.name} carries {', '.join(uppers)}")
    for path, text in sorted(observed.foreign.items()):
        by_name = path.rpartition("/")[2].partition("-")[2]  # eth1 of wicked's ifcfg-eth1
        if (mentions(text, link) or by_name == link.name) and not is_made_up(text):
            return Block("in-use", f"link {link.name} is configured by {path}")
    return None


def is_made_up(text: str) -> bool:
    """Return whether NetworkManager wrote this connection itself, for a link that nobody configured.

    It is volatile, too, where it mirrors what others did with a link.
    """
    return "nm-generated=true" in text and "volatile=true" not in text


def _is_unclaimed(link: ObservedLink, observed: Observed) -> bool:
    return any(is_made_up(text) and mentions(text, link) for text in observed.foreign.values())


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
            and not (_is_spare(route, observed) and _is_unclaimed(link, observed))
        ):
            return Block("in-use", f"link {link.name} carries the default route")
    if database is not None and link.index in links_towards(database, observed):
        return Block("in-use", f"link {link.name} carries the route to the database ({database})")
    if link.master:
        names = [other.name for other in observed.links if other.index == link.master]
        return Block("in-use", f"link {link.name} is part of {names[0] if names else 'another link'}")
    return None


def _is_spare(route: ObservedRoute, observed: Observed) -> bool:
    """Return whether a default route came from outside, and that of another link comes before it.

    A router announces itself to every network it is in. That makes no IPv6 host of one that goes out by IPv4:
    there an IPv4 route comes before it. Of several links NetworkManager gives the first the lowest metric.
    """
    return route.protocol in (_RA, _DHCP) and any(
        other.link != route.link and other.table == MAIN_TABLE and other.metric < route.metric
        for other in observed.routes
        if other.to == route.to
        or (route.protocol == _RA and (other.to.version, other.to.prefixlen) == (4, 0))
    )


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
