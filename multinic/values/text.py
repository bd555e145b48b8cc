"""Make text that is not ours safe to show: no control character reaches a log, a table or a terminal."""

from __future__ import annotations

_LIMIT = 60  # characters; enough for two UUIDs or an IPv6 address with room to see what is wrong


def shown(value: object) -> str:
    """Return `value` quoted, escaped and shortened, as a part of a sentence."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes | bytearray):
        value = value.decode("utf-8", "replace")
    text = str(value)
    cut = text if len(text) <= _LIMIT else text[:_LIMIT] + "…"
    return repr(cut)


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with what it counts: "1 row", "2 rows"; `several` where that is not `one` with an s."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def printable(text: str) -> str:
    """Return `text` with every character that is not printable escaped; line ends become spaces."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else " "
        if character in "\r\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )
