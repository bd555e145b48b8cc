"""The fake wicked's DHCP clients: one question and one answer, no renewal (RFC 2131, 2132 and 8415)."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address

_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5
_NETMASK, _ROUTER, _DNS, _MTU, _ADDRESS, _TIME, _KIND, _SERVER, _END = 1, 3, 6, 26, 50, 51, 53, 54, 255
_HEADER = struct.Struct("!4B4s2H4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_BROADCAST = 0x8000  # the server's answers are for everybody: we have no address yet
_WAIT = 0.5  # seconds for an answer
_SOLICIT, _REPLY = 1, 7
_CLIENT_ID, _IA_NA, _IA_ADDRESS, _ASKED, _ELAPSED, _RAPID, _DNS6 = 1, 3, 5, 6, 8, 14, 23
_SERVERS6 = "ff02::1:2"


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


def ask6(name: str, mac: str) -> Lease | None:
    """Ask for a lease of IPv6 on a link, and for its DNS servers; None if no server answers."""
    hardware, number = bytes.fromhex(mac.replace(":", "")), os.urandom(3)
    options = {
        _CLIENT_ID: struct.pack("!HH", 3, 1) + hardware,
        _IA_NA: struct.pack("!III", 1, 0, 0),
        _ELAPSED: bytes(2),
        _RAPID: b"",
        _ASKED: struct.pack("!H", _DNS6),
    }
    body = b"".join(struct.pack("!HH", code, len(value)) + value for code, value in options.items())
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        udp.bind(("::", 546))
        udp.sendto(bytes([_SOLICIT]) + number + body, (_SERVERS6, 547, 0, socket.if_nametoindex(name)))
        end = time.monotonic() + _WAIT
        while (left := end - time.monotonic()) > 0:
            udp.settimeout(left)
            packet = udp.recv(2048)
            if packet[:4] == bytes([_REPLY]) + number:
                return _lease6(dict(_options6(packet[4:])))
    return None


def _options6(rest: bytes) -> Iterator[tuple[int, bytes]]:
    while len(rest) >= 4:
        code, size = struct.unpack_from("!HH", rest)
        yield code, rest[4 : 4 + size]
        rest = rest[4 + size :]


def _lease6(given: dict[int, bytes]) -> Lease | None:
    found = dict(_options6(given.get(_IA_NA, b"")[12:])).get(_IA_ADDRESS)
    if found is None:
        return None
    dns = given.get(_DNS6, b"")
    return Lease(
        address=f"{IPv6Address(found[:16])}/128",
        router="",
        dns=tuple(str(IPv6Address(dns[at : at + 16])) for at in range(0, len(dns), 16)),
        mtu=0,
        seconds=int.from_bytes(found[20:24], "big"),
    )
