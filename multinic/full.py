"""A pass that has something to do or to find out: plan, apply, verify, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from multinic import __version__, converged, record
from multinic.apply import Result, apply
from multinic.config import Settings
from multinic.errors import Exit, Refused, SourceError
from multinic.host import Host
from multinic.log import Log
from multinic.model import Desired, Held, Mac
from multinic.naming import slot_of
from multinic.plan import Interface, State
from multinic.record import Memory
from multinic.report import Report, statefile
from multinic.report import database as database_report
from multinic.source.database import Answer, Database
from multinic.view import View, look


def run(
    settings: Settings,
    host: Host,
    log: Log,
    database: Database,
    answer: Answer,
    confirm: Callable[[View], bool] | None,
) -> Exit:
    """Plan from what the database answered, carry it out, and tell host and database."""
    view = look(settings, host, database, answer)
    log.node = view.desired.node
    if confirm is not None and not confirm(view):
        raise Refused("not confirmed; nothing was changed")
    results = _carry_out(view, log)
    report = Report(__version__, view.desired.node, view.backend.NAME, time.time(), results)
    statefile.tell(host, report, log)
    written = _report_to(database, view.desired, report, log)
    statefile.write(host, report)
    converged.remember(view, report, written=written, without_subnets=not database.subnets)
    return report.exit if written else Exit.RETRY


def _carry_out(view: View, log: Log) -> tuple[Result, ...]:
    if view.plan.empty:
        results = tuple(Result(i, i.state, i.reason, i.message) for i in view.plan.interfaces)
    else:
        # Names and MTUs before us are remembered before they change, whatever happens then.
        begun = _remembered(view, ())
        if begun != view.stored:
            record.save(view.host, begun)
            view.stored = view.memory = begun
        results = apply(
            view.host,
            view.backend,
            view.plan,
            view.observed,
            look=view.again,
            timeout=view.settings.verify_timeout,
            log=log,
        )
    done = _remembered(view, results)
    if done != view.stored:
        record.save(view.host, done)
        view.stored = view.memory = done
    return results


def _remembered(view: View, results: tuple[Result, ...]) -> Memory:
    """Return the memory after a pass; with no results yet, before it."""
    links: dict[Mac, Held] = {}
    states = {result.interface.key: result.state for result in results}
    for interface in view.plan.interfaces:
        if interface.mac is None or not interface.name:
            continue
        if interface.state is State.DELETE and states.get(interface.key) is State.DELETE:
            continue
        held = view.memory.links.get(interface.mac)
        slot = slot_of(interface.name)
        if interface.desired is None:
            if held is not None:
                links[interface.mac] = held
            continue
        if slot is not None:
            links[interface.mac] = _held(interface, held, slot, states.get(interface.key))
    names = {interface.name for interface in view.plan.interfaces if interface.desired is not None}
    rendered = {name: value for name, value in view.rendering.used.items() if name in names}
    return Memory(links, rendered, view.memory.without_subnets)


def _held(interface: Interface, held: Held | None, slot: int, state: State | None) -> Held:
    before = held or Held(slot)
    link = interface.link
    unknown = before.mtu_before is None and link is not None and slot_of(link.name) is None
    if link is not None and (interface.state is State.CREATE or unknown):
        before = replace(before, name_before=link.name, mtu_before=link.mtu)
    applied = before.applied
    if state in (State.CONVERGED, State.UNCHANGED):
        applied = interface.desired
    return replace(before, slot=slot, port_id=interface.port_id, applied=applied)


def _report_to(database: Database, desired: Desired, report: Report, log: Log) -> bool:
    try:
        database_report.write(database, desired, report)
    except SourceError as e:
        log.error(f"the result could not be written to the database: {e}", hint=e.hint)
        return False
    return True
