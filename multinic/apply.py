"""Carry out a plan: check candidates, save, write, activate once, verify by planning again, put back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from multinic import checkpoint
from multinic.backend import Backend, Staged
from multinic.errors import HostError
from multinic.host import Host
from multinic.links import Faults, Links
from multinic.log import Log
from multinic.model import Observed, ObservedAddress, ObservedLink
from multinic.observe import links as current_links
from multinic.paths import CHECKPOINT
from multinic.plan import Interface, Plan, State


@dataclass(frozen=True)
class Result:
    """What became of one interface."""

    interface: Interface
    state: State
    reason: str
    message: str


Look = Callable[[], tuple[Plan, Observed]]


def apply(
    host: Host, backend: Backend, plan: Plan, observed: Observed, *, look: Look, timeout: float, log: Log
) -> tuple[Result, ...]:
    """Carry out `plan` and return what became of every interface of it.

    `look` plans anew from what is observed then; `timeout` is how long the kernel may take to
    agree, in seconds. An interface that does not is put back as it was. Raises HostError when
    nothing could be begun.
    """
    staged = backend.stage(host, plan.pending)
    doable = tuple(interface for interface in plan.pending if interface.key not in staged.refused)
    results = {i.key: Result(i, i.state, i.reason, i.message) for i in plan.interfaces if not i.pending}
    for interface in plan.pending:
        if words := staged.refused.get(interface.key):
            results[interface.key] = _failed(
                interface, "refused-by-backend", f"{backend.NAME} refuses its file: {words}"
            )
    if doable:
        results |= {
            r.interface.key: r
            for r in _carry_out(host, backend, doable, staged, observed, look, timeout, log)
        }
    return tuple(results[interface.key] for interface in plan.interfaces)


def _carry_out(
    host: Host,
    backend: Backend,
    doable: tuple[Interface, ...],
    staged: Staged,
    observed: Observed,
    look: Look,
    timeout: float,
    log: Log,
) -> list[Result]:
    taken = checkpoint.take(
        host, backend.NAME, doable, observed, lambda name: [p for p in staged.runtime if f"-{name}." in p]
    )
    with Links(host) as links:
        try:
            faults = _change(host, backend, links, doable, staged)
            after = _verify(doable, look, timeout, faults)
            failed = {i.key for i in doable if _unfinished(i, after)}
            if failed:
                _put_back(host, backend, links, [s for s in taken.interfaces if s.key in failed], log)
        except BaseException:
            _put_back(host, backend, links, taken.interfaces, log)
            host.remove(CHECKPOINT)
            raise
    checkpoint.commit(host)
    return [_result(interface, after.get(interface.key), faults, timeout) for interface in doable]


def _change(
    host: Host, backend: Backend, links: Links, doable: Iterable[Interface], staged: Staged
) -> Faults:
    """Write all files and activate them; return the errors instead of raising them.

    Some interfaces may be right all the same: only what is not is put back.
    """
    faults = Faults()
    interfaces = tuple(doable)
    for interface in interfaces:
        with faults.of(interface):
            for change in interface.files:
                if change.new is None:
                    host.remove(change.path)
                else:
                    host.write(change.path, change.new, change.mode)
    try:
        backend.activate(host, links, interfaces, staged, faults)
    except HostError as e:
        for interface in interfaces:
            faults.setdefault(interface.key, e)
    return faults


def _verify(doable: tuple[Interface, ...], look: Look, timeout: float, faults: Faults) -> Plan:
    """Plan again until nothing is left to do that may still come; return the last plan."""
    end = time.monotonic() + timeout
    pause = 0.01
    while True:
        plan, _ = look()
        waited_for = [plan.get(i.key) for i in doable if i.key not in faults]
        if time.monotonic() >= end or not any(i is not None and _comes_yet(i) for i in waited_for):
            return plan
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(pause * 2, 0.25)


def _unfinished(interface: Interface, plan: Plan) -> bool:
    """Return whether something that `interface` was to have is still to be done in `plan`."""
    left = plan.get(interface.key)
    return left is not None and left.pending


def _comes_yet(left: Interface) -> bool:
    """Return whether waiting may make a difference to an interface of the plan that is left.

    An address is not there for good before the kernel has asked the network whether it is someone
    else's (DAD); without a carrier it does not ask, and nothing is to be waited for.
    """
    if _taken(left):
        return False
    link = left.link if left.link is not None and left.link.carrier else None
    return left.pending or any(found.tentative for found in _wanted_on(link, left))


def _taken(left: Interface) -> str:
    """Return an address of which the kernel found that someone else has it."""
    return next((str(found.address) for found in _wanted_on(left.link, left) if found.dadfailed), "")


def _wanted_on(link: ObservedLink | None, interface: Interface) -> list[ObservedAddress]:
    wanted = interface.desired.addresses if interface.desired else ()
    return [found for found in link.addresses if found.address in wanted] if link else []


def _put_back(
    host: Host, backend: Backend, links: Links, saved: Iterable[checkpoint.Saved], log: Log
) -> None:
    """Restore; an error in here is told and the first error stays the one that is reported."""
    try:
        checkpoint.restore(
            host, links, tuple(saved), reload=lambda: backend.reload(host), observe=current_links
        )
    except HostError as e:
        log.error(f"could not put everything back: {e}", hint=e.hint)


def _result(interface: Interface, left: Interface | None, faults: Faults, timeout: float) -> Result:
    if left is not None and left.pending:
        if error := faults.get(interface.key):
            words = f"{error} ({error.hint})" if error.hint else str(error)
            return _failed(interface, "activation-failed", f"{words}; put back as it was")
        if address := _taken(left):
            words = f"{address} is in use by another machine on that network"
            return _failed(interface, "duplicate-address", f"{words}; put back as it was")
        rest = "; ".join([*map(str, left.changes), *(f"{c.action} {c.path}" for c in left.files)])
        return _failed(
            interface, "not-converged", f"not there after {timeout:g} s: {rest}; put back as it was"
        )
    if interface.state is State.DELETE:
        return Result(interface, State.DELETE, interface.reason, "removed")
    if left is not None and left.state is not State.UNCHANGED:  # unplugged meanwhile, say
        return Result(interface, left.state, left.reason, left.message)
    return Result(interface, State.CONVERGED, interface.reason, _done(interface))


def _failed(interface: Interface, reason: str, message: str) -> Result:
    return Result(interface, State.FAILED, reason, message)


def _done(interface: Interface) -> str:
    parts = [*map(str, interface.changes), *(f"{change.action} {change.path}" for change in interface.files)]
    return "; ".join(parts)
