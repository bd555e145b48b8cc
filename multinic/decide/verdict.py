"""The exit status that follows from the states of all interfaces. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from multinic.values.errors import Exit
from multinic.values.plan import State


def verdict(states: Iterable[State]) -> Exit:
    """Return 4 if an interface failed or a row is invalid, else 5 if an interface is blocked, else 0."""
    found = set(states)
    if found & {State.FAILED, State.INVALID}:
        return Exit.PARTIAL
    return Exit.REFUSED if State.BLOCKED in found else Exit.OK
