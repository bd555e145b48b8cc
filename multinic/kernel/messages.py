"""The kernel's messages about links, addresses, routes and rules, from bytes to plain dicts.

Constants are those of linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/fib_rules.h.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from multinic.values.rtnetlink import LINK_SCOPE

LINK = struct.Struct("=BxHiII")
ADDRESS = struct.Struct("=BBBBI")
ROUTE = struct.Struct("=BBBBBBBBI")
U32 = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")
_NEXTHOP = struct.Struct("=HBBi")

_SOON = 900
"""An address that is valid for fewer seconds expires soon: at least every 300 s a full pass looks at it."""
_HOST_SCOPE = 254  # RT_SCOPE_HOST
_PERMANENT = 0x80  # IFA_F_PERMANENT
_FROM_ROUTER = 0x101  # IFA_F_MANAGETEMPADDR, IFA_F_TEMPORARY
_ON_LINK = 4  # RTNH_F_ONLINK
_INVERT = 2  # FIB_RULE_INVERT
_CACHE_INFO = 12  # RTA_CACHEINFO
_NEXTHOP_OBJECT = 30  # RTA_NH_ID; a dump of a route that has it also has these attributes of the object:
_BY_HOPS = (4, 5, 9, 18, 21, 22)  # RTA_OIF, GATEWAY, MULTIPATH, VIA, ENCAP_TYPE, ENCAP

_KNOWN = 128
"""Messages that are not decoded again: an agent gets most of them as they were. Nobody changes the dicts."""

Attributes = dict[int, bytes]
Item = dict[str, Any]


def attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def attributes_of(payload: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    end = len(payload)
    while offset + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if size < 4:
            return
        yield kind & 0x3FFF, payload[offset + 4 : offset + size]  # without NLA_F_NESTED
        offset += (size + 3) & ~3


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")  # as Python does with file names


def number(attributes: Attributes, kind: int) -> int:
    value = attributes.get(kind, b"")
    return int(U32.unpack_from(value)[0]) if len(value) >= 4 else 0


def _mac(value: bytes | None) -> str:
    """Return a MAC address as text; "" for none, and for that of lo, which is zero."""
    return value.hex(":") if value is not None and len(value) == 6 and any(value) else ""


@lru_cache(maxsize=_KNOWN)
def link_of(payload: bytes) -> Item:
    _, _, index, flags, _ = LINK.unpack_from(payload)
    found = dict(attributes_of(payload, LINK.size))
    info = dict(attributes_of(found[18], 0)) if 18 in found else {}
    altnames = [_text(value) for kind, value in attributes_of(found.get(52, b""), 0) if kind == 53]
    return {
        "index": index,
        "name": _text(found.get(3, b"")),
        "mac": _mac(found.get(1)),
        "permanent_mac": _mac(found.get(54)),
        "kind": _text(info.get(1, b"")),
        "up": bool(flags & 1),
        "carrier": bool(flags & 0x10000),  # IFF_LOWER_UP
        "mtu": number(found, 4),
        "min_mtu": number(found, 50),
        "max_mtu": number(found, 51),
        "master": number(found, 10),
        # A link number of another namespace (the far end of a veth) is not a parent here.
        "parent": 0 if 37 in found else number(found, 5),
        "altnames": altnames,
        "txqueuelen": number(found, 13),
        "alias": _text(found.get(20, b"")),
    }


@lru_cache(maxsize=_KNOWN)
def address_of(payload: bytes) -> Item:
    family, prefix, short_flags, scope, link = ADDRESS.unpack_from(payload)
    found = dict(attributes_of(payload, ADDRESS.size))
    flags = number(found, 8) or short_flags
    times = found.get(6, b"")  # IFA_CACHEINFO: an address from a router may have a lifetime and be permanent
    by_kernel = found[11][0] in (1, 2, 3) if 11 in found else _looks_made_by_kernel(family, scope, flags)
    return {
        "link": link,
        "address": found.get(2) or found[1],  # IFA_LOCAL; IPv6 has only IFA_ADDRESS
        "prefix": prefix,
        "scope": scope,
        "tentative": bool(flags & 0x40),
        "dadfailed": bool(flags & 0x08),
        "kernel": by_kernel,
        "leased": not flags & 0x80,  # IFA_F_PERMANENT
        "expiring": len(times) >= 8 and U32.unpack_from(times, 4)[0] < _SOON,
        "raw": payload,
    }


def _looks_made_by_kernel(family: int, scope: int, flags: int) -> bool:
    """Return whether the kernel made an address that does not say who did, as none does before Linux 5.18.

    Since then the kernel's own of IPv6 have IFA_PROTO: 1 loopback, 2 router advertisement, 3 link-local.
    Those of router advertisements also have a flag for temporary addresses, or are temporary.
    """
    if family != socket.AF_INET6 or not _is_silent():
        return False
    is_link_local = scope == LINK_SCOPE and flags & _PERMANENT
    return scope == _HOST_SCOPE or bool(flags & _FROM_ROUTER or is_link_local)


@cache
def _is_silent() -> bool:
    """Return whether this kernel does not say who made an address."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return found is not None and (int(found[1]), int(found[2])) < (5, 18)


