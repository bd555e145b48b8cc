"""What a person keeps a pass away from: interfaces that were not selected. Pure."""

from __future__ import annotations

from dataclasses import replace

from multinic.decide.restraint import Past
from multinic.decide.selection import NOT_SELECTED
from multinic.values.plan import Interface, State

_LEFT = "not part of this run, which is for other interfaces; the next pass looks at it"


def hands_off(interface: Interface, past: Past) -> Interface:
    """Return an interface without what a person does not want to be done to it now."""
    if _acts(interface) and past.only is not None and interface.key not in past.only:
        return _left(interface, State.WAITING, NOT_SELECTED, _LEFT)
    return interface


def _acts(interface: Interface) -> bool:
    """Return whether something would be done to an interface, or it would be forgotten."""
    return interface.pending or interface.state is State.DELETE


def _left(interface: Interface, state: State, reason: str, message: str) -> Interface:
    return replace(interface, state=state, reason=reason, message=message, changes=(), files=())
