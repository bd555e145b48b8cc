"""What this host has read of the database before: /var/lib/multinic/seen.json (0600), for `decide/older.py`.

Without it an answer is believed as it comes, so a lost or damaged one costs nothing else.
"""

from __future__ import annotations

import json

from multinic.decide.older import Seen
from multinic.host.host import Host
from multinic.state.codec import decode, encode
from multinic.values.errors import TooLarge
from multinic.values.paths import SEEN

_VERSION = 1


def load_seen(host: Host) -> Seen:
    """Return what was read before; nothing if the file is missing or damaged. Raises HostError."""
    try:
        document = json.loads(host.read(SEEN) or "{}")
        if document.pop("version", None) != _VERSION:
            return Seen()
        found: Seen = decode(Seen, document)
    except (TooLarge, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Seen()
    return found


def save_seen(host: Host, seen: Seen) -> None:
    """Write it. Raises HostError."""
    host.write(SEEN, json.dumps({"version": _VERSION, **encode(seen)}, indent=1) + "\n", 0o600)
