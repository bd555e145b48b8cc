"""The safety rules that need only what was observed: each one is a pure function.

A rule returns a `Block` (the reason code and a sentence), or None if it has no objection.
docs/safety.md explains every rule to operators.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from multinic.decide.naming import slot_of, slot_of_link
from multinic.decide.routing import is_ours
from multinic.values import routes
from multinic.values.addresses import IPAddress, Mac
from multinic.values.desired import DesiredLink
from multinic.values.observed import PAIRS, Observed, ObservedLink, ObservedRoute
from multinic.values.rtnetlink import LINK_SCOPE, MAIN_TABLE, PROTOCOL_RA, RECEIVED


@dataclass(frozen=True, slots=True)
class Block:
    """An objection: the reason code of the rule, and the sentence for the operator."""

    rule: str
    message: str


def resolve(mac: Mac, observed: Observed) -> ObservedLink | Block | None:
    """Return the one real link that has `mac`, None if it is not plugged in, or an objection.

    VLANs, bridges and bonds copy the MAC address of a link below them: they never count. Of a failover pair
    (a virtual function and its stand-by NIC) the master counts, which has the addresses. Then a permanent
    address counts first, then that of a link which has none.
    """
    carriers = [link for link in observed.links if mac in (link.permanent_mac, link.mac) and not link.stacked]
    masters = {link.index for link in carriers}
    carriers = [link for link in carriers if link.master not in masters]
    permanent = [link for link in carriers if link.permanent_mac == mac]
    # A card with another permanent address only has this one for a time (a slave of a bond does).
    without = [link for link in carriers if link.permanent_mac is None]
    for candidates in (permanent, without, carriers):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            names = ", ".join(link.name for link in candidates)
            return Block("ambiguous", f"several links have the MAC address {mac} ({names})")
    return None


def in_use(link: ObservedLink, observed: Observed, database: IPAddress | None) -> Block | None:
    """Refuse a link that is not ours and that the host or another program uses or configures."""
    if block := vital(link, observed, database, managed=False):
        return block
    unclaimed = _is_unclaimed(link, observed)
    ours = [text for text in observed.files.values() if mentions(text, link)]  # also of an earlier agent
    for found in link.addresses:
        if found.kernel or found.scope >= LINK_SCOPE or (unclaimed and found.leased):
            continue
        if not any(_names(text, str(found.address)) for text in ours):
            return Block("in-use", f"link {link.name} has the address {found.address}, which is not ours")
    if block := carries(link, observed):
        return block
    for path, text in sorted(observed.foreign.items()):
        by_name = path.rpartition("/")[2].partition("-")[2]  # eth1 of wicked's ifcfg-eth1
        if (mentions(text, link) or by_name == link.name) and not is_automatic(text):
            return Block("in-use", f"link {link.name} is configured by {path}")
    return None


def carries(link: ObservedLink, observed: Observed) -> Block | None:
    """Refuse to take a link away from others that lie on it (VLANs, macvlans): they would go down with it."""
    if names := ", ".join(sorted(upper.name for upper in _uppers(link, observed))):
        return Block("in-use", f"link {link.name} carries {names}")
    return None


def built_on(name: str, observed: Observed) -> Block | None:
    """Refuse to remove an interface that a file of others names: a VLAN of theirs that lies on it, say.

    Without what it names, such a file is an error to netplan, and then the host has no network at all.
    """
    for path, text in sorted(observed.foreign.items()):
        if name not in path.rpartition("/")[2] and _names(text, name) and not is_automatic(text):
            return Block("in-use", f"{path} names {name}")
    return None


def too_narrow(link: ObservedLink, mtu: int | None, observed: Observed) -> Block | None:
    """Refuse an MTU below that of a link that lies on this one: the kernel would lower that, too."""
    wide = [upper for upper in _uppers(link, observed) if mtu is not None and mtu < upper.mtu]
    if not wide:
        return None
    names = ", ".join(f"{upper.name} with MTU {upper.mtu}" for upper in wide)
    return Block("in-use", f"link {link.name} carries {names}, so its own cannot become {mtu}")


def _uppers(link: ObservedLink, observed: Observed) -> list[ObservedLink]:
    """Return the links that lie on this one; for the kernel the other end of a pair looks the same."""
    return [other for other in observed.links if other.parent == link.index and other.kind not in PAIRS]


def address_in_use(wish: DesiredLink, observed: Observed) -> Block | None:
    """Refuse an address of another link of this host that is not ours, or of a default gateway of the host.

    The host would answer for the gateway itself, and no packet would leave it any more.
    """
    gateways = {route.via for route in routes.of(observed.routes).defaults() if route.via is not None}
    owners = {
        found.address.ip: link.name
        for link in observed.links
        if slot_of_link(link) is None and wish.mac not in (link.mac, link.permanent_mac)
        for found in link.addresses
    }
    for address in wish.addresses:
        if address.ip in owners:
            return Block("address-in-use", f"link {owners[address.ip]} has the address {address.ip}")
        if address.ip in gateways and address.ip not in wish.options.gateways:
            return Block("address-in-use", f"{address.ip} is the address of a default gateway of this host")
    return None


def is_automatic(text: str) -> bool:
    """Return whether NetworkManager made this connection by itself, for a link without a configuration.

    A connection that mirrors what another program did with a link is volatile as well, and does not count.
    """
    return "nm-generated=true" in text and "volatile=true" not in text


def _is_unclaimed(link: ObservedLink, observed: Observed) -> bool:
    return any(is_automatic(text) and mentions(text, link) for text in observed.foreign.values())


def vital(
    link: ObservedLink,
    observed: Observed,
    database: IPAddress | None,
    *wishes: DesiredLink | None,
    managed: bool = True,
) -> Block | None:
    """Refuse to change a link that the host or another link depends on.

    A default route that one of `wishes` (the last configuration, the row) asks for is no objection, nor one
    that the host does not use. On a link that is not managed yet, it is an objection all the same if a
    program or a person made it, not the network.
    """
    for route in routes.of(observed.routes).defaults():
        if (
            route.link == link.index
            and route.table == MAIN_TABLE
            and not is_ours(route, link, *wishes)
            and not (_is_spare(route, observed) and (managed or route.protocol in RECEIVED))
        ):
            return Block("in-use", f"link {link.name} carries the default route")
    if database is not None and link.index in links_towards(database, observed):
        return Block("in-use", f"link {link.name} carries the route to the database ({database})")
    if link.master:
        names = [other.name for other in observed.links if other.index == link.master]
        return Block("in-use", f"link {link.name} is part of {names[0] if names else 'another link'}")
    return None


def _is_spare(route: ObservedRoute, observed: Observed) -> bool:
    """Return whether the host prefers the default route of another link: only the best one is needed.

    A router advertises itself to all hosts on its networks. A host that uses IPv4 to go out does not become
    an IPv6 host by that: there an IPv4 route counts as preferred. Of two that are advertised alike, that of
    the link that is not managed is enough.
    """
    advertised = route.protocol == PROTOCOL_RA
    unmanaged = {link.index for link in observed.links if slot_of_link(link) is None}
    for other in routes.of(observed.routes).defaults():
        if other.link == route.link or other.table != MAIN_TABLE:
            continue
        by_ipv4 = advertised and other.to.version == 4
        if other.metric < route.metric and (other.to == route.to or by_ipv4):
            return True
        equal = (other.to, other.metric) == (route.to, route.metric)
        if advertised and equal and other.link in unmanaged:
            return True
    return False


def links_towards(address: IPAddress, observed: Observed) -> set[int]:
    """Return the links by which packets to `address`, that of the database, may leave.

    The kernel's own word on it, where it was asked; else the links of the routes that it prefers, by prefix,
    then by metric: of two links in one subnet that are both.
    """
    if observed.link_towards_database is not None:
        return {observed.link_towards_database}
    ways = routes.of(observed.routes).to(address)
    best = max(((route.to.prefixlen, -route.metric) for route in ways), default=None)
    return {route.link for route in ways if (route.to.prefixlen, -route.metric) == best}


def mentions(text: str, link: ObservedLink) -> bool:
    """Return whether a foreign configuration names `link`, by MAC address or by name as a whole word."""
    macs = [str(mac) for mac in (link.permanent_mac, link.mac) if mac]
    folded = text.lower()
    if any(mac in folded or mac.replace(":", "-") in folded for mac in macs):
        return True
    return _names(text, link.name)


def _names(text: str, name: str) -> bool:
    return bool(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text))


def is_managed_name(name: str) -> bool:
    """Return whether a link name is one of ours: multinicN."""
    return slot_of(name) is not None


def free_name(link: ObservedLink, before: str, taken: Iterable[str]) -> str:
    """Return the name that a link gets when it is freed.

    The one it had before us; else an alternative name from udev; else the next free ethN.
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
