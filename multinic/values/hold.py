"""Holds: a person says that nothing is to be changed on an interface for a while, and why. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from multinic.values.addresses import Mac
from multinic.values.paths import HOLDS

HELD = "held"
"""The reason code."""
LONGEST = 7 * 86400.0
"""Seconds that a hold can last: one that is forgotten ends by itself."""
WHY_MAX = 200
NOT_KNOWN = f"what is held is not known ({HOLDS} is damaged)"
HOLDS_MAX = 1000
"""As many as there can be interfaces on a host."""
_DURATION = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_UNITS = (86400, 3600, 60, 1)


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. It belongs to a network card: a name or a row can go to another one."""

    mac: Mac
    card: Mac
    """The permanent address of the card where it has one, else the same as `mac`."""
    name: str
    """What the interface was called, for people."""
    port_id: str
    since: float
    until: float
    """Unix time."""
    why: str
    by: str
    """Who said so."""

    def of(self, mac: Mac) -> bool:
        """Return whether a MAC address is one of its card's."""
        return mac in (self.mac, self.card)

    @property
    def words(self) -> str:
        """The hold as a part of a sentence."""
        return f"held until {when(self.until)} by {self.by}: {self.why}"


@dataclass(frozen=True)
class Holds:
    """What is held on a host."""

    all: tuple[Hold, ...] = ()
    """Also those that have ended."""
    unknown_until: float = 0.0
    """If they cannot be read: when the longest of them must have ended. 0: they can be read."""

    def active(self, now: float) -> tuple[Hold, ...]:
        """Return the holds that have not ended."""
        return tuple(hold for hold in self.all if now < hold.until)

    def unknown(self, now: float) -> bool:
        """Return whether there may be holds that nobody can read."""
        return now < self.unknown_until

    def words(self, now: float) -> Mapping[Mac, str]:
        """Return what is held now, in words, by both addresses of its card."""
        return {mac: hold.words for hold in self.active(now) for mac in (hold.card, hold.mac)}


def damaged_words(holds: Holds, now: float) -> str:
    """Return what follows from holds that cannot be read, as a part of a sentence; "" if they can be."""
    if not holds.unknown(now):
        return ""
    words = f"{HOLDS} is damaged: what is held is not known, so nothing that works is changed"
    return f"{words} until {when(holds.unknown_until)}, or until `multinic release --all`"


def when(moment: float) -> str:
    """Return a Unix time for people; the same on every host, so that messages can be compared."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(text: str) -> float:
    """Return the seconds of a text like 2h, 90m or 1d12h. Raises ValueError for what no hold can last."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise ValueError("it is not a duration like 30m, 2h or 1d12h")
    seconds = sum(int(number or 0) * unit for number, unit in zip(match.groups(), _UNITS, strict=True))
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"a hold lasts from one second to {LONGEST / 86400:g} days")
    return float(seconds)


def reason(text: str) -> str:
    """Return why something is held, without blanks around it. Raises ValueError for what is no reason."""
    words = text.strip()
    if not words:
        raise ValueError("it says nothing; others will ask why")
    if not words.isprintable():
        raise ValueError("it has characters in it that cannot be printed, such as line ends")
    if len(words) > WHY_MAX:
        raise ValueError(f"it is longer than {WHY_MAX} characters")
    return words


def check(hold: Hold) -> None:
    """Raise ValueError for a hold that `multinic hold` does not write."""
    if not 0 < hold.until - hold.since <= LONGEST or not 0 <= hold.since < 1 << 40:
        raise ValueError("no hold lasts so long")
    reason(hold.why)
    if not all(text.isprintable() and len(text) <= 64 for text in (hold.name, hold.port_id, hold.by)):
        raise ValueError("not a name")
