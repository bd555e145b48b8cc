"""The options of a link: those of its row over those of its subnet, and the gateway of a column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from multinic import options
from multinic.contradictions import check, dynamic
from multinic.model import DesiredLink
from multinic.parsing import OptionError, read
from multinic.source.columns import BadColumn, as_text, as_word

Row = Mapping[str, Any]

GATEWAY_COLUMNS = ("gateway", "gateway_ip")


def with_options(link: DesiredLink, row: Row, subnet: Row) -> DesiredLink:
    """Return the link with what its row and its subnet ask for. Raises BadColumn."""
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}  # top-level key → the column that says it
    for table, columns in (("multi_subnet.", subnet), ("", row)):  # the nearer one replaces whole keys
        found, column = _document(f"{table}options", columns.get("options")), f"{table}options"
        said = dict.fromkeys(found, column)
        if "gateway" not in found and (gateways := _gateways(table, columns)):
            column, found["gateway"] = gateways
            said["gateway"] = column
        merged |= found
        origin |= said
    if not merged:
        return link
    try:
        asking = replace(link, options=options.parse(merged))
        if not origin.get("gateway", "options").endswith("options"):
            asking = _of_its_families(asking)
        check(asking)
    except OptionError as e:
        raise _blamed(e, origin) from None
    return asking


def _document(column: str, value: Any) -> dict[str, Any]:
    try:
        return read(as_text(value))
    except OptionError as e:
        raise BadColumn(column, e.value, e.problem, "bad-options", seen=e.shown) from None


def _gateways(table: str, columns: Row) -> tuple[str, list[str]] | None:
    """Return the first gateway column that has something in it, and its words."""
    for name in GATEWAY_COLUMNS:
        if text := as_word(f"{table}{name}", columns.get(name)):
            return f"{table}{name}", [word for word in re.split(r"[\s,;]+", text) if word]
    return None


def _of_its_families(link: DesiredLink) -> DesiredLink:
    """Return the link without gateways it cannot have: a column speaks of the subnet, not of this link."""
    families = {version for version in (4, 6) if dynamic(link, version)}
    families |= {address.version for address in link.addresses}
    gateways = tuple(gateway for gateway in link.options.gateways if gateway.version in families)
    return replace(link, options=replace(link.options, gateways=gateways))


def _blamed(error: OptionError, origin: Mapping[str, str]) -> BadColumn:
    """Return an error as one of the column that says what is wrong, with the place in it."""
    # An unknown key has no path: it is the value.
    key = re.split(r"[.\[]", error.path)[0] or str(error.value)
    column = origin.get(key, "options")
    if not column.endswith("options"):
        return BadColumn(column, error.value, error.problem, seen=error.shown)
    place = f"{column}.{error.path}" if error.path else column
    return BadColumn(place, error.value, error.problem, "bad-options", seen=error.shown)
