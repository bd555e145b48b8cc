"""The connectivity rule: a gateway or database that answered before a change must answer after it.

Default gateways are asked by ICMP echo, the database by a new connection. A gateway that does not
answer before the change is not asked after it: many gateways never answer.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from multinic.decide.naming import slot_of_link
from multinic.kernel.reader import Reader
from multinic.values.addresses import IPAddress, ip_address
from multinic.values.observed import Surroundings
from multinic.values.routes import of
from multinic.values.rtnetlink import MAIN_TABLE

_ECHO_WAIT = 0.4  # seconds for one answer: a gateway is one hop away
_ECHO_TRIES = 2
_AFTER = 5.0  # seconds for a network to come back after links were changed (ARP, a switch)
# By IP version: family, protocol, and the types of echo request and reply.
_ICMP = {
    4: (socket.AF_INET, socket.IPPROTO_ICMP, 8, 0),
    6: (socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129),
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """A default gateway, and the index of the link that leads to it."""

    address: IPAddress
    link: int


@dataclass(frozen=True, slots=True)
class Database:
    """A database that the network leads to."""

    address: IPAddress
    """Where it answered."""
    answers: Callable[[Callable[[str], bool]], bool]
    """Logs in again, at an address that is allowed, and returns whether that succeeded."""


Hop = tuple[int, bytes]
"""The index of a link, and the next hop; empty for an address on the link itself."""


def _hop_to(address: IPAddress) -> Hop | None:
    with Reader() as kernel:
        return kernel.way_to(address.packed)


@dataclass(frozen=True, slots=True)
class Way:
    """The way on which the kernel sent packets to the database before a change."""

    database: Database
    hop: Hop | None
    """None if there was no way."""
    targets: frozenset[int]
    """The indexes of the links that are changed."""

    def taken_over(self) -> Hop | None:
        """Return another hop, through a changed link, by which packets leave now. Raises HostError."""
        hop = _hop_to(self.database.address)
        return hop if hop != self.hop and hop is not None and hop[0] in self.targets else None


@dataclass(frozen=True, slots=True)
class Reached:
    """The gateways that answered before a change, and the database."""

    gateways: tuple[Gateway, ...]
    database: Way | None
    """None for a database in a file or behind a local socket."""


def probe(around: Surroundings, targets: Collection[int], database: Database | None) -> Reached:
    """Ask the default gateways which of them answer; the database has just answered.

    Not asked are gateways of other tables, gateways behind the `targets` of a change (by index), and those
    behind a managed link if another default route has a lower metric: the host does not depend on them.
    """
    found = of(around.routes).defaults()
    routes = [route for route in found if route.via is not None and route.table == MAIN_TABLE]
    our_indexes = {link.index for link in around.links if slot_of_link(link) is not None}
    best = {
        version: min((r.metric for r in routes if r.to.version == version), default=0) for version in (4, 6)
    }
    gateways = {
        Gateway(r.via, r.link)
        for r in routes
        if r.via is not None
        and r.link not in targets
        and (r.link not in our_indexes or r.metric == best[r.to.version])
    }
    answering = (gateway for gateway in sorted(gateways, key=str) if answers(gateway))
    way = Way(database, _hop_to(database.address), frozenset(targets)) if database else None
    return Reached(tuple(answering), way)


def moved(reached: Reached) -> str:
    """Return, as words, that packets to the database leave by a link that was changed; "" if they do not.

    Whoever answers there may be another database: it must not even see a login.
    """
    way = reached.database
    if way is None or (hop := way.taken_over()) is None:
        return ""
    words = f"packets to the database ({way.database.address})"
    return f"{words} left by {_words(way.hop)} before, and by {_words(hop)} after it"


def _words(hop: Hop | None) -> str:
    if hop is None:
        return "no link"
    index, via = hop
    try:
        name = socket.if_indextoname(index)
    except OSError:
        name = f"link {index}"
    return f"{name} via {ip_address(via)}" if via else name


def unanswered(reached: Reached) -> str:
    """Return, as words, what does not answer any more after 5 s of asking; "" if all answer."""
    end = time.monotonic() + _AFTER
    while True:
        missing = [f"the default gateway {g.address}" for g in reached.gateways if not answers(g)]
        if reached.database is not None and not _reaches(reached.database):
            missing.append("the database")
        if not missing or time.monotonic() >= end:
            return " and ".join(missing)
        time.sleep(0.1)


def _reaches(way: Way) -> bool:
    """Return whether the database answers; nothing is sent on a way that the change has made."""
    return way.taken_over() is None and way.database.answers(partial(apart, way.targets))


def apart(targets: Collection[int], address: str) -> bool:
    """Return whether packets to an address leave by another link than those (by index). Raises HostError."""
    hop = _hop_to(ipaddress.ip_address(address))
    return hop is None or hop[0] not in targets


def answers(gateway: Gateway) -> bool:
    """Return whether a gateway answers an ICMP echo request; also False if we may not send one."""
    address = gateway.address
    scope = (0, gateway.link) if address.version == 6 and address.is_link_local else ()
    family, protocol, request, reply = _ICMP[address.version]
    identifier = os.getpid() & 0xFFFF
    try:
        with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
            for sequence in range(_ECHO_TRIES):
                raw.sendto(_echo(request, identifier, sequence), (str(address), 0, *scope))
                if _reply(raw, address, reply, identifier):
                    return True
    except OSError:
        return False
    return False


def _echo(kind: int, identifier: int, sequence: int) -> bytes:
    """Return an echo request (RFC 792, RFC 4443); for ICMPv6 the kernel fills in the checksum."""
    packet = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + b"multinic"
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return packet[:2] + struct.pack("!H", checksum) + packet[4:]


def _reply(raw: socket.socket, address: IPAddress, kind: int, identifier: int) -> bool:
    end = time.monotonic() + _ECHO_WAIT
    while (left := end - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            data, sender = raw.recvfrom(2048)
        except TimeoutError:
            return False
        start = (data[0] & 0x0F) * 4 if address.version == 4 else 0  # after the IPv4 header
        if sender[0].partition("%")[0] == str(address) and len(data) >= start + 8:
            found, _, _, found_identifier, _ = struct.unpack_from("!BBHHH", data, start)
            if (found, found_identifier) == (kind, identifier):
                return True
    return False
