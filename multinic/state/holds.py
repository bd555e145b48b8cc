"""Holds: one file, /var/lib/multinic/holds.json (0600), which is not there while nothing is held.

If it cannot be read, somebody has said "do not touch this", and nobody knows of what. So it counts as a hold
of everything that works, until a person drops it, or until the longest hold in it must have ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from multinic.host.host import Host
from multinic.state.codec import decode, encode
from multinic.values.errors import TooLarge
from multinic.values.hold import HOLDS_MAX, LONGEST, Hold, Holds, check
from multinic.values.paths import HOLDS

_VERSION = 1


def load_holds(host: Host) -> Holds:
    """Return the holds of this host. Raises HostError."""
    if not host.present(HOLDS):
        return Holds()
    try:
        document = json.loads(host.read(HOLDS) or "")
        if document["version"] != _VERSION:
            raise ValueError(f"unknown version {document['version']}")
        found: tuple[Hold, ...] = decode(tuple[Hold, ...], document["holds"])
        if len(found) > HOLDS_MAX:
            raise ValueError("more holds than interfaces")
        for hold in found:
            check(hold)
    except (TooLarge, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Holds(unknown_until=(host.written(HOLDS) or time.time()) + LONGEST)
    return Holds(found)


def save_holds(host: Host, holds: Iterable[Hold]) -> None:
    """Write the holds; without any there is no file. Raises HostError."""
    kept = [encode(hold) for hold in sorted(holds, key=lambda hold: hold.mac)]
    if kept:
        host.write(HOLDS, json.dumps({"version": _VERSION, "holds": kept}, indent=1) + "\n", 0o600)
    elif host.present(HOLDS):
        host.remove(HOLDS)
