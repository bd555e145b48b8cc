"""A pass that has something to do or to find out: plan, apply, verify, report."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import Any

from multinic import __version__
from multinic.change.apply import apply
from multinic.change.outcome import as_planned
from multinic.change.saving import ApplyContext
from multinic.database import source
from multinic.database.session import Session
from multinic.database.statement import Answer
from multinic.decide import remembering
from multinic.decide.restraint import Allowed
from multinic.flow import converged, looked
from multinic.flow.freshness import remember, remember_report
from multinic.flow.view import View, desired_by, identity_of, look, look_without_database
from multinic.host.config import node_name
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.kernel.reach import Database, apart
from multinic.report import database as rows_report
from multinic.report import statefile, tables
from multinic.report.events import record
from multinic.report.log import (
    log_decisions,
    log_error,
    log_outage,
    log_report_error,
    log_tables_error,
)
from multinic.report.report import Report, deliver, with_asked
from multinic.state.record import save_record
from multinic.state.statefile import load_state
from multinic.values.desired import Desired
from multinic.values.errors import (
    Exit,
    HostError,
    MultinicError,
    Refused,
    SourceBusy,
    SourceError,
    SourceRejected,
)
from multinic.values.plan import Result, State
from multinic.values.record import Record
from multinic.values.settings import Settings


def run(
    settings: Settings,
    host: Host,
    log: Log,
    database: Session,
    answer: Answer,
    *,
    confirm: Callable[[View], bool] | None = None,
    allowed: Allowed | None = None,
) -> Report:
    """Plan from what the database answered, carry the plan out, and report to host and database."""
    view = look(settings, host, database, answer, unattended=confirm is None, allowed=allowed)
    log.node = view.desired.node
    if confirm is not None and not confirm(view):
        raise Refused("not confirmed; the plan was not carried out")
    remember(settings, host, database, view.answer)
    before = load_state(host)
    log_outage(host, log, "")
    statefile.end_outage(host)
    targets = {interface.link.index for interface in view.plan.pending if interface.link}
    results = carry_out(view, log, reachable(settings, database.address))
    # The result may need a new connection, with another host: none is made on a way of our own making.
    database.allowed = partial(apart, targets)
    reporters = (
        partial(log_decisions, host, log),
        partial(_report_rows, view, database),
        partial(log_report_error, host, log),
    )
    report = deliver(_report(view, results), reporters)
    written = not report.report_error
    converged.remember(view, report, written=written, shape=database.shape)
    report = _tell(settings, database, host, log, report, before)
    _finish(host, log, report)
    if log.level == "debug":
        looked.full(log, view, report, database.where)
    return with_asked(report, database.take_asked())


def _report_rows(view: View, database: Session, report: Report) -> None:
    again = None if view.plan.empty else partial(_read_again, view.settings, database)
    written = rows_report.write(database, view.desired, report, again, view.answer)
    remember_report(view.host, database, written)


def _tell(
    settings: Settings, database: Session, host: Host, log: Log, report: Report, before: Mapping[str, Any]
) -> Report:
    """Add to the history, and write to our own tables; return the report with what is wrong with these."""
    events = record(host, log, report, before)
    if report.report_error and report.database_exit is Exit.RETRY:
        return report  # it has just said that it takes nothing; a later pass writes all of it
    try:
        tables.tell(database, settings.database, host, report, events)
    except SourceError as e:
        report = replace(report, tables_error=str(e), tables_hint=e.hint)
    log_tables_error(host, log, report)
    return report


def _read_again(settings: Settings, database: Session) -> Desired:
    return desired_by(settings, database, database.ask_again(node_name(settings)))


def repair(
    settings: Settings, host: Host, log: Log, error: SourceError, database: Session | None = None
) -> Report:
    """Without a database: put right what differs from the last known good state, remove nothing.

    `error` is logged unless the last pass met the same. It is also written to `database`, if there is one.
    """
    before = load_state(host)
    log_outage(host, log, str(error), error.hint)
    error.logged = True
    statefile.write_outage(host, node_name(settings), str(error), error.exit, from_memory=True)
    view = look_without_database(settings, host)
    log.node = view.desired.node
    results = carry_out(view, log, None)
    converged.forget(host)  # the next pass with a database shall log that it is back
    report = replace(_report(view, results, str(error)), database_exit=error.exit)
    log_decisions(host, log, report)
    events = record(host, log, report, before)
    if database is not None:
        with suppress(MultinicError):
            node = node_name(settings)
            tables.tell_error(database, settings.database, host, node, error, events)
    _finish(host, log, report)
    return replace(report, asked=error.asked)


def _finish(host: Host, log: Log, report: Report) -> None:
    """Write the state document, last of all: until then the pass is not finished."""
    log_error(host, log, "")
    statefile.write(host, report)


def _report(view: View, results: tuple[Result, ...], database_error: str = "") -> Report:
    return Report(
        __version__,
        view.desired.node,
        view.backend.name,
        time.time(),
        results,
        database_error,
        given_back=tuple(loss.kind for loss in view.given_back),
    )


def answers(settings: Settings, allowed: Callable[[str], bool]) -> bool:
    """Return whether the network lets us reach the database; what it answers does not matter."""
    try:
        source.connect(settings.database, allowed).close()
    except (SourceBusy, SourceRejected):
        return True
    except MultinicError:
        return False
    return True


def reachable(settings: Settings, address: str) -> Database | None:
    """Return the database for the question whether a change cuts it off; None if no network leads to it."""
    return Database(ip_address(address), partial(answers, settings)) if address else None


def carry_out(view: View, log: Log, database: Database | None) -> tuple[Result, ...]:
    """Carry a plan out and remember what came of it; `database` must be reached as before."""
    plan, past, rendered = view.plan, view.past, view.rendering.used
    if view.lost:
        words = f"this cannot be read of the record, and is made anew: {'; '.join(view.lost)}"
        log.warning(words, hint="a name or an MTU from before multinic may be lost with it")
    if plan.empty:
        results = tuple(map(as_planned, plan.interfaces))
    else:
        # Names and MTUs before us are remembered before they change, whatever happens then.
        _remember(view, remembering.before_changes(view.record, plan, past, rendered))
        asked = view.settings.probe_addresses
        context = ApplyContext(
            *(view.host, view.backend, view.replan, view.settings.verify_timeout),
            *(database, log, asked, view.given_back),
        )
        results = _applied(view, context)
    record = _after(view, results)
    if not past.from_memory:
        record = remembering.with_identity(record, plan, identity_of(view.settings))
    _remember(view, record)
    return results


def _applied(view: View, context: ApplyContext) -> tuple[Result, ...]:
    """Carry the plan of a view out. What fails by a fault of ours is not attempted on every pass either."""
    try:
        return apply(context, view.plan)
    except MultinicError:
        raise
    except Exception as e:
        words = f"unexpected error: {type(e).__name__}: {e}"
        failed = [Result(i, State.FAILED, "unexpected-error", words, i.link) for i in view.plan.pending]
        with suppress(HostError):  # the first error is the one that is reported
            _remember(view, _after(view, failed))
        raise


def _after(view: View, results: Iterable[Result]) -> Record:
    return remembering.after_pass(
        view.record,
        view.plan,
        view.past,
        view.rendering.used,
        results,
        now=time.time(),
        chance=random.random,
    )


def _remember(view: View, record: Record) -> None:
    if record != view.record or view.lost:
        save_record(view.host, record)
    view.record, view.lost = record, []
