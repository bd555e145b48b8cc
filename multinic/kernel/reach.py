"""The connectivity rule: whoever answered before a change must answer after it.

Default gateways are asked by ICMP echo, the database by a new connection. A gateway that does not
answer before is not asked after: many gateways never do.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from multinic.model import MAIN_TABLE, IPAddress
from multinic.naming import slot_of
from multinic.witness import Surroundings

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
    """A default gateway, and the number of the link that it is behind."""

    address: IPAddress
    link: int


@dataclass(frozen=True, slots=True)
class Reached:
    """Who answered before a change."""

    gateways: tuple[Gateway, ...]
    database: Callable[[], bool] | None
    """Whether the database can be connected to; None where it is a file or a local socket."""


def before(around: Surroundings, targets: Collection[int], database: Callable[[], bool] | None) -> Reached:
    """Ask everybody; the database has just been read, so it need not be asked.

    Gateways of other tables, and those behind the `targets` of a change (by index), are not the host's: what
    they serve may be removed. Nor is one of ours that another default route comes before.
    """
    routes = [r for r in around.routes if r.via is not None and not r.to.prefixlen and r.table == MAIN_TABLE]
    ours = {link.index for link in around.links if slot_of(link.name) is not None}
    best = {
        version: min((r.metric for r in routes if r.to.version == version), default=0) for version in (4, 6)
    }
    gateways = {
        Gateway(r.via, r.link)
        for r in routes
        if r.via is not None
        and r.link not in targets
        and (r.link not in ours or r.metric == best[r.to.version])
    }
    answering = (gateway for gateway in sorted(gateways, key=str) if answers(gateway))
    return Reached(tuple(answering), database)


def lost(reached: Reached) -> str:
    """Return who does not answer any more, after asking for a while; "" when all do."""
    end = time.monotonic() + _AFTER
    while True:
        missing = [f"the default gateway {g.address}" for g in reached.gateways if not answers(g)]
        if reached.database is not None and not reached.database():
            missing.append("the database")
        if not missing or time.monotonic() >= end:
            return " and ".join(missing)
        time.sleep(0.1)


def answers(gateway: Gateway) -> bool:
    """Return whether a gateway answers an ICMP echo request; False also where we may not ask."""
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
    """Return an echo request (RFC 792, RFC 4443); for ICMPv6 the kernel fills the checksum in."""
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
        start = (data[0] & 0x0F) * 4 if address.version == 4 else 0  # IPv4's header comes along
        if sender[0].partition("%")[0] == str(address) and len(data) >= start + 8:
            found, _, _, found_identifier, _ = struct.unpack_from("!BBHHH", data, start)
            if (found, found_identifier) == (kind, identifier):
                return True
    return False
