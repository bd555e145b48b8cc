"""Carry out a plan: check candidates, save, write, activate once, verify by planning again, put back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from multinic import checkpoint, harm, reach, witness
from multinic.backend import Backend, Staged
from multinic.configure import drop_stale, tune
from multinic.ending import uninterrupted
from multinic.errors import HostError
from multinic.host import Host
from multinic.links import Faults, Links
from multinic.log import Log
from multinic.model import ObservedAddress, ObservedLink
from multinic.observe import surroundings
from multinic.plan import Interface, Plan, State
from multinic.saved import Checkpoint, Saved


@dataclass(frozen=True)
class Result:
    """What became of one interface."""

    interface: Interface
    state: State
    reason: str
    message: str


@dataclass(frozen=True)
class Site:
    """Where and how a plan is carried out."""

    host: Host
    backend: Backend
    look: Callable[[], Plan]
    """Plan anew from what is observed then."""
    timeout: float
    """How long the kernel may take to agree, in seconds."""
    database: Callable[[], bool] | None
    """Whether the database can be connected to; None where no network is between."""
    log: Log


def apply(site: Site, plan: Plan) -> tuple[Result, ...]:
    """Carry out `plan` and return what became of every interface of it.

    An interface that does not converge is put back as it was. Raises HostError when nothing
    could be begun.
    """
    staged = site.backend.stage(site.host, plan.pending)
    doable = tuple(interface for interface in plan.pending if interface.key not in staged.refused)
    results = {i.key: Result(i, i.state, i.reason, i.message) for i in plan.interfaces if not i.pending}
    for interface in plan.pending:
        if words := staged.refused.get(interface.key):
            words = f"{site.backend.NAME} refuses its file: {words}"
            results[interface.key] = _failed(interface, "refused-by-backend", words)
    if doable:
        results |= {result.interface.key: result for result in _carry_out(site, doable, staged)}
    return tuple(results[interface.key] for interface in plan.interfaces)


def _carry_out(site: Site, doable: tuple[Interface, ...], staged: Staged) -> list[Result]:
    around = surroundings()
    targets = {interface.link.index for interface in doable if interface.link}
    reached = reach.before(around, targets, site.database)
    with _all_or_nothing(site, doable, around, staged) as taken, Links(site.host) as links:
        faults = _change(site, links, doable, staged)
        after = _verify(doable, site.look, site.timeout, faults)
        failed = _with_slot_mates({i.key for i in doable if _unfinished(i, after)}, doable)
        results = [_result(i, after.get(i.key), faults, site.timeout) for i in doable]
        if failed:
            results = [_undone(r) if r.interface.key in failed else r for r in results]
            _put_back(site, [s for s in taken.interfaces if s.key in failed])
        if objection := harm.find(links, site.log, doable, around, reached):
            _put_back(site, taken.interfaces)
            results = [_failed(i, *objection) for i in doable]
    return results


@contextmanager
def _all_or_nothing(
    site: Site, doable: tuple[Interface, ...], around: witness.Surroundings, staged: Staged
) -> Iterator[Checkpoint]:
    """Save how the interfaces are; put them back so if the block raises anything, a signal included."""
    saved: tuple[Saved, ...] = ()
    finished = False
    try:
        taken = checkpoint.take(
            site.host,
            site.backend.NAME,
            doable,
            around,
            lambda name: [path for path in staged.runtime if f"-{name}." in path],
        )
        saved = taken.interfaces
        yield taken
        with uninterrupted():
            checkpoint.commit(site.host)
            finished = True
    except BaseException:
        if not finished:
            with uninterrupted():
                _abandon(site, saved)
        raise


def _abandon(site: Site, saved: Sequence[Saved]) -> None:
    """Put everything back and finish; what could not be put back is left to `multinic rollback`."""
    finish = checkpoint.discard if _put_back(site, saved) else checkpoint.commit
    try:
        finish(site.host)
    except HostError as e:
        site.log.error(f"could not finish: {e}", hint=e.hint)


def _change(site: Site, links: Links, interfaces: tuple[Interface, ...], staged: Staged) -> Faults:
    """Write all files and activate them; return the errors instead of raising them.

    Some interfaces may be right all the same: only what is not is put back.
    """
    faults = Faults()
    for interface in interfaces:
        with faults.of(interface):
            for change in interface.files:
                if change.new is None:
                    site.host.remove(change.path)
                else:
                    site.host.write(change.path, change.new, change.mode)
        with faults.of(interface):
            drop_stale(links, interface)  # before another link gets the same route: the kernel has it once
            if interface.link is not None and interface.state is State.DELETE:
                # The kernel makes a link-local address at once, which goes only when the link is set down.
                early = [change for change in interface.changes if change.field == "addr_gen_mode"]
                tune(site.host, links, interface.link, interface.link.name, early)
    try:
        site.backend.activate(site.host, links, interfaces, staged, faults)
        for interface in interfaces:
            if interface.link is not None and interface.key not in faults:
                with faults.of(interface):
                    drop_stale(links, interface)  # services leave what their files no longer speak of
                    tune(site.host, links, interface.link, interface.target_name, interface.changes)
    except HostError as e:
        for interface in interfaces:
            faults.setdefault(interface.key, e)
    return faults


def _verify(doable: tuple[Interface, ...], look: Callable[[], Plan], timeout: float, faults: Faults) -> Plan:
    """Plan again until nothing is left to do that may still come; return the last plan."""
    end = time.monotonic() + timeout
    pause = 0.01
    while True:
        plan = look()
        waited_for = [plan.get(i.key) for i in doable if i.key not in faults]
        if time.monotonic() >= end or not any(i is not None and _comes_yet(i) for i in waited_for):
            return plan
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(pause * 2, 0.25)


def _unfinished(interface: Interface, plan: Plan) -> bool:
    """Return whether something that `interface` was to have is still to be done in `plan`."""
    left = plan.get(interface.key)
    return left is not None and left.pending


def _with_slot_mates(failed: set[str], doable: Iterable[Interface]) -> set[str]:
    """Add who shares a slot or a name with a failed one, and so on: they go back together.

    Who leaves a slot and who takes it are such, and who has taken the name that a failed one had before.
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