def route_of(payload: bytes, kinds: frozenset[int]) -> Iterator[Item]:
    family, prefix, _, _, short_table, protocol, _, kind, flags = ROUTE.unpack_from(payload)
    if kind not in kinds or flags & 0x200:  # no RTM_F_CLONED cache entries
        return
    found = dict(attributes_of(payload, ROUTE.size))
    hops: list[tuple[int, bytes | None]] = []
    if 9 in found:  # RTA_MULTIPATH
        offset, raw = 0, found[9]
        while offset + _NEXTHOP.size <= len(raw):
            size, _, _, link = _NEXTHOP.unpack_from(raw, offset)
            hops.append((link, gateway(dict(attributes_of(raw[offset : offset + size], _NEXTHOP.size)))))
            offset += max((size + 3) & ~3, _NEXTHOP.size)
    else:
        hops.append((number(found, 4), gateway(found)))
    for link, via in hops:
        yield {
            "to": found.get(1) or _any(family),
            "prefix": prefix,
            "via": via,
            "link": link,
            "table": number(found, 15) or short_table,
            "metric": number(found, 6),
            "protocol": protocol,
            "raw": payload,
        }


def route_to_add(payload: bytes, *, by_object: bool = True) -> bytes:
    """Return the request that adds a route again, from its payload in a dump.

    State that the kernel sets itself is left out: whether a next hop is usable now, and when the route was
    used. `by_object`: name the next hop object of the route, if it has one, instead of its next hops.
    """
    family, *rest, flags = ROUTE.unpack_from(payload)
    found = dict(attributes_of(payload, ROUTE.size))
    left_out = {_CACHE_INFO, *(_BY_HOPS if by_object and _NEXTHOP_OBJECT in found else (_NEXTHOP_OBJECT,))}
    if 9 in found:
        found[9] = _hops_to_add(found[9])
    attributes = (attribute(kind, value) for kind, value in found.items() if kind not in left_out)
    return ROUTE.pack(family, *rest, flags & _ON_LINK) + b"".join(attributes)


def _hops_to_add(raw: bytes) -> bytes:
    hops, offset = b"", 0
    while offset + _NEXTHOP.size <= len(raw):
        size, flags, weight, link = _NEXTHOP.unpack_from(raw, offset)
        size = max(size, _NEXTHOP.size)
        hop = (
            _NEXTHOP.pack(size, flags & _ON_LINK, weight, link) + raw[offset + _NEXTHOP.size : offset + size]
        )
        hops += hop + bytes(-size % 4)
        offset += (size + 3) & ~3
    return hops


def _any(family: int) -> bytes:
    return bytes(4 if family == socket.AF_INET else 16)


def gateway(attributes: Attributes) -> bytes | None:
    if 5 in attributes:
        return attributes[5]
    if 18 in attributes:  # RTA_VIA: a gateway of the other family, after its 16-bit family
        return attributes[18][2:]
    return None


def rule_of(payload: bytes) -> Item | None:
    *head, flags = ROUTE.unpack_from(payload)
    family, to_prefix, from_prefix, _, short_table, _, _, action = head
    if family not in (socket.AF_INET, socket.AF_INET6) or action != 1:  # only FR_ACT_TO_TBL
        return None
    found = dict(attributes_of(payload, ROUTE.size))
    return {
        "family": family,
        "source": (found[2], from_prefix) if 2 in found else None,
        "destination": (found[1], to_prefix) if 1 in found else None,
        "table": number(found, 15) or short_table,
        "priority": number(found, 6),
        "protocol": found.get(21, b"\0")[0],
        # Without the kernel's flags that say whether the links in the rule exist.
        "raw": ROUTE.pack(*head, flags & _INVERT) + payload[ROUTE.size :],
    }
