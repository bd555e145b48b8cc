"""Read links, addresses, routes and rules from the kernel: rtnetlink dumps as plain dicts.

Why not pyroute2, which makes every change for us (links.py)? Importing it costs more than twice
what a whole idle pass may (docs/decisions/0001-own-netlink-reader.md). This module only reads, and
a test compares it with pyroute2 on the same kernel. observe.py makes values of the dicts; a
converged host gets by without. Constants are those of linux/rtnetlink.h, linux/if_link.h,
linux/if_addr.h and linux/fib_rules.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any

from multinic.errors import HostError

MAIN_TABLE = 254  # RT_TABLE_MAIN
UNICAST = frozenset({1})  # RTN_UNICAST
LASTING = frozenset({1, 2, 6, 7, 8, 9})
"""Routes that somebody made: RTN_UNICAST, LOCAL, BLACKHOLE, UNREACHABLE, PROHIBIT, THROW."""

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_NEXTHOP = struct.Struct("=HBBi")

_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DUMP_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the tables changed while we read
_ERROR, _DONE = 2, 3
_GET_LINK, _GET_ADDRESS, _GET_ROUTE, _GET_RULE = 18, 22, 26, 34
_SOL_NETLINK, _STRICT = 270, 12  # NETLINK_GET_STRICT_CHK: the kernel filters for us
_SKIP_STATS = 1 << 3  # RTEXT_FILTER_SKIP_STATS
_TIMEOUT = 5.0  # seconds; the kernel answers in microseconds, so this means it will not

_ON_LINK = 4  # RTNH_F_ONLINK
_INVERT = 2  # FIB_RULE_INVERT
_CACHE_INFO = 12  # RTA_CACHEINFO
_NEXTHOP_OBJECT = 30  # RTA_NH_ID; a route that has it is dumped with what the object says, too:
_BY_HOPS = (4, 5, 9, 18, 21, 22)  # RTA_OIF, GATEWAY, MULTIPATH, VIA, ENCAP_TYPE, ENCAP

Attributes = dict[int, bytes]
Item = dict[str, Any]


class Reader:
    """A netlink socket for dumps. Raises HostError when the kernel refuses one."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_TIMEOUT)
        try:
            self._socket.setsockopt(_SOL_NETLINK, _STRICT, 1)
        except OSError:
            pass  # before Linux 4.20: everything is sent and filtered here
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def links(self) -> list[Item]:
        """Return every link with its addresses, by index."""
        addresses: dict[int, list[Item]] = {}
        for payload in self._dump(_GET_ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0)):
            address = _address(payload)
            addresses.setdefault(address["link"], []).append(address)
        request = _LINK.pack(0, 0, 0, 0, 0) + _attribute(29, _U32.pack(_SKIP_STATS))
        found = [_link(payload) for payload in self._dump(_GET_LINK, request)]
        for link in found:
            link["addresses"] = addresses.get(link["index"], [])
        return sorted(found, key=lambda link: int(link["index"]))

    def routes(self, table: int = MAIN_TABLE, kinds: frozenset[int] = UNICAST) -> list[Item]:
        """Return the routes of one routing table, IPv4 first; table 0: of all tables."""
        found: list[Item] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            short = table if table < 256 else 0
            request = _ROUTE.pack(family, 0, 0, 0, short, 0, 0, 0, 0)
            if table > 255:
                request += _attribute(15, _U32.pack(table))
            for payload in self._dump(_GET_ROUTE, request):
                found.extend(route for route in _route(payload, kinds) if table in (0, route["table"]))
        return found

    def rules(self) -> list[Item]:
        """Return the policy-routing rules of both families that look into a table."""
        request = _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)
        decoded = (_rule(payload) for payload in self._dump(_GET_RULE, request))
        return [rule for rule in decoded if rule]

    def _dump(self, kind: int, request: bytes) -> list[bytes]:
        for _ in range(10):
            answer, complete = self._dump_once(kind, request)
            if complete:
                return answer
        raise HostError(
            "the kernel's network tables change faster than they can be read",
            "find out what keeps adding and removing links, addresses or routes on this host",
        )

    def _dump_once(self, kind: int, request: bytes) -> tuple[list[bytes], bool]:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(request), kind, _REQUEST_DUMP, self._sequence, 0)
        answer: list[bytes] = []
        complete = True
        try:
            self._socket.send(header + request)
            while True:
                data = self._socket.recv(1 << 18)
                offset = 0
                while offset < len(data):
                    size, message, flags, sequence, _ = _HEADER.unpack_from(data, offset)
                    payload = data[offset + _HEADER.size : offset + size]
                    offset += (size + 3) & ~3
                    if sequence != self._sequence:
                        continue  # the rest of a dump that was given up
                    complete = complete and not flags & _DUMP_INTERRUPTED
                    if message == _DONE:
                        return answer, complete
                    if message == _ERROR:
                        return _refused(payload), True
                    answer.append(payload)
        except OSError as e:
            raise HostError(f"the kernel's network tables cannot be read: {e.strerror or e}") from e


def _refused(payload: bytes) -> list[bytes]:
    code = -struct.unpack_from("=i", payload)[0]
    if code == errno.ENOENT:  # a strict dump of a table that does not exist (yet)
        return []
    raise HostError(f"the kernel refused a netlink dump: {errno.errorcode.get(code, code)}")


