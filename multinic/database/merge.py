"""The options of a link: those of its row over those of its subnet, and the gateway of a column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from multinic.database.columns import BadColumn, as_text, as_word
from multinic.decide import options
from multinic.decide.contradictions import check, dynamic
from multinic.decide.parsing import OptionError, read
from multinic.values.desired import DesiredLink

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
    of_column = not origin.get("gateway", "options").endswith("options")
    if of_column and not _uses_gateway(merged):
        del merged["gateway"]  # if it is wrong, that must not cost the interfaces that do not use it
    if not merged:
        return link
    try:
        asking = replace(link, options=options.parse(merged))
        if of_column:
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


def _uses_gateway(merged: Mapping[str, Any]) -> bool:
    """Return whether options, not parsed yet, may need a gateway."""
    return merged.get("default_route", False) is not False or merged.get("policy_routing", "off") != "off"


def _of_its_families(link: DesiredLink) -> DesiredLink:
    """Return the link without gateways it cannot have: a column is about the subnet, not about this link."""
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
