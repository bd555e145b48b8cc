"""Ask a network by ARP whether another machine has an IPv4 address: address probes of RFC 5227, shortened.

The kernel asks for IPv6 addresses itself, and for those of IPv4 never.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
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

# A filter of linux/filter.h: packets that came by one of our links are accepted, all of them.
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_STEP = struct.Struct("=HBBI")  # struct sock_filter: code, steps to skip if true, if false, value
_LOAD_LINK = _STEP.pack(0x20, 0, 0, 0xFFFF_F008)  # BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_ACCEPT, _DROP = (_STEP.pack(0x06, 0, 0, size) for size in (0xFFFF_FFFF, 0))  # BPF_RET | BPF_K


@dataclass(frozen=True, slots=True)
class Probe:
    """An address that shall be put on a link."""

    link: str
    mac: Mac
    """The address of the link itself."""
    address: IPv4Address


def claimed(
    probes: Collection[Probe], own: Collection[str], meanwhile: Callable[[], object] = lambda: None
) -> dict[Probe, str]:
    """Return the probes whose address another machine has or asks for at this moment, with its MAC address.

    What a link of this host answers (`own`) does not count. A link that is down, or has no carrier after
    0.2 s, hears nothing: of its addresses nothing is known. `meanwhile` is called once, while others may
    answer. Raises OSError if this process may not ask.
    """
    by_link: dict[str, list[Probe]] = {}
    for probe in probes:
        by_link.setdefault(probe.link, []).append(probe)
    found: dict[Probe, str] = {}
    # One socket for all links: the kernel takes 13 ms to close one.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP)) as tap:
        tap.setblocking(False)
        _hear_only(tap, by_link)
        _send(tap, by_link)
        sent, last = 1, time.monotonic()
        end = last + _WAIT
        meanwhile()
        while (now := time.monotonic()) < end or sent < _PROBES:
            if sent < _PROBES and now >= last + _BETWEEN:
                _send(tap, by_link)
                sent, last = sent + 1, now
                end = max(end, now + _BETWEEN)
            next_step = last + _BETWEEN if sent < _PROBES else end
            if select.select([tap], [], [], max(0.0, next_step - time.monotonic()))[0]:
                found |= _heard(tap, by_link, own)
    return found


def _hear_only(tap: socket.socket, links: Iterable[str]) -> None:
    """Hear ARP by these links alone: others may have so much of it that answers find no room in the queue."""
    steps = [_LOAD_LINK]
    for link in links:
        # It has vanished; or its name is no UTF-8, by which Python finds none.
        with suppress(OSError, UnicodeError):
            steps += [_STEP.pack(_IF_EQUAL, 0, 1, socket.if_nametoindex(link)), _ACCEPT]
    program = array("B", b"".join([*steps, _DROP]))
    address, _ = program.buffer_info()
    with suppress(OSError):  # too many links for an old kernel
        count = len(program) // _STEP.size
        tap.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", count, address))


def _send(tap: socket.socket, by_link: Mapping[str, Iterable[Probe]]) -> None:
    for link, probes in by_link.items():
        for probe in probes:
            with suppress(OSError, UnicodeError):  # a link that is down, or has vanished, sends nothing
                tap.sendto(_packet(probe), (link, _ARP))


def _packet(probe: Probe) -> bytes:
    """Return an ARP request without a sender's IP address: so nobody's memory of addresses changes."""
    mac = _bytes(probe.mac)
    sender, target = (mac, bytes(4)), (_NOBODY, probe.address.packed)
    return _FRAME.pack(_EVERYBODY, mac, _ARP, _ETHERNET, _IPV4, 6, 4, _REQUEST, *sender, *target)


def _heard(
    tap: socket.socket, by_link: Mapping[str, Iterable[Probe]], own: Collection[str]
) -> dict[Probe, str]:
    """Return the probes that one packet objects to: somebody has their address, or probes for it as well."""
    try:
        frame, (link, *_) = tap.recvfrom(128)
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
    return {probe: owner for probe in by_link.get(link, ()) if probe.address.packed == meant}


def _bytes(mac: Mac) -> bytes:
    return bytes.fromhex(str(mac).replace(":", ""))