def _attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def _attributes(payload: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    end = len(payload)
    while offset + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if size < 4:
            return
        yield kind & 0x3FFF, payload[offset + 4 : offset + size]  # without NLA_F_NESTED
        offset += (size + 3) & ~3


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")  # as Python does with file names


def _number(attributes: Attributes, kind: int) -> int:
    value = attributes.get(kind, b"")
    return int(_U32.unpack_from(value)[0]) if len(value) >= 4 else 0


def _mac(value: bytes | None) -> str:
    """Return a MAC address as text; "" for none, and for lo's, which is zero."""
    return value.hex(":") if value is not None and len(value) == 6 and any(value) else ""


def _link(payload: bytes) -> Item:
    _, _, index, flags, _ = _LINK.unpack_from(payload)
    found = dict(_attributes(payload, _LINK.size))
    info = dict(_attributes(found[18], 0)) if 18 in found else {}
    altnames = [_text(value) for kind, value in _attributes(found.get(52, b""), 0) if kind == 53]
    return {
        "index": index,
        "name": _text(found.get(3, b"")),
        "mac": _mac(found.get(1)),
        "permanent_mac": _mac(found.get(54)),
        "kind": _text(info.get(1, b"")),
        "up": bool(flags & 1),
        "carrier": bool(flags & 0x10000),  # IFF_LOWER_UP
        "mtu": _number(found, 4),
        "min_mtu": _number(found, 50),
        "max_mtu": _number(found, 51),
        "master": _number(found, 10),
        # A link number that counts in another namespace (the far end of a veth) is no parent here.
        "parent": 0 if 37 in found else _number(found, 5),
        "altnames": altnames,
        "txqueuelen": _number(found, 13),
        "alias": _text(found.get(20, b"")),
    }


def _address(payload: bytes) -> Item:
    _, prefix, short_flags, scope, link = _ADDRESS.unpack_from(payload)
    found = dict(_attributes(payload, _ADDRESS.size))
    flags = _number(found, 8) or short_flags
    protocol = found.get(11, b"\0")[0]  # IFA_PROTO: 1 loopback, 2 router advertisement, 3 link-local
    return {
        "link": link,
        "address": found.get(2) or found[1],  # IFA_LOCAL; IPv6 has only IFA_ADDRESS
        "prefix": prefix,
        "scope": scope,
        "tentative": bool(flags & 0x40),
        "dadfailed": bool(flags & 0x08),
        "kernel": protocol in (1, 2, 3),
        "leased": not flags & 0x80,  # IFA_F_PERMANENT
        "raw": payload,
    }


def _route(payload: bytes, kinds: frozenset[int]) -> Iterator[Item]:
    family, prefix, _, _, short_table, protocol, _, kind, flags = _ROUTE.unpack_from(payload)
    if kind not in kinds or flags & 0x200:  # no RTM_F_CLONED cache entries
        return
    found = dict(_attributes(payload, _ROUTE.size))
    hops: list[tuple[int, bytes | None]] = []
    if 9 in found:  # RTA_MULTIPATH
        offset, raw = 0, found[9]
        while offset + _NEXTHOP.size <= len(raw):
            size, _, _, link = _NEXTHOP.unpack_from(raw, offset)
            hops.append((link, _gateway(dict(_attributes(raw[offset : offset + size], _NEXTHOP.size)))))
            offset += max((size + 3) & ~3, _NEXTHOP.size)
    else:
        hops.append((_number(found, 4), _gateway(found)))
    for link, via in hops:
        yield {
            "to": found.get(1) or _any(family),
            "prefix": prefix,
            "via": via,
            "link": link,
            "table": _number(found, 15) or short_table,
            "metric": _number(found, 6),
            "protocol": protocol,
            "raw": payload,
        }


def route_to_add(payload: bytes, *, by_object: bool = True) -> bytes:
    """Return the request that adds a route again, of the payload that it had in a dump.

    What only the kernel says is left out: whether a next hop is usable now, and when the route was
    used. `by_object`: through the next hop object that it went through, not through what that said.
    """
    family, *rest, flags = _ROUTE.unpack_from(payload)
    found = dict(_attributes(payload, _ROUTE.size))
    left_out = {_CACHE_INFO, *(_BY_HOPS if by_object and _NEXTHOP_OBJECT in found else (_NEXTHOP_OBJECT,))}
    if 9 in found:
        found[9] = _hops_to_add(found[9])
    kept = (_attribute(kind, value) for kind, value in found.items() if kind not in left_out)
    return _ROUTE.pack(family, *rest, flags & _ON_LINK) + b"".join(kept)


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


def _gateway(attributes: Attributes) -> bytes | None:
    if 5 in attributes:
        return attributes[5]
    if 18 in attributes:  # RTA_VIA: a gateway of the other family, after its 16-bit family
        return attributes[18][2:]
    return None


def _rule(payload: bytes) -> Item | None:
    *head, flags = _ROUTE.unpack_from(payload)
    family, to_prefix, from_prefix, _, short_table, _, _, action = head
    if family not in (socket.AF_INET, socket.AF_INET6) or action != 1:  # only FR_ACT_TO_TBL
        return None
    found = dict(_attributes(payload, _ROUTE.size))
    return {
        "family": family,
        "source": (found[2], from_prefix) if 2 in found else None,
        "destination": (found[1], to_prefix) if 1 in found else None,
        "table": _number(found, 15) or short_table,
        "priority": _number(found, 6),
        "protocol": found.get(21, b"\0")[0],
        # Without the kernel's word on whether the links that it names are there.
        "raw": _ROUTE.pack(*head, flags & _INVERT) + payload[_ROUTE.size :],
    }
