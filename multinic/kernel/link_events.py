"""What the kernel tells of links that come, go and change, while nobody looks.

On a host with pods hundreds of links a second are of no interest: their events are searched for the MAC
addresses and names that are, and not decoded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from multinic.kernel.messages import LINK
from multinic.kernel.notifications import Notifications
from multinic.kernel.parts import messages

_ATTRIBUTE = struct.Struct("=HH")
_LINKS = 1  # RTNLGRP_LINK
_NAME, _MAC, _PERMANENT_MAC = 3, 1, 54  # IFLA_IFNAME, IFLA_ADDRESS, IFLA_PERM_ADDRESS
_BUFFER = 1 << 20  # bytes: some hundred events, until the next pass is over
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
        self._notifications = Notifications((_LINKS,), _BUFFER)

    def __enter__(self) -> LinkEvents:
        return self

    def __exit__(self, *_: object) -> None:
        self._notifications.close()

    def fileno(self) -> int:
        """Return the descriptor that can be read when there are events."""
        return self._notifications.fileno()

    def heard(self, wanted: re.Pattern[bytes]) -> set[int]:
        """Return the indexes of links with an event that `wanted` matches, and LOST if some are not known."""
        found: set[int] = set()
        for data in self._notifications.datagrams():
            if not data:
                found.add(LOST)
            elif wanted.search(data):
                found |= _indexes(data, wanted)
        return found


def _indexes(data: bytes, wanted: re.Pattern[bytes]) -> set[int]:
    return {LINK.unpack_from(event)[2] for *_, event in messages(data) if wanted.search(event)}
