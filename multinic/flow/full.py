"""A pass that has something to do or to find out: plan, apply, verify, report."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from multinic import __version__, converged, harm, record, source
from multinic.apply import Result, Site, apply
from multinic.errors import Exit, MultinicError, Refused, SourceBusy, SourceError, SourceRejected
from multinic.fields import FIELDS
from multinic.host import Host
from multinic.log import Log
from multinic.model import Desired, Held, Mac
from multinic.naming import slot_of
from multinic.plan import Interface, State
from multinic.record import Memory
from multinic.report import Report, statefile
from multinic.report import database as database_report
from multinic.restraint import failed_again
from multinic.settings import Settings
from multinic.source.database import Answer, Database
from multinic.view import View, look, look_back


def run(
    settings: Settings,
    host: Host,
    log: Log,
    database: Database,
    answer: Answer,
    *,
    confirm: Callable[[View], bool] | None = None,
    allow_mass_delete: bool = False,
) -> Exit:
    """Plan from what the database answered, carry it out, and tell host and database."""
    view = look(
        settings, host, database, answer, unattended=confirm is None, allow_mass_delete=allow_mass_delete
    )
    log.node = view.desired.node
    if confirm is not None and not confirm(view):
        raise Refused("not confirmed; nothing was changed")
    statefile.tell_of_database(host, log, "")
    over_network = bool(database.address)
    results = carry_out(view, log, (lambda: answers(settings)) if over_network else None)
    report = Report(__version__, view.desired.node, view.backend.NAME, time.time(), results)
    statefile.tell(host, report, log)
    error = _report_to(settings, database, view.desired, report)
    statefile.tell_of_report(host, log, str(error or ""), error.hint if error else "")
    statefile.write(host, replace(report, report_error=str(error or "")))
    converged.remember(view, report, written=not error, without_subnets=not database.subnets)
    return Exit.RETRY if error else report.exit


def repair(settings: Settings, host: Host, log: Log, error: SourceError) -> None:
    """Without a database: put right what differs from the last known good state, remove nothing.

    `error` is told unless the last pass met the same.
    """
    view = look_back(settings, host)
    log.node = view.desired.node
    statefile.tell_of_database(host, log, str(error), error.hint)
    error.told = True
    results = carry_out(view, log, None)
    report = Report(__version__, view.desired.node, view.backend.NAME, time.time(), results, str(error))
    converged.forget(host)  # the next pass with a database shall say that it is back
    statefile.tell(host, report, log)
    statefile.write(host, report)


def answers(settings: Settings) -> bool:
    """Return whether the network lets us reach the database; what it answers does not matter."""
    try:
        source.connect(settings.database).close()
    except (SourceBusy, SourceRejected):
        return True
    except MultinicError:
        return False
    return True


def carry_out(view: View, log: Log, database: Callable[[], bool] | None) -> tuple[Result, ...]:
    """Carry a plan out and remember what came of it; `database` asks whether that can be reached."""
    if view.plan.empty:
        results = tuple(Result(i, i.state, i.reason, i.message) for i in view.plan.interfaces)
    else:
        # Names and MTUs before us are remembered before they change, whatever happens then.
        _remember(view, None)
        site = Site(view.host, view.backend, view.again, view.settings.verify_timeout, database, log)
        results = apply(site, view.plan)
    _remember(view, results)
    return results


def _remember(view: View, results: Sequence[Result] | None) -> None:
    """Save what is to be remembered after a pass; with results None, before it."""
    memory = _memory(view, {result.interface.key: result for result in results or ()})
    if results is not None:  # also a pass without a database ends the row of reads
        seen = view.past.mass_deletion + 1 if view.plan.mass_deletion else 0
        memory = replace(memory, mass_deletion=seen)
    if memory != view.stored:
        record.save(view.host, memory)
    view.stored = view.memory = memory


def _memory(view: View, results: dict[str, Result]) -> Memory:
    links: dict[Mac, Held] = dict(view.memory.links) if view.past.from_memory else {}
    for interface in view.plan.interfaces:
        if interface.mac is None or not interface.name:
            continue
        held, result = view.memory.links.get(interface.mac), results.get(interface.key)
        if interface.desired is not None:
            links[interface.mac] = _held(interface, held, result)
        elif held is not None and (result is None or result.state is not State.DELETE):
            failed = result is not None and result.state is State.FAILED
            links[interface.mac] = _with_failure(held, interface, result) if failed else held
    names = {interface.name for interface in view.plan.interfaces if interface.desired is not None}
    rendered = {name: value for name, value in view.rendering.used.items() if name in names}
    if view.past.from_memory:
        rendered = {**view.memory.rendered, **rendered}
    return replace(view.memory, links=links, rendered=rendered)


def _held(interface: Interface, held: Held | None, result: Result | None) -> Held:
    slot = slot_of(interface.name) or 0
    before = held or Held(slot)
    link = interface.link
    unknown = before.mtu_before is None and link is not None and slot_of(link.name) is None
    if link is not None and (interface.state is State.CREATE or unknown):
        before = replace(before, name_before=link.name, mtu_before=link.mtu, tuning_before=interface.noted)
    before = replace(before, slot=slot, port_id=interface.port_id)
    if interface.pending:
        first_set = {c.field: c.old for c in interface.changes if c.field in FIELDS}
        before = replace(before, tuning_before={**first_set, **before.tuning_before})
    configured = result is not None and (
        result.state in (State.CONVERGED, State.UNCHANGED) or result.reason == "no-lease"
    )
    if configured:
        set_back = {c.field for c in interface.changes if before.tuning_before.get(c.field) == c.new}
        left = {field: value for field, value in before.tuning_before.items() if field not in set_back}
        return replace(before, applied=interface.desired, failure=None, tuning_before=left)
    return _with_failure(before, interface, result)


def _with_failure(held: Held, interface: Interface, result: Result | None) -> Held:
    """Return `held` with one more failure, unless the failure is an old one that is being waited out."""
    if result is None or result.state is not State.FAILED or result.reason == "backing-off":
        return held
    chance = random.random()  # noqa: S311 - spreads load, guards nothing
    failure = failed_again(interface, result.message, now=time.time(), chance=chance)
    return replace(held, failure=replace(failure, suspect=result.reason in harm.REASONS))


def _report_to(
    settings: Settings, database: Database, desired: Desired, report: Report
) -> SourceError | None:
    """Tell the database of the outcome; return what it objects."""
    try:
        with source.deadline(settings.database):
            database_report.write(database, desired, report)
    except SourceError as e:
        return e
    return None
