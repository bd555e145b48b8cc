"""The fake wicked's DHCP client: one question and one answer, no renewal (RFC 2131, RFC 2132)."""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5
_NETMASK, _ROUTER, _DNS, _MTU, _ADDRESS, _TIME, _KIND, _SERVER, _END = 1, 3, 6, 26, 50, 51, 53, 54, 255
_HEADER = struct.Struct("!4B4s2H4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_BROADCAST = 0x8000  # the server's answers are for everybody: we have no address yet
_WAIT = 0.5  # seconds for an answer


@dataclass(frozen=True)
class Lease:
    """What a server gives."""

    address: str
    router: str
    dns: tuple[str, ...]
    mtu: int
    seconds: int


def ask(name: str, mac: str) -> Lease | None:
    """Ask for a lease on a link; None if no server answers."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        udp.bind(("", 68))
        number = os.urandom(4)
        offer = _exchange(udp, number, mac, {_KIND: bytes([_DISCOVER])}, _OFFER)
        if offer is None:
            return None
        wish = {_KIND: bytes([_REQUEST]), _ADDRESS: offer[_ADDRESS], _SERVER: offer[_SERVER]}
        given = _exchange(udp, number, mac, wish, _ACK)
        return _lease(given) if given else None
    return None


def _exchange(
    udp: socket.socket, number: bytes, mac: str, options: dict[int, bytes], kind: int
) -> dict[int, bytes] | None:
    hardware = bytes.fromhex(mac.replace(":", ""))
    nobody = bytes(4)
    head = _HEADER.pack(
        *(1, 1, 6, 0, number, 0, _BROADCAST, nobody, nobody, nobody, nobody),
        *(hardware.ljust(16, b"\0"), b"", b"", _COOKIE),
    )
    options = {**options, 55: bytes([_NETMASK, _ROUTER, _DNS, _MTU])}
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    udp.sendto(head + body + bytes([_END]), ("255.255.255.255", 67))
    end = time.monotonic() + _WAIT
    while (left := end - time.monotonic()) > 0:
        udp.settimeout(left)
        with suppress(TimeoutError):
            found = _read(udp.recv(2048), number)
            if found and found.get(_KIND) == bytes([kind]):
                return found
    return None


def _read(packet: bytes, number: bytes) -> dict[int, bytes] | None:
    """Return the options of an answer to us, with the address that it gives."""
    if len(packet) < _HEADER.size or packet[0] != 2 or packet[4:8] != number:
        return None
    found, rest = {_ADDRESS: packet[16:20]}, packet[_HEADER.size :]
    while rest and rest[0] != _END:
        if not rest[0]:
            rest = rest[1:]
            continue
        found.setdefault(rest[0], rest[2 : 2 + rest[1]])
        rest = rest[2 + rest[1] :]
    return found


def _lease(given: dict[int, bytes]) -> Lease:
    netmask = str(IPv4Address(given.get(_NETMASK, b"\xff" * 4)))
    dns = given.get(_DNS, b"")
    return Lease(
        address=str(IPv4Interface(f"{IPv4Address(given[_ADDRESS])}/{netmask}")),
        router=str(IPv4Address(given[_ROUTER][:4])) if _ROUTER in given else "",
        dns=tuple(str(IPv4Address(dns[at : at + 4])) for at in range(0, len(dns), 4)),
        mtu=int.from_bytes(given.get(_MTU, b""), "big"),
        seconds=int.from_bytes(given.get(_TIME, b"\0\0\x0e\x10"), "big"),
    )
