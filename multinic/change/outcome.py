"""What became of each interface, in a state, a reason code and a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from multinic.values.errors import HostError
from multinic.values.observed import ObservedAddress, ObservedLink
from multinic.values.plan import Interface, Result, State


def as_planned(interface: Interface) -> Result:
    """Return the result of an interface that was not changed."""
    return Result(interface, interface.state, interface.reason, interface.message, interface.link)


def failure(interface: Interface, reason: str, message: str) -> Result:
    """Return the result of an interface that failed, or waits for one that did."""
    return Result(interface, State.FAILED, reason, message)


def outcome_of(
    interface: Interface,
    left: Interface | None,
    faults: Mapping[str, HostError],
    timeout: float,
    *,
    unread: HostError | None = None,
) -> Result:
    """Return the result of an interface that was changed.

    `left`: the same interface in the plan after the change; `timeout`: how many seconds that took. `unread`:
    why the network service may not have read new files: then it would bring back what was before.
    """
    error = unread if interface.files else None
    if left is not None and left.pending:
        if address := duplicate_address(left):  # a service may have failed for that reason
            words = f"{address} is in use by another machine on that network"
            return failure(interface, "duplicate-address", words)
        error = faults.get(interface.key)
    if error is not None:
        words = f"{error} ({error.hint})" if error.hint else str(error)
        return failure(interface, "activation-failed", words)
    if left is not None and left.pending:
        rest = "; ".join([*map(str, left.changes), *(f"{c.action} {c.path}" for c in left.files)])
        return failure(interface, "not-converged", f"not there after {timeout:g} s: {rest}")
    if interface.state is State.DELETE:
        return Result(interface, State.DELETE, interface.reason, _removed(interface))
    if left is not None and left.state is not State.UNCHANGED:  # unplugged meanwhile, say
        return Result(interface, left.state, left.reason, left.message, left.link)
    return Result(interface, State.CONVERGED, interface.reason, _done(interface), left.link if left else None)


def undone(result: Result, left: Mapping[str, str]) -> Result:
    """Return the result of an interface that was restored, also of one that had converged itself.

    `left`: what could not be restored.
    """
    outcome = left.get(result.interface.key, "restored as it was")
    if result.state is State.FAILED:
        return replace(result, message=f"{result.message}; {outcome}", restored=True)
    words = f"{outcome}, because an interface failed that shares a slot or a name with it"
    return replace(result, state=State.FAILED, reason="slot-shared", message=words, restored=True)


def with_loss(result: Result, words: str) -> Result:
    """Return the result of an interface on whose link another program lost something for good, if so."""
    if not words or result.state is State.FAILED:
        return result
    return failure(result.interface, "witness", words)


def duplicate_address(left: Interface) -> str:
    """Return an address that another machine has, as the kernel has found out; "" for none."""
    return next(
        (str(found.address) for found in desired_addresses_on(left.link, left) if found.dadfailed), ""
    )


def desired_addresses_on(link: ObservedLink | None, interface: Interface) -> list[ObservedAddress]:
    """Return those addresses of a link that its interface shall have."""
    wanted = interface.desired.addresses if interface.desired else ()
    return [found for found in link.addresses if found.address in wanted] if link else []


def _removed(interface: Interface) -> str:
    link = f"the link is {interface.target_name} again" if interface.link else "its link is not plugged in"
    return f"{interface.message}; {link}"


def _done(interface: Interface) -> str:
    parts = [*map(str, interface.changes), *(f"{change.action} {change.path}" for change in interface.files)]
    return "; ".join(parts)
