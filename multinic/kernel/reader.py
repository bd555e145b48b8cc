"""Read links, addresses, routes and rules from the kernel: rtnetlink dumps as plain dicts.

Why not pyroute2, which makes every change for us (links.py)? Importing it costs more than twice
what a whole idle pass may cost (docs/decisions/0001-own-netlink-reader.md). This module only reads, and
a test compares it with pyroute2 on the same kernel. messages.py knows the messages; observe.py makes values
from the dicts, which a pass on a converged host does not need.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from operator import itemgetter

from multinic.kernel.messages import (
    ADDRESS,
    LINK,
    ROUTE,
    U32,
    Item,
    address_of,
    attribute,
    attributes_of,
    gateway,
    link_of,
    number,
    route_of,
    rule_of,
)
from multinic.kernel.parts import HEADER, payloads
from multinic.values.errors import HostError
from multinic.values.rtnetlink import MAIN_TABLE, PROTOCOL_RA

UNICAST = frozenset({1})  # RTN_UNICAST
LASTING = frozenset({1, 2, 6, 7, 8, 9})
"""Types of routes that programs add: RTN_UNICAST, LOCAL, BLACKHOLE, UNREACHABLE, PROHIBIT, THROW."""

_ERRNO = struct.Struct("=i")

_REQUEST = 0x001  # NLM_F_REQUEST
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DUMP_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the tables changed while we read
_ERROR, _DONE = 2, 3
GET_LINK, _GET_ADDRESS, GET_ROUTE, _GET_RULE = 18, 22, 26, 34
_SOL_NETLINK, _STRICT = 270, 12  # NETLINK_GET_STRICT_CHK: the kernel filters for us
_SKIP_STATS = 1 << 3  # RTEXT_FILTER_SKIP_STATS
_FULL = 1024  # bytes: what is shorter may be an error
_LARGE = 1 << 15  # bytes of a dump: from then on it is worth while to search before decoding
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_NOTHING = re.compile(b"(?!)")
_TIMEOUT = 5.0  # seconds; the kernel answers in microseconds, so later it will not answer at all


Wanted = Callable[[bytes], object]
"""Whether a part of a dump may have something that is wanted; what it denies is not decoded."""


class Reader:
    """A netlink socket for dumps. Raises HostError if the kernel refuses one."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_TIMEOUT)
        try:
            self._socket.setsockopt(_SOL_NETLINK, _STRICT, 1)
        except OSError:
            pass  # before Linux 4.20: everything is sent and filtered here
        self._sequence = 0
        self._buffer = memoryview(bytearray(1 << 18))  # a new one for each part costs more than the copy

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def links(self, wanted: Wanted | None = None) -> list[Item]:
        """Return every link with its addresses, by index. `wanted`: others may be left out."""
        addresses = self.addresses()
        found = map(link_of, self.link_messages(wanted))
        complete = [{**link, "addresses": addresses.get(link["index"], [])} for link in found]
        return sorted(complete, key=itemgetter("index"))

    def addresses(self) -> dict[int, list[Item]]:
        """Return the addresses by the index of their link."""
        found: dict[int, list[Item]] = {}
        for payload in self._dump(_GET_ADDRESS, ADDRESS.pack(0, 0, 0, 0, 0)):
            address = address_of(payload)
            found.setdefault(address["link"], []).append(address)
        return found

    def link_messages(self, wanted: Wanted | None = None) -> list[bytes]:
        """Return the kernel's message of every link, for `link_of`. `wanted`: others may be left out."""
        request = LINK.pack(0, 0, 0, 0, 0) + attribute(29, U32.pack(_SKIP_STATS))
        return self._dump(GET_LINK, request, wanted)

    def advertised_routes(self) -> list[Item]:
        """Return the routes of the main table that came with router advertisements, which only IPv6 has."""
        return self.routes(protocol=PROTOCOL_RA, families=(socket.AF_INET6,))

    def routes(
        self,
        table: int = MAIN_TABLE,
        kinds: frozenset[int] = UNICAST,
        protocol: int = 0,
        families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6),
        wanted: Wanted | None = None,
    ) -> list[Item]:
        """Return the routes of one routing table, IPv4 first; table 0: those of all tables.

        `protocol`: only those that this program made; the kernel leaves out the others, be they 100,000.
        `wanted`: others may be left out.
        """
        return [
            route
            for payload in self.route_messages(table, protocol, families, wanted)
            for route in route_of(payload, kinds)
            if table in (0, route["table"]) and protocol in (0, route["protocol"])
        ]

    def route_messages(
        self,
        table: int = 0,
        protocol: int = 0,
        families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6),
        wanted: Wanted | None = None,
    ) -> list[bytes]:
        """Return the kernel's messages of routes, for `route_of`: before Linux 4.20 those of all routes."""
        requests = (_route_request(family, table, protocol) for family in families)
        return [message for request in requests for message in self._dump(GET_ROUTE, request, wanted)]

    def route_parts(self, family: int, table: int = 0, protocol: int = 0) -> list[bytes]:
        """Return the same messages as they came, many in a part: see parts.py."""
        return self._parts(GET_ROUTE, _route_request(family, table, protocol))

    def rules(self) -> list[Item]:
        """Return the policy-routing rules of both families that lead to a table."""
        request = ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)
        decoded = (rule_of(payload) for payload in self._dump(_GET_RULE, request))
        return [rule for rule in decoded if rule]

    def way_to(self, address: bytes) -> tuple[int, bytes] | None:
        """Return the index of the link by which the kernel sends packets to an address, and the next hop.

        None: no way leads there. The next hop is empty for an address on the link itself.
        """
        family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
        request = ROUTE.pack(family, 8 * len(address), 0, 0, 0, 0, 0, 0, 0) + attribute(1, address)
        data = self._asked(GET_ROUTE, request)
        _, message, _, _, _ = HEADER.unpack_from(data)
        if message == _ERROR:  # ENETUNREACH, EHOSTUNREACH: no route leads there
            return None
        attributes = dict(attributes_of(data, HEADER.size + ROUTE.size))
        link = number(attributes, 4)  # RTA_OIF
        return (link, gateway(attributes) or b"") if link else None

    def _asked(self, kind: int, request: bytes) -> bytes:
        """Return the one message that answers a request."""
        self._sequence += 1
        header = HEADER.pack(HEADER.size + len(request), kind, _REQUEST, self._sequence, 0)
        try:
            self._socket.send(header + request)
            return self._socket.recv(1 << 16)
        except OSError as e:
            raise HostError(f"the kernel's network tables cannot be read: {e.strerror or e}") from e

    def _dump(self, kind: int, request: bytes, wanted: Wanted | None = None) -> list[bytes]:
        parts = self._parts(kind, request, wanted)
        found = (payload for part in parts for payload in payloads(part))
        if wanted is None or sum(map(len, parts)) <= _LARGE:
            return list(found)
        return [payload for payload in found if wanted(payload)]

    def _parts(self, kind: int, request: bytes, wanted: Wanted | None = None) -> list[bytes]:
        for _ in range(10):
            answer, complete = self._parts_once(kind, request, wanted)
            if complete:
                return answer
        raise HostError(
            "the kernel's network tables change faster than they can be read",
            "find out what keeps adding and removing links, addresses or routes on this host",
        )

    def _parts_once(self, kind: int, request: bytes, wanted: Wanted | None) -> tuple[list[bytes], bool]:
        self._sequence += 1
        header = HEADER.pack(HEADER.size + len(request), kind, _REQUEST_DUMP, self._sequence, 0)
        answer: list[bytes] = []
        complete, received = True, 0
        try:
            self._socket.send(header + request)
            while True:
                data = bytes(self._buffer[: self._socket.recv_into(self._buffer)])
                if HEADER.unpack_from(data)[3] != self._sequence:
                    continue  # the rest of a dump that was given up
                received += len(data)
                if _is_plain(data):
                    if wanted is None or received <= _LARGE or wanted(data):
                        answer.append(data)
                    continue
                offset = 0
                while offset < len(data):
                    size, message, flags, _, _ = HEADER.unpack_from(data, offset)
                    payload = data[offset + HEADER.size : offset + size]
                    complete = complete and not flags & _DUMP_INTERRUPTED
                    # The first four bytes of an end are 0, or why the dump broke off (negative errno).
                    broken = message == _DONE and len(payload) >= 4 and _ERRNO.unpack_from(payload)[0] < 0
                    if broken or message == _ERROR:
                        _check_refusal(payload)
                        return [], True
                    if message == _DONE:
                        return [*answer, *([data[:offset]] if offset else [])], complete
                    offset += (size + 3) & ~3
                answer.append(data)
        except OSError as e:
            raise HostError(f"the kernel's network tables cannot be read: {e.strerror or e}") from e


