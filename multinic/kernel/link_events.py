"""What the kernel tells of links that come, go and change, while nobody looks.

On a host with pods hundreds of links a second are of no interest: their events are searched for the MAC
addresses and names that are, and not decoded.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterable

from multinic.kernel.messages import LINK

_HEADER = struct.Struct("=IHHII")  # of linux/netlink.h
_ATTRIBUTE = struct.Struct("=HH")
_LINKS = 1  # RTMGRP_LINK
_NAME, _MAC, _PERMANENT_MAC = 3, 1, 54  # IFLA_IFNAME, IFLA_ADDRESS, IFLA_PERM_ADDRESS
_BUFFER = 1 << 20  # bytes: some hundred events, until the next pass is over
_BUFFER_FORCE = 33  # SO_RCVBUFFORCE: beyond net.core.rmem_max
LOST = 0
"""Instead of the index of a link: the kernel had more to tell than the buffer holds."""


def of_interest(macs: Iterable[str]) -> re.Pattern[bytes]:
    """Return the pattern of events of links with these MAC addresses, or with a name of ours."""
    found = [re.escape(_ATTRIBUTE.pack(4 + 6, kind)) for kind in (_MAC, _PERMANENT_MAC)]
    addresses = [re.escape(bytes.fromhex(mac.replace(":", ""))) for mac in sorted(macs)]
    name = b".." + re.escape(_ATTRIBUTE.pack(0, _NAME)[2:]) + rb"multinic\d"
    if not addresses:
        return re.compile(name, re.DOTALL)
    either = b"(?:" + b"|".join(found) + b")(?:" + b"|".join(addresses) + b")"
    return re.compile(either + b"|" + name, re.DOTALL)


class LinkEvents:
    """The events of links since this was made. Raises OSError where the kernel gives none."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, _BUFFER)
        except OSError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setblocking(False)
        self._socket.bind((0, _LINKS))

    def __enter__(self) -> LinkEvents:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor that can be read when there are events."""
        return self._socket.fileno()

    def heard(self, wanted: re.Pattern[bytes]) -> set[int]:
        """Return the indexes of links with an event that `wanted` matches, and LOST if some are not known."""
        found: set[int] = set()
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return found
            except OSError:  # ENOBUFS
                found.add(LOST)
                continue
            if wanted.search(data):
                found |= _indexes(data, wanted)


def _indexes(data: bytes, wanted: re.Pattern[bytes]) -> set[int]:
    found, offset = set(), 0
    while offset + _HEADER.size + LINK.size <= len(data):
        size = max(_HEADER.size, _HEADER.unpack_from(data, offset)[0])
        if wanted.search(data, offset, offset + size):
            found.add(LINK.unpack_from(data, offset + _HEADER.size)[2])
        offset += (size + 3) & ~3
    return found