def _comes_yet(left: Interface) -> bool:
    """Return whether waiting may make a difference to an interface of the plan that is left.

    An address is not there for good before the kernel has asked the network whether it is someone
    else's (DAD); without a carrier it does not ask, and nothing is to be waited for.
    """
    if _taken(left):
        return False
    link = left.link if left.link is not None and left.link.carrier else None
    if link is not None and left.reason == "no-lease":
        return True
    return left.pending or any(found.tentative for found in _wanted_on(link, left))


def _taken(left: Interface) -> str:
    """Return an address of which the kernel found that someone else has it."""
    return next((str(found.address) for found in _wanted_on(left.link, left) if found.dadfailed), "")


def _wanted_on(link: ObservedLink | None, interface: Interface) -> list[ObservedAddress]:
    wanted = interface.desired.addresses if interface.desired else ()
    return [found for found in link.addresses if found.address in wanted] if link else []


def _put_back(site: Site, saved: Sequence[Saved]) -> bool:
    """Restore; an error in here is told and the first error stays the one that is reported."""
    if not saved:
        return True
    try:
        with Links(site.host) as links:  # of its own: another may have been interrupted in mid-request
            checkpoint.restore(
                site.host,
                links,
                saved,
                reload=lambda names: site.backend.reload(site.host, names),
                observe=surroundings,
            )
    except HostError as e:
        site.log.error(f"could not put everything back: {e}", hint=e.hint)
        return False
    return True


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
        return Result(interface, State.DELETE, interface.reason, _removed(interface))
    if left is not None and left.state is not State.UNCHANGED:  # unplugged meanwhile, say
        return Result(interface, left.state, left.reason, left.message)
    return Result(interface, State.CONVERGED, interface.reason, _done(interface))


def _undone(result: Result) -> Result:
    """Return the result of an interface that is put back, also one that had converged itself."""
    if result.state is State.FAILED:
        return result
    words = "put back as it was, for an interface failed with which it shares a slot or a name"
    return replace(result, state=State.FAILED, reason="slot-shared", message=words)


def _failed(interface: Interface, reason: str, message: str) -> Result:
    return Result(interface, State.FAILED, reason, message)


def _removed(interface: Interface) -> str:
    link = f"the link is {interface.target_name} again" if interface.link else "its link is not plugged in"
    return f"{interface.message}; {link}"


def _done(interface: Interface) -> str:
    parts = [*map(str, interface.changes), *(f"{change.action} {change.path}" for change in interface.files)]
    return "; ".join(parts)
