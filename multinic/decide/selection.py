"""Which interfaces a person means: by name, MAC address, port or row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from multinic.values.addresses import Mac
from multinic.values.errors import ConfigError
from multinic.values.plan import Interface
from multinic.values.text import printable, shown

NOT_SELECTED = "not-selected"
_LISTED = 20  # interfaces in a message

Item = TypeVar("Item")


class Called(NamedTuple):
    """By what one interface can be meant; "" and None where it has none."""

    name: str
    mac: str
    port_id: str
    row_id: int | None
    link: str = ""
    """The name that its link has now."""
    key: str = ""
    """Its key in a saved plan."""


def of_plan(interface: Interface) -> Called:
    """Return by what an interface of a plan can be meant."""
    link = interface.link.name if interface.link else ""
    return Called(
        interface.name, interface.mac_text, interface.port_id, interface.row_id, link, interface.key
    )


def select(words: Iterable[str], items: Sequence[Item], called: Callable[[Item], Called]) -> list[Item]:
    """Return the items that `words` mean, in their own order. Raises ConfigError for a word that means none.

    The name comes first, so that a port that is called like another interface is not meant by that name.
    """
    found: list[Item] = []
    for word in words:
        meant = _meant(word, items, called)
        if not meant:
            known = [_listed(called(item)) for item in items]
            more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
            there = f"{', '.join(known[:_LISTED])}{more}" if known else "none"
            raise ConfigError(f"no interface {shown(word)} on this node", f"there are {there}")
        found += meant
    return [item for item in items if any(item is one for one in found)]


def _meant(word: str, items: Sequence[Item], called: Callable[[Item], Called]) -> list[Item]:
    folded = word.strip().casefold()
    mac = _mac(folded)
    ways: tuple[Callable[[Called], bool], ...] = (
        lambda one: folded == one.name,
        lambda one: mac != "" and mac == one.mac,
        lambda one: folded == one.port_id.casefold(),
        lambda one: one.row_id is not None and folded == str(one.row_id),
        lambda one: folded == one.link.casefold(),
        lambda one: folded == one.key.casefold(),
    )
    for way in ways if folded else ():
        if meant := [item for item in items if way(called(item))]:
            return meant
    return []


def _mac(text: str) -> str:
    try:
        return str(Mac(text))
    except ValueError:
        return ""


def _listed(one: Called) -> str:
    """Return an interface for a list of what there is: its name, and what tells it from others."""
    if one.name:
        return f"{printable(one.name)} ({printable(one.mac)})" if one.mac else printable(one.name)
    return f"row {one.row_id}" if one.row_id is not None else printable(one.mac)
