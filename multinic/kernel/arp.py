"""Ask a network by ARP whether another machine has an IPv4 address: address probes of RFC 5227, shortened.

The kernel asks for IPv6 addresses itself, and for those of IPv4 never.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from multinic.kernel.notifications import enlarge
from multinic.values.addresses import Mac

_WAIT = 0.2  # seconds, for all links together; RFC 5227 takes seconds, in which a node would have no network
_PROBES = 3  # PROBE_NUM of RFC 5227
_BETWEEN = 0.05  # seconds: all are sent before the last quarter of the wait
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")  # Ethernet header, ARP packet (RFC 826)
_ETHERNET, _IPV4, _REQUEST = 1, 0x0800, 1
_ARP = 0x0806
_NOBODY, _EVERYBODY = bytes(6), b"\xff" * 6

_AT_ONCE = 10_000  # packets: who floods us with objections does not keep us for ever
_QUEUE = 1 << 22  # bytes, for an old kernel that takes no filter for many links

# Steps of a filter: struct sock_filter of linux/filter.h (code, steps to skip if true, if false, value).
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_STEP = struct.Struct("=HBBI")
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET
_LINK, _SENDER, _TARGET = 0xFFFF_F008, 28, 38  # where: SKF_AD_OFF + SKF_AD_IFINDEX, addresses in the frame
_ACCEPT, _DROP = (_STEP.pack(_RETURN, 0, 0, size) for size in (0xFFFF_FFFF, 0))
_FURTHEST = 255  # steps that one can skip


class CannotAskError(Exception):
    """This process may not ask. Its text is the kernel's reason."""


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
    answer. Raises CannotAskError.
    """
    links: dict[int, list[Probe]] = {}
    for probe in probes:
        if index := _index(probe.link):
            links.setdefault(index, []).append(probe)
    found: dict[Probe, str] = {}
    # One socket for all links: the kernel takes 13 ms to close one.
    with _tap(links) as tap:
        _send(tap, links)
        sent, last = 1, time.monotonic()
        end = last + _WAIT
        meanwhile()
        while (now := time.monotonic()) < end or sent < _PROBES:
            if sent < _PROBES and now >= last + _BETWEEN:
                _send(tap, links)
                sent, last = sent + 1, now
                end = max(end, now + _BETWEEN)
            next_step = last + _BETWEEN if sent < _PROBES else end
            select.select([tap], [], [], max(0.0, next_step - time.monotonic()))
            found |= _heard(tap, links, own)
    return found


def _tap(links: Mapping[int, Collection[Probe]]) -> socket.socket:
    """Return a socket that hears what may object to the probes. Raises CannotAskError."""
    try:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
    except OSError as e:
        raise CannotAskError(e.strerror) from e
    tap.setblocking(False)
    enlarge(tap, _QUEUE)
    program = array("B", b"".join(_filter(links)))
    address, _ = program.buffer_info()
    with suppress(OSError):  # too many links for this kernel: then it hears all ARP
        count = len(program) // _STEP.size
        tap.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", count, address))
    return tap


def _filter(links: Mapping[int, Collection[Probe]]) -> Iterator[bytes]:
    """Yield the steps of a filter for ARP that comes by one of our links and has an address asked for there.

    All links of one network hear each other's questions, and others may be flooded with ARP: an answer would
    find no room in the queue.
    """
    yield _STEP.pack(_LOAD, 0, 0, _LINK)
    for index, probes in links.items():
        addresses = {int(probe.address) for probe in probes}
        size = 2 * len(addresses) + 4
        if size > _FURTHEST:
            yield from (_STEP.pack(_IF_EQUAL, 0, 1, index), _ACCEPT)
            continue
        yield _STEP.pack(_IF_EQUAL, 0, size, index)
        left = size
        for place in (_SENDER, _TARGET):
            yield _STEP.pack(_LOAD, 0, 0, place)
            left -= 1
            for address in addresses:
                yield _STEP.pack(_IF_EQUAL, left - 2, 0, address)
                left -= 1
        yield from (_DROP, _ACCEPT)
    yield _DROP


def _index(link: str) -> int:
    """Return the index of a link; 0 if it has vanished."""
    try:
        return socket.if_nametoindex(link)
    except OSError:
        return 0


def _send(tap: socket.socket, links: Mapping[int, Iterable[Probe]]) -> None:
    for index, probes in links.items():
        # It is down, or has vanished; or its name is no UTF-8, by which Python sends nothing.
        with suppress(OSError, UnicodeError):
            name = socket.if_indextoname(index)
            for probe in probes:
                tap.sendto(_packet(probe), (name, _ARP))


def _packet(probe: Probe) -> bytes:
    """Return an ARP request without a sender's IP address: so nobody's memory of addresses changes."""
    mac = _bytes(probe.mac)
    sender, target = (mac, bytes(4)), (_NOBODY, probe.address.packed)
    return _FRAME.pack(_EVERYBODY, mac, _ARP, _ETHERNET, _IPV4, 6, 4, _REQUEST, *sender, *target)


def _heard(
    tap: socket.socket, links: Mapping[int, Iterable[Probe]], own: Collection[str]
) -> dict[Probe, str]:
    """Return the probes that packets object to: somebody has their address, or probes for it as well."""
    found: dict[Probe, str] = {}
    for _ in range(_AT_ONCE):
        try:
            frame, (name, *_) = tap.recvfrom(128)
        except BlockingIOError:
            break
        except (OSError, UnicodeError):  # such as from a link whose name is no UTF-8
            continue
        found |= _objections(frame, links.get(_index(name), ()), own)
    return found


def _objections(frame: bytes, probes: Iterable[Probe], own: Collection[str]) -> dict[Probe, str]:
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
