"""What a person keeps a pass away from: interfaces that are held, and those that were not selected. Pure."""

from __future__ import annotations

from dataclasses import replace

from multinic.decide.restraint import Past
from multinic.decide.selection import NOT_SELECTED
from multinic.values.hold import HELD
from multinic.values.plan import Interface, State

_LEFT = "not part of this run, which is for other interfaces; the next pass looks at it"


def hands_off(interface: Interface, past: Past) -> Interface:
    """Return an interface without what a person does not want to be done to it now."""
    if words := _held(interface, past):
        if _acts(interface):
            removes = interface.state is State.DELETE
            message = f"not removed: {words}" if removes else f"not changed: {words}"
            return _left(interface, State.BLOCKED, HELD, message)
        as_desired = interface.state is State.UNCHANGED
        reason = HELD if as_desired else interface.reason
        return replace(interface, reason=reason, message=f"{interface.message}; {words}")
    if _acts(interface) and past.only is not None and interface.key not in past.only:
        return _left(interface, State.WAITING, NOT_SELECTED, _LEFT)
    return interface


def _held(interface: Interface, past: Past) -> str:
    """Return until when and why an interface is held; "" if it is not."""
    link = interface.link
    of_card = (link.permanent_mac or link.mac) if link else None
    for mac in (of_card, interface.mac):
        if mac is not None and mac in past.held:
            return past.held[mac]
    works = interface.state in (State.UPDATE, State.DELETE)
    return past.held_unknown if works and _acts(interface) else ""


def _acts(interface: Interface) -> bool:
    """Return whether something would be done to an interface, or it would be forgotten."""
    return interface.pending or interface.state is State.DELETE


def _left(interface: Interface, state: State, reason: str, message: str) -> Interface:
    return replace(interface, state=state, reason=reason, message=message, changes=(), files=())