def _route_request(family: int, table: int, protocol: int) -> bytes:
    short = table if table < 256 else 0
    more = attribute(15, U32.pack(table)) if table > 255 else b""
    return ROUTE.pack(family, 0, 0, 0, short, protocol, 0, 0, 0) + more


class OneOf:
    """Wants the links with one of these MAC addresses, and those with a name of ours."""

    def __init__(self, macs: Iterable[str]) -> None:
        self._macs = macs

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[bytes], ...]:
        macs = [bytes.fromhex(mac.replace(":", "")) for mac in self._macs if _MAC.fullmatch(mac)]
        own = re.compile(re.escape(attribute(3, b"")[2:]) + b"multinic")  # IFLA_IFNAME
        return own, _pattern(1, macs), _pattern(54, macs)  # IFLA_ADDRESS, IFLA_PERM_ADDRESS

    def __call__(self, data: bytes) -> bool:
        return any(pattern.search(data) for pattern in self._patterns)


class Through:
    """Wants the routes through some links, or in some tables; thousands of others cost little.

    A route with several next hops always matches.
    """

    _SEVERAL = attribute(9, b"")[2:]  # RTA_MULTIPATH
    _TYPES = slice(2, None, 4)  # where the types of attributes are, and other bytes

    def __init__(self, links: Iterable[int], tables: Iterable[int]) -> None:
        self._links, self._tables = links, tables

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[bytes], ...]:
        wanted = ((4, self._links), (15, self._tables))  # RTA_OIF, RTA_TABLE
        return tuple(_pattern(kind, map(U32.pack, values)) for kind, values in wanted)

    def __call__(self, data: bytes) -> bool:
        if any(pattern.search(data) for pattern in self._patterns if pattern is not _NOTHING):
            return True
        # The first is quick, and mostly false.
        return self._SEVERAL[0] in data[self._TYPES] and self._SEVERAL in data


