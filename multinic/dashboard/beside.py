"""What the database wants of an interface beside what its host says of it, field by field. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def compared(interface: Row, desired: Row | None, cidr: str) -> list[dict[str, Any]]:
    """Return the fields of one interface: what is wanted, what there is, and whether that is not the same.

    Without a row, or without a wish, nothing differs.
    """
    wanted = desired or {}
    return [
        {
            "field": field,
            "desired": shown(want),
            "observed": shown(have),
            "differs": bool(want) and desired is not None and _form(want) != _form(have),
        }
        for field, want, have in _fields(wanted, interface, cidr)
    ]


def _fields(wanted: Row, interface: Row, cidr: str) -> Iterator[tuple[str, Any, Any]]:
    yield "mac", wanted.get("macaddress"), interface.get("mac")
    length = cidr.partition("/")[2]
    addresses = [_with_length(word, length) for word in words(wanted.get("address"))]
    # Also what others put there is observed: only what is wanted and missing is a difference.
    have = words(interface.get("addresses"))
    missing = [word for word in addresses if word not in have]
    yield "addresses", addresses, have if missing else addresses
    yield "mtu", wanted.get("mtu"), interface.get("mtu")


def words(value: Any) -> list[str]:
    """Return the addresses in a column."""
    return [word for word in re.split(r"[\s,;]+", str(value or "").lower()) if word]


def _with_length(address: str, length: str) -> str:
    return address if "/" in address or not length else f"{address}/{length}"


def shown(value: Any) -> str:
    """Return a value as one text."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def _form(value: Any) -> str:
    """Return what compares: MAC addresses are written in several ways."""
    return shown(value).lower().replace("-", ":")
