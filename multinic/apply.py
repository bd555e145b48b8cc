"""Carry out a plan: check candidates, save, write, activate once, verify by planning again, put back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from multinic import checkpoint
from multinic.backend import Backend, Staged
from multinic.errors import HostError
from multinic.host import Host
from multinic.links import Links
from multinic.log import Log
from multinic.model import Observed
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
            error = _change(host, backend, links, doable, staged)
            left = _verify(doable, look, 0.0 if error else timeout)
            failed = {key for key in left if left[key] is not None}
            if failed:
                _put_back(host, backend, links, [s for s in taken.interfaces if s.key in failed], log)
        except BaseException:
            _put_back(host, backend, links, taken.interfaces, log)
            host.remove(CHECKPOINT)
            raise
    checkpoint.commit(host)
    return [_result(interface, left[interface.key], error, timeout) for interface in doable]


def _change(
    host: Host, backend: Backend, links: Links, doable: Iterable[Interface], staged: Staged
) -> HostError | None:
    """Write all files and activate them; return the first error instead of raising it.

    Some interfaces may be right all the same: only what is not is put back.
    """
    interfaces = tuple(doable)
    try:
        for interface in interfaces:
            for change in interface.files:
                if change.new is None:
                    host.remove(change.path)
                else:
                    host.write(change.path, change.new, change.mode)
        backend.activate(host, links, interfaces, staged)
    except HostError as e:
        return e
    return None


def _verify(doable: tuple[Interface, ...], look: Look, timeout: float) -> dict[str, Interface | None]:
    """Plan again until nothing is left to do; return what is left, None where there is nothing."""
    end = time.monotonic() + timeout
    pause = 0.01
    while True:
        plan, _ = look()
        left = {interface.key: _pending(plan, interface.key) for interface in doable}
        if not any(left.values()) or time.monotonic() >= end:
            return left
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(pause * 2, 0.25)


def _pending(plan: Plan, key: str) -> Interface | None:
    interface = plan.get(key)
    return interface if interface is not None and interface.pending else None


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


def _result(interface: Interface, left: Interface | None, error: HostError | None, timeout: float) -> Result:
    if left is not None:
        rest = "; ".join([*map(str, left.changes), *(f"{c.action} {c.path}" for c in left.files)])
        if error is not None:
            return _failed(interface, "activation-failed", f"{error}; put back as it was")
        return _failed(
            interface, "not-converged", f"not there after {timeout:g} s: {rest}; put back as it was"
        )
    if interface.state is State.WAITING:
        return Result(interface, State.WAITING, interface.reason, interface.message)
    if interface.state is State.DELETE:
        return Result(interface, State.DELETE, interface.reason, "removed")
    return Result(interface, State.CONVERGED, interface.reason, _done(interface))


def _failed(interface: Interface, reason: str, message: str) -> Result:
    return Result(interface, State.FAILED, reason, message)


def _done(interface: Interface) -> str:
    parts = [*map(str, interface.changes), *(f"{change.action} {change.path}" for change in interface.files)]
    return "; ".join(parts)
