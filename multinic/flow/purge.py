"""Take everything managed off this host, and give the links their old names back: `multinic purge`.

It is a pass like any other, with a database that asks for nothing: inside a checkpoint, verified, and
what fails is restored. The files say which backend made them; if several did, each has its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

from multinic import __version__
from multinic.backend import choice
from multinic.backend.base import Backend
from multinic.backend.without_service import WithoutService
from multinic.change.recovery import recover
from multinic.database import source
from multinic.database.session import Session
from multinic.flow import converged, full
from multinic.flow.view import View, desired_by, look_for_nothing
from multinic.host.config import node_name
from multinic.host.host import Host
from multinic.host.lock import only_one
from multinic.host.log import Log
from multinic.host.scratch import tidy
from multinic.host.textfile import withdraw
from multinic.report import database as database_report
from multinic.report import tables
from multinic.report.events import record
from multinic.report.log import log_decisions
from multinic.report.report import Report
from multinic.values.errors import ConfigError, Exit, HostError, MultinicError, Refused, SourceError
from multinic.values.paths import (
    COUNTS,
    DETAILS,
    HISTORY,
    HOLDS,
    LAST_CHECKPOINT,
    LOCK,
    OUR_DIRECTORIES,
    RECORD,
    SEEN,
    STATE,
    TOLD,
)
from multinic.values.plan import Plan, Result, State
from multinic.values.settings import Settings


def plans(settings: Settings, host: Host, log: Log) -> list[Plan]:
    """Return what a purge would change, a plan for each backend. Nothing is changed. Raises HostError."""
    with _database(settings, log) as database:
        address = database.address if database else ""
        return _plans(settings, host, _backends(settings, host), address)


def _plans(settings: Settings, host: Host, chosen: Sequence[Backend], address: str) -> list[Plan]:
    found = [_look(settings, host, one, address).plan for one in chosen]
    return [found[0], *map(_files_alone, found[1:])]


def purge(settings: Settings, host: Host, log: Log, *, confirm: Callable[[list[Plan]], bool]) -> Report:
    """Remove all that is managed; `confirm` may look at the plans first and say no.

    Needs no database; where one answers, the link on the way there stays. Raises Locked, Refused, HostError.
    """
    with only_one(host), _database(settings, log) as database:
        recover(host, log)
        address = database.address if database else ""
        chosen = _backends(settings, host)
        if not confirm(_plans(settings, host, chosen, address)):
            raise Refused("not confirmed; nothing was removed")
        results: dict[str, Result] = {}
        for one in chosen:  # what the first has freed is nothing to the next any more
            view = _look(settings, host, one, address)
            found = full.carry_out(view, log, full.reachable(settings, address))
            report = Report(__version__, view.desired.node, one.name, time.time(), found)
            log_decisions(host, log, report)
            results |= {result.interface.key: result for result in found}
        purged = Report(__version__, node_name(settings), "", time.time(), tuple(results.values()))
        converged.forget(host)
        if purged.exit is Exit.OK:
            _withdraw_metrics(settings, host, log)
            if database is not None:
                _report(settings, host, database, log, purged)
            _forget(host)
        return purged


def _files_alone(plan: Plan) -> Plan:
    """Return what a later backend adds to the plan of the first, which frees the links."""
    with_files = (replace(interface, changes=()) for interface in plan.interfaces if interface.files)
    return replace(plan, interfaces=tuple(with_files))


def _backends(settings: Settings, host: Host) -> list[Backend]:
    """Return the backends that have files here; where none has, the one that is used here."""
    found = [one for one, _ in choice.with_files(host)]
    if not found:
        try:
            found = [choice.choose(settings.backend, host)[0]]
        except ConfigError:
            found = [choice.named(settings.backend)]
    return [WithoutService(one) if one.unusable(host) else one for one in found]


def _look(settings: Settings, host: Host, chosen: Backend, address: str) -> View:
    view = look_for_nothing(settings, host, chosen, ip_address(address) if address else None)
    words = "all that is managed goes off this host"
    purged = (
        replace(interface, reason="purge", message=words) if interface.state is State.DELETE else interface
        for interface in view.plan.interfaces
    )
    view.plan = replace(view.plan, interfaces=tuple(purged))
    return view


@contextmanager
def _database(settings: Settings, log: Log) -> Iterator[Session | None]:
    """Yield the database, None where there is none that answers."""
    try:
        database = source.connect(settings.database)
    except (SourceError, ConfigError) as e:
        log.warning(f"without a database: {e}")
        yield None
        return
    with database:
        yield database


def _forget(host: Host) -> None:
    """Remove what is remembered. The lock stays, which is held; it is gone after the next boot."""
    for path in (STATE, DETAILS, TOLD, LAST_CHECKPOINT, SEEN, RECORD, HISTORY, HOLDS, COUNTS):
        host.remove(path)
    for directory in OUR_DIRECTORIES:
        tidy(host, directory)
        if directory not in LOCK:
            host.remove_directory(directory)


def _withdraw_metrics(settings: Settings, host: Host, log: Log) -> None:
    if settings.metrics_textfile:
        try:
            withdraw(host, settings.metrics_textfile)
        except HostError as e:  # a directory of another program is no reason for a purge to fail
            log.warning(f"metrics: {e}", hint=e.hint)


def _report(settings: Settings, host: Host, database: Session, log: Log, purged: Report) -> None:
    """Tell the database that none of this node's rows is carried out any more."""
    try:
        desired = desired_by(settings, database, database.ask(node_name(settings)))
        report = Report(__version__, desired.node, "", time.time(), ())
        database_report.write(database, desired, report)
        purged = replace(purged, node=desired.node)
        tables.withdraw(database, settings.database, host, purged, record(host, log, purged, {}))
    except MultinicError as e:
        log.warning(f"the result could not be written to the database: {e}", hint=e.hint)
