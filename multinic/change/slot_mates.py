"""Interfaces that stand or fall together, because they share a slot or a name."""

from __future__ import annotations

from collections.abc import Iterable

from multinic.values.plan import Interface


def with_slot_mates(failed: set[str], doable: Iterable[Interface]) -> set[str]:
    """Add the interfaces that share a slot or a name with a failed one, and so on: all are restored together.

    Two interfaces share a slot if one leaves it and the other takes it, and share a name if one has taken
    the name that the other had before.
    """
    failed, doable = set(failed), tuple(doable)
    while True:
        names = {name for interface in doable if interface.key in failed for name in _names(interface)}
        more = {i.key for i in doable if i.name in names or (i.link and i.target_name in names)} - failed
        if not more:
            return failed
        failed |= more


def _names(interface: Interface) -> tuple[str, ...]:
    return (interface.name, interface.link.name) if interface.link else (interface.name,)
