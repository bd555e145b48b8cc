"""Ask a network by ARP whether another machine has an IPv4 address: address probes of RFC 5227, shortened.

The kernel asks for IPv6 addresses itself, and for those of IPv4 never.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from multinic.values.addresses import Mac

_WAIT = 0.2  # seconds, for all links together; RFC 5227 takes seconds, in which a node would have no network
_PROBES = 3  # PROBE_NUM of RFC 5227
_BETWEEN = 0.05  # seconds: all are sent before the last quarter of the wait
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")  # Ethernet header, ARP packet (RFC 826)
_ETHERNET, _IPV4, _REQUEST = 1, 0x0800, 1
_ARP = 0x0806
_NOBODY, _EVERYBODY = bytes(6), b"\xff" * 6


@dataclass(frozen=True, slots=True)
class Probe:
    """An address that shall be put on a link."""

    link: str
    mac: Mac
    """The address of the link itself."""
    address: IPv4Address


def claimed(probes: Collection[Probe], own: Collection[str]) -> dict[Probe, str]:
    """Return the probes whose address another machine has or asks for at this moment, with its MAC address.

    What a link of this host answers (`own`) does not count. A link that is down, or has no carrier after
    0.2 s, hears nothing: of its addresses nothing is known. Raises OSError if this process may not ask.
    """
    by_link: dict[str, list[Probe]] = {}
    for probe in probes:
        by_link.setdefault(probe.link, []).append(probe)
    found: dict[Probe, str] = {}
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for link, its_probes in by_link.items():
            tap = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            tap.setblocking(False)
            # It has vanished, or is down; or its name is no UTF-8, by which Python opens none.
            with suppress(OSError, UnicodeError):
                tap.bind((link, _ARP))
                selector.register(tap, selectors.EVENT_READ, its_probes)
        begun = time.monotonic()
        sent = 0
        while (now := time.monotonic()) < begun + _WAIT:
            if sent < _PROBES and now >= begun + sent * _BETWEEN:
                sent += 1
                _send(selector)
            next_step = begun + (sent * _BETWEEN if sent < _PROBES else _WAIT)
            for key, _ in selector.select(max(0.0, next_step - time.monotonic())):
                found |= _heard(key.fileobj, key.data, own)  # type: ignore[arg-type]
    return found


def _send(selector: selectors.BaseSelector) -> None:
    for key in selector.get_map().values():
        for probe in key.data:
            with suppress(OSError):  # a link that is down sends nothing
                key.fileobj.send(_packet(probe))  # type: ignore[union-attr]


def _packet(probe: Probe) -> bytes:
    """Return an ARP request without a sender's IP address: so nobody's memory of addresses changes."""
    mac = _bytes(probe.mac)
    sender, target = (mac, bytes(4)), (_NOBODY, probe.address.packed)
    return _FRAME.pack(_EVERYBODY, mac, _ARP, _ETHERNET, _IPV4, 6, 4, _REQUEST, *sender, *target)


def _heard(tap: socket.socket, probes: Iterable[Probe], own: Collection[str]) -> dict[Probe, str]:
    """Return the probes that one packet objects to: somebody has their address, or probes for it as well."""
    try:
        frame = tap.recv(128)
    except OSError:
        return {}
    if len(frame) < _FRAME.size:
        return {}
    _, _, _, hardware, protocol, *sizes, kind, mac, sender, _, target = _FRAME.unpack_from(frame)
    if (hardware, protocol, sizes) != (_ETHERNET, _IPV4, [6, 4]):
        return {}
    owner = mac.hex(":")
    meant = target if sender == bytes(4) and kind == _REQUEST else sender
    if owner in own:
        return {}
    return {probe: owner for probe in probes if probe.address.packed == meant}


def _bytes(mac: Mac) -> bytes:
    return bytes.fromhex(str(mac).replace(":", ""))
