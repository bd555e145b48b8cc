"""Restore what a checkpoint on disk has: after an interrupted change, or because an operator asks for it."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from multinic.backend import choice
from multinic.change.restore import restore
from multinic.decide.others import brought_forward
from multinic.decide.witness import without
from multinic.host.ending import uninterrupted
from multinic.host.host import Host
from multinic.host.lock import only_one
from multinic.host.log import Log
from multinic.host.scratch import tidy
from multinic.kernel.links import Links
from multinic.kernel.namespace import check_namespace
from multinic.kernel.observe import surroundings
from multinic.state import checkpoint, history
from multinic.state.checkpoint import Checkpoint, Saved
from multinic.state.holds import load_holds
from multinic.state.record import load_record, save_record
from multinic.values.errors import HostError, MultinicError, Refused
from multinic.values.history import Event, Kind
from multinic.values.hold import damaged_words
from multinic.values.paths import CHECKPOINT, LAST_CHECKPOINT, OUR_DIRECTORIES
from multinic.values.plan import Interface, State


def recover(host: Host, log: Log) -> int:
    """Restore what an interrupted run left half done, and return how many interfaces that were.

    A failure is logged, and not tried again on every pass: the next plan starts from how the host is, and
    the checkpoint is kept for `multinic rollback`. Raises HostError if it cannot be kept.
    """
    try:
        return _recover(host, log) or 0
    except MultinicError as e:
        if not e.logged:
            raise
        return 0


def rollback(host: Host, log: Log, *, interrupted_only: bool = False) -> bool:
    """Undo an interrupted change, else the last finished one; return whether there was any.

    `interrupted_only`: leave a finished change alone. Raises Locked, HostError, and ConfigError for a backend
    that this version does not have; Refused if something of a finished change is held.
    """
    with only_one(host):
        if _recover(host, log) is not None:
            return True
        with uninterrupted():
            saved = None if interrupted_only else checkpoint.load(host, LAST_CHECKPOINT)
            if saved is None:
                return False
            _refuse_held(host, saved)
            log.warning("the last change is undone", reason="rollback")
            checkpoint.reopen(host)
            try:
                _restore(host, _with_others_of_now(host, saved))
            except MultinicError:
                checkpoint.commit(host)
                raise
            checkpoint.discard(host)
            _note(host, log, saved, "rollback", "the last change was undone because a person asked for it")
            return True


def to_undo(host: Host, *, interrupted_only: bool = False) -> Checkpoint | None:
    """Return what `rollback` would restore; None if there is nothing. Raises HostError."""
    if found := checkpoint.load(host, CHECKPOINT):
        return found
    found = None if interrupted_only else checkpoint.load(host, LAST_CHECKPOINT)
    if found:
        _refuse_held(host, found)
    return _with_others_of_now(host, found) if found else None


def _refuse_held(host: Host, saved: Checkpoint) -> None:
    """Refuse to undo a finished change of what a person holds since. Raises Refused and HostError."""
    holds, now = load_holds(host), time.time()
    if words := damaged_words(holds, now):
        raise Refused(f"the last change is not undone: {words}")
    held = holds.words(now)
    for interface in saved.interfaces:
        link = interface.link
        macs = (interface.mac, (link.permanent_mac or link.mac) if link else None)
        if words := next((held[mac] for mac in macs if mac is not None and mac in held), ""):
            said = f"the last change was of {interface.name}, too, which is {words}; nothing was undone"
            raise Refused(said, f"release it first: `multinic release {interface.name}`")


def _recover(host: Host, log: Log) -> int | None:
    """Undo an interrupted change; return of how many interfaces it was, None if there was none.

    Logs its errors and raises them.
    """
    with uninterrupted():
        for directory in OUR_DIRECTORIES:
            tidy(host, directory)
        try:
            saved = checkpoint.load(host, CHECKPOINT)
            if saved is None:
                return None
            words = "a change was interrupted; its interfaces are restored as they were"
            log.warning(words, reason="recovered")
            _restore(host, saved)
        except MultinicError as e:
            log.error(f"could not restore everything: {e}", hint=e.hint)
            checkpoint.commit(host)
            e.logged = True
            raise
        except Exception as e:  # a fault of ours in here must not keep every later pass from its work
            words = f"could not restore everything: unexpected error: {type(e).__name__}: {e}"
            log.error(words, hint="this is a bug of multinic's; report it")
            checkpoint.commit(host)
            error = HostError(words)
            error.logged = True
            raise error from e
        checkpoint.discard(host)
        _note(host, log, saved, "recovered", "a change was interrupted: restored as it was")
        return len(saved.interfaces)


def _note(host: Host, log: Log, saved: Checkpoint, reason: str, message: str) -> None:
    """Add to the history that interfaces were restored. It is written last: what it says is done."""
    events = [
        Event(0, Kind.ROLLED_BACK, reason, message, interface.name, str(interface.mac or ""))
        for interface in saved.interfaces
    ]
    try:
        history.append(host, events, time.time())
    except HostError as e:
        log.warning(f"the history was not written: {e}", hint=e.hint)


def _restore(host: Host, saved: Checkpoint) -> None:
    # Usable or not: files and links can be restored before a network service runs, or after it was removed.
    chosen = choice.named(saved.backend)
    check_namespace(host)
    for directory in sorted({os.path.dirname(path) for i in saved.interfaces for path in i.files}):
        tidy(host, directory)
    before, targets = surroundings(), {i.link.index for i in saved.interfaces if i.link}
    before = replace(before, rules=tuple(dict.fromkeys([*before.rules, *saved.rules])))
    others = without(before, targets, {rule for i in saved.interfaces for rule in i.our_rules})
    with Links(host) as links:
        restore(
            host,
            links,
            saved.interfaces,
            lambda: others,
            reload=lambda names: chosen.reload(host, names),
            observe=surroundings,
        )
    _restore_entries(host, saved)


def _with_others_of_now(host: Host, saved: Checkpoint) -> Checkpoint:
    """Return the checkpoint of a finished change with what others have now: since then they have gone on."""
    entries, around = load_record(host).entries, surroundings()

    def brought(before: Saved) -> Saved:
        now = entries.get(before.mac) if before.mac else None
        wishes = [entry.applied for entry in (before.entry, now) if entry and entry.applied]
        leased = any(one.options.dhcp4 or one.options.dhcp6 or one.options.accept_ra for one in wishes)
        if before.link is None or before.entry is None or before.entry.applied is None or leased:
            return before  # not ours then, or a service gives the link addresses, which are not told apart
        interface = Interface(
            name=before.name,
            mac=before.mac,
            mac_text=str(before.mac),
            port_id=before.entry.port_id,
            row_id=None,
            state=State.UPDATE,
            reason="rollback",
            message="",
            link=before.link,
            desired=now.applied if now else None,
            entry=before.entry,
        )
        link, routes = brought_forward(interface, before.link, before.routes, around)
        return replace(before, link=link, routes=routes)

    return replace(saved, interfaces=tuple(map(brought, saved.interfaces)), rules=())


def _restore_entries(host: Host, saved: Checkpoint) -> None:
    """Restore the record entries of the interfaces in the checkpoint; keep all others."""
    record = load_record(host)
    changed = {interface.mac for interface in saved.interfaces}
    entries = {mac: entry for mac, entry in record.entries.items() if mac not in changed}
    entries |= {i.mac: i.entry for i in saved.interfaces if i.mac is not None and i.entry is not None}
    if entries != record.entries:
        save_record(host, replace(record, entries=entries))
