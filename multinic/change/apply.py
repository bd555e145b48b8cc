"""Carry out a plan: check candidate files, save, write, activate once, verify by a new plan, restore."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache, partial

from multinic.backend.base import Staged
from multinic.backend.steps import remove_stale
from multinic.change import duplicates, harm
from multinic.change.keeping import Kept
from multinic.change.looking import Looks
from multinic.change.outcome import (
    as_planned,
    desired_addresses_on,
    duplicate_address,
    failure,
    outcome_of,
    undone,
    with_loss,
)
from multinic.change.restore import remaining
from multinic.change.saving import ApplyContext, Before, all_or_nothing, restore_saved
from multinic.change.slot_mates import with_slot_mates
from multinic.decide.contradictions import IPV6_MTU_MIN
from multinic.host.host import Host
from multinic.kernel import observe, reach
from multinic.kernel.deletions import Deletions
from multinic.kernel.faults import Faults
from multinic.kernel.links import Links
from multinic.kernel.set_properties import set_changed
from multinic.values.errors import HostError
from multinic.values.plan import Interface, Plan, Result, State

_ALL_RESTORED = "everything was restored"


def apply(context: ApplyContext, plan: Plan) -> tuple[Result, ...]:
    """Carry out `plan` and return a result for each of its interfaces.

    An interface that does not converge is restored as it was. Raises HostError if the change could not
    be started.
    """
    results = {i.key: as_planned(i) for i in plan.interfaces if not i.pending}
    stage, asking = cache(partial(context.backend.stage, context.host, plan.pending)), plan.pending
    if any(interface.link and not interface.link.up for interface in asking):
        # It is set up to ask by it, which changes something: so its files are tried out first. Else that is
        # done in the 0.2 s that others have to answer.
        _, asking = _not_refused(context, asking, stage(), results)
    claimed = _duplicates(context, asking, stage) if context.probe_addresses else {}
    staged, doable = _not_refused(context, plan.pending, stage(), results)
    if claimed:
        results |= claimed
        rest = [interface for interface in doable if interface.key not in claimed]
        staged, doable = _not_refused(context, rest, context.backend.stage(context.host, rest), results)
    if doable:
        results |= {result.interface.key: result for result in _carry_out(context, doable, staged)}
    return tuple(results[interface.key] for interface in plan.interfaces)


def _not_refused(
    context: ApplyContext, interfaces: Sequence[Interface], staged: Staged, results: dict[str, Result]
) -> tuple[Staged, tuple[Interface, ...]]:
    """Return the outcome of a trial, and the interfaces that it does not refuse. The others get results."""
    for interface in interfaces:
        if words := staged.refused.get(interface.key):
            why = f"{context.backend.name} refuses its file: {words}"
            if interface.state is State.DELETE:
                why = f"{context.backend.name} cannot do without its file: {words}"
            results[interface.key] = failure(interface, "refused-by-backend", why)
    return staged, tuple(interface for interface in interfaces if interface.key not in staged.refused)


def _duplicates(
    context: ApplyContext, pending: tuple[Interface, ...], stage: Callable[[], Staged]
) -> dict[str, Result]:
    """Return the results of interfaces that are not touched, as another machine has their address.

    Of those whose files are not refused; `stage` is called while other machines may answer.
    """
    claimed = duplicates.claimed(context, pending, stage)
    if claimed:
        refused = stage().refused
        claimed = {key: words for key, words in claimed.items() if key not in refused}
        pending = tuple(interface for interface in pending if interface.key not in refused)
    held_back = with_slot_mates(set(claimed), pending) if claimed else set()
    return {
        i.key: failure(i, "duplicate-address", f"{claimed[i.key]}; nothing was changed")
        if i.key in claimed
        else failure(i, "slot-shared", "not changed, because an interface that shares a slot or a name waits")
        for i in pending
        if i.key in held_back
    }


def _carry_out(context: ApplyContext, doable: tuple[Interface, ...], staged: Staged) -> list[Result]:
    with Deletions() as deletions:
        return _carry_out_watched(context, doable, staged, deletions)


def _carry_out_watched(
    context: ApplyContext, doable: tuple[Interface, ...], staged: Staged, deletions: Deletions
) -> list[Result]:
    withdrawn = partial(deletions.by_others, partial(context.backend.may_own, context.host))
    around = observe.surroundings()
    targets = {interface.link.index for interface in doable if interface.link}
    reached = reach.probe(around, targets, context.database)
    saving = all_or_nothing(context, doable, around, staged, withdrawn=withdrawn)
    with saving as before, Links(context.host) as links:
        kept = Kept(links, context.log, doable, around, withdrawn, context.given_back)
        faults = _make_changes(context, links, doable, staged)
        after = _verify(context, links, doable, faults, kept)
        lost = kept.hopeless()
        bad = {i.key for i in doable if i.key in lost or _unfinished(i, after) or (faults.of_all and i.files)}
        failed = with_slot_mates(bad, doable)
        results = [
            outcome_of(i, after.get(i.key), faults, context.timeout, unread=faults.of_all) for i in doable
        ]
        results = _with_duplicates(context, results, after)
        results = [with_loss(r, lost.get(r.interface.key, "")) for r in results]
        if failed:
            left = _restored(context, before, failed)
            results = [undone(r, left) if r.interface.key in failed else r for r in results]
        if objection := harm.reason_to_undo(links, context.log, before.others, reached, context.given_back):
            left = _restored(context, before)
            reason, words = objection
            end = f"not everything was restored: {'; '.join(left.values())}" if left else _ALL_RESTORED
            results = [replace(failure(i, reason, f"{words}; {end}"), restored=True) for i in doable]
    return _with_links_now(results)


def _restored(context: ApplyContext, before: Before, keys: Collection[str] | None = None) -> dict[str, str]:
    """Restore interfaces (`keys` None: all); return what of that failed: key → words.

    That is in what they still differ from before; and where they do not, what went wrong all the same: a
    network service that was not told may still do what was taken back.
    """
    problem = restore_saved(context, before, keys)
    saved = [i for i in before.interfaces if keys is None or i.key in keys]
    failed = dict.fromkeys((i.key for i in saved), f"restored, but not without an error: {problem}")
    left = remaining(context.host, saved, observe.surroundings())
    return failed | left if problem else left


def _make_changes(
    context: ApplyContext, links: Links, interfaces: tuple[Interface, ...], staged: Staged
) -> Faults:
    """Write all files and activate them; return the errors instead of raising them.

    Other interfaces may converge in spite of an error: only those that do not are restored.
    """
    faults = Faults()
    for interface in interfaces:
        with faults.of(interface):
            _write_files(context.host, interface)
        with faults.of(interface):
            remove_stale(links, interface)  # before another link gets the same route: the kernel has it once
            _reset_address_mode(context.host, links, interface)
    try:
        context.backend.activate(context.host, links, interfaces, staged, faults)
        for interface in interfaces:
            if interface.link is not None and interface.key not in faults:
                with faults.of(interface):
                    remove_stale(links, interface)  # services leave routes and rules that their files lost
                    set_changed(context.host, links, interface.link, interface.target_name, interface.changes)
    except HostError as e:
        faults.of_all = e
        for interface in interfaces:
            faults.setdefault(interface.key, e)
    return faults


def _write_files(host: Host, interface: Interface) -> None:
    for change in interface.files:
        if change.new is None:
            host.remove(change.path)
        else:
            host.write(change.path, change.new, change.mode)


def _reset_address_mode(host: Host, links: Links, interface: Interface) -> None:
    """Set addr_gen_mode of a link that is freed back while it is up, so that no link-local address stays.

    With the old mode the kernel may make one at once; it removes it when the link is set down.
    """
    if interface.link is not None and interface.state is State.DELETE:
        early = [change for change in interface.changes if change.field == "addr_gen_mode"]
        set_changed(host, links, interface.link, interface.link.name, early)


def _with_links_now(results: list[Result]) -> list[Result]:
    """Return the results, with the links of failed interfaces as they are now, after they were restored."""
    if not any(result.state is State.FAILED for result in results):
        return results
    now = {link.index: link for link in observe.links()}
    return [
        replace(r, link=now.get(r.interface.link.index))
        if r.state is State.FAILED and r.interface.link
        else r
        for r in results
    ]


def _verify(
    context: ApplyContext, links: Links, doable: tuple[Interface, ...], faults: Faults, kept: Kept
) -> Plan:
    """Plan again until no interface may still converge by waiting; return the last plan."""
    end = time.monotonic() + context.timeout
    with Looks(doable) as looks:
        while True:
            looks.begin()
            kept.give_back(early=True)
            plan = context.replan()
            _tune_again(context.host, links, doable, plan, faults)
            lefts = [(before, plan.get(before.key)) for before in doable if before.key not in faults]
            waiting = any(left and _may_still_converge(before, left) for before, left in lefts)
            if time.monotonic() >= end or not waiting:
                return plan
            looks.wait(end)


def _tune_again(host: Host, links: Links, doable: tuple[Interface, ...], plan: Plan, faults: Faults) -> None:
    """Set the properties of links once more to which IPv6 has come back, as their MTU allows it again.

    It comes back with the kernel's defaults, whatever was set before.
    """
    for interface in doable:
        left = plan.get(interface.key)
        if interface.link is None or left is None or left.link is None:
            continue
        if interface.link.mtu < IPV6_MTU_MIN <= left.link.mtu and interface.key not in faults:
            with faults.of(interface):
                set_changed(host, links, left.link, left.link.name, left.changes)


def _unfinished(interface: Interface, plan: Plan) -> bool:
    """Return whether `plan`, made after the change, still has something to do for `interface`."""
    left = plan.get(interface.key)
    return left is not None and left.pending


def _may_still_converge(before: Interface, left: Interface) -> bool:
    """Return whether an interface of the plan after the change may still converge by waiting.

    The kernel first asks the network whether another machine has an address (DAD). Without a carrier it
    does not ask, so there is nothing to wait for. The carrier itself takes a card seconds after it was set
    up; if the link was up before the change without one, it is not about to come.
    """
    if duplicate_address(left):
        return False
    if left.reason == "no-carrier":
        return not (before.link and before.link.up and not before.link.carrier)
    link = left.link if left.link is not None and left.link.carrier else None
    if link is not None and left.reason == "no-lease":
        return True
    return left.pending or any(found.tentative for found in desired_addresses_on(link, left))


def _with_duplicates(context: ApplyContext, results: list[Result], after: Plan) -> list[Result]:
    """Return the results; those whose service left an address of another machine out say so."""
    unfinished = [after.get(r.interface.key) for r in results if r.reason == "not-converged"]
    found = duplicates.refused(context, [left for left in unfinished if left is not None])
    return [
        failure(r.interface, "duplicate-address", found[r.interface.key]) if r.interface.key in found else r
        for r in results
    ]
