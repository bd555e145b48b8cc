"""What was written to our tables last: /run/multinic/told.json (0600). Without it, all is written again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from multinic.host.host import Host
from multinic.values.errors import TooLarge
from multinic.values.paths import TOLD

_VERSION = 1


@dataclass(frozen=True)
class Told:
    """What was written to our tables last, as digests."""

    database: str = ""
    """Which database it was (source.identity)."""
    node: str = ""
    """Under which name."""
    time: float = 0.0
    """When, as Unix time."""
    tables: bool = False
    """Whether the database has our tables; without them the rest says what would have been written."""
    head: str = ""
    """Of the row of the node; "" where a write failed."""
    rows: Mapping[str, str] = field(default_factory=dict)
    """Of the rows of the interfaces, by key."""
    through: int = 0
    """The number of the newest event."""


def load(host: Host) -> Told:
    """Return what was told last; nothing if the file is missing or damaged. Raises HostError."""
    try:
        document = json.loads(host.read(TOLD) or "{}")
        if document.pop("version", None) != _VERSION:
            return Told()
        told = Told(**document)
        kinds = (type(told.database), type(told.node), type(told.head), type(told.rows))
        return told if kinds == (str, str, str, dict) and told.time >= 0 and told.through >= 0 else Told()
    except (TooLarge, ValueError, TypeError, AttributeError, RecursionError):
        return Told()


def save(host: Host, told: Told) -> None:
    """Remember what was told. Raises HostError."""
    host.write(TOLD, json.dumps({"version": _VERSION, **asdict(told)}) + "\n", 0o600)