@lru_cache(maxsize=16)
def _compiled(start: bytes, values: frozenset[bytes]) -> re.Pattern[bytes]:
    either = b"|".join(map(re.escape, sorted(values)))
    # The constant start makes the search fast.
    return re.compile(re.escape(start) + b"(?:" + either + b")", re.DOTALL)


def _pattern(kind: int, values: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return the pattern of an attribute with one of these values, which are of one length."""
    found = frozenset(values)
    if not found:
        return _NOTHING
    return _compiled(attribute(kind, next(iter(found)))[:4], found)


def _is_plain(data: bytes) -> bool:
    """Return whether a part of a dump is neither an error nor its end, nor from a dump that was interrupted.

    The kernel says that in the first message of a part. It ends a dump with NLMSG_DONE and a number.
    """
    if len(data) < _FULL:
        return False
    _, _, flags, _, _ = HEADER.unpack_from(data)
    _, last, _, _, _ = HEADER.unpack_from(data, len(data) - HEADER.size - _ERRNO.size)
    return not flags & _DUMP_INTERRUPTED and last != _DONE


def _check_refusal(payload: bytes) -> None:
    code = -_ERRNO.unpack_from(payload)[0]
    if code != errno.ENOENT:  # a strict dump of a table that does not exist (yet)
        raise HostError(f"the kernel refused a netlink dump: {errno.errorcode.get(code, code)}")
