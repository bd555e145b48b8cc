"""Look for a password in whatever a program left behind, in every form that it could be read back from."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

SECRET = "wX7%q/Zr2@k:Vt9#Lm?p4&uä비Jd"
"""Signs that mean something in a URL, in YAML and to a shell, and some of no western keyboard."""
_PIECE = 6  # characters: so much of it in one place is no chance


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of what must be nowhere."""
    raw = secret.encode()
    texts = {
        "itself": secret,
        "quoted for a URL": quote(secret, safe=""),
        "escaped": secret.encode("unicode_escape").decode(),
    }
    for name, text in texts.items():
        data = text.encode()
        for begin in range(len(data) - _PIECE + 1):
            yield f"a piece of it, {name}", data[begin : begin + _PIECE]
    for shift in range(3):  # within something longer
        coded = base64.b64encode(bytes(shift) + raw)
        yield "in base64", coded[4 : len(coded) // 4 * 4 - 4]
    yield "in base32", base64.b32encode(raw)[:16]
    yield "in hex", raw.hex().encode()[:24]
    yield "backwards", secret[::-1].encode()
    for name in ("md5", "sha1", "sha256", "sha512"):
        yield f"as {name}, which can be guessed", hashlib.new(name, raw).hexdigest().encode()


def found(data: bytes, secret: str = SECRET) -> list[str]:
    """Return the forms in which a secret is in some bytes."""
    return sorted({name for name, form in forms(secret) if form in data})


def files(*places: Path) -> Iterable[Path]:
    """Return all files below some places."""
    for place in places:
        for directory, _, names in os.walk(place):
            yield from (Path(directory, name) for name in names if Path(directory, name).is_file())
