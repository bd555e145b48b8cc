"""Take everything managed off this host, and give the links their old names back: `multinic purge`.

It is a pass like any other, with a database that asks for nothing: inside a checkpoint, verified, and
what does not succeed is put back. Which backend made what is told by the files; several are taken
one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, cast

from multinic import __version__, converged, full, source
from multinic import backend as backends
from multinic.apply import Result
from multinic.backend import Backend, Staged, netlink, netplan
from multinic.backend.detect import NETWORKD, UDEV, running
from multinic.backend.generator import runtime_paths
from multinic.config import node_name
from multinic.configure import reload_udev
from multinic.errors import ConfigError, Exit, MultinicError, Refused, SourceError
from multinic.host import Host
from multinic.links import Faults, Links
from multinic.lock import only_one
from multinic.log import Log
from multinic.paths import LAST_CHECKPOINT, LOCK, OWN, RECORD, STATE
from multinic.plan import Interface, Plan, State
from multinic.recovery import recover
from multinic.report import Report, statefile
from multinic.report import database as database_report
from multinic.settings import Settings
from multinic.source import rows
from multinic.source.database import Database
from multinic.view import View, look_for_nothing


@dataclass(frozen=True)
class Purged:
    """What a purge came to."""

    node: str
    results: tuple[Result, ...]

    @property
    def exit(self) -> Exit:
        """The exit status: 4 where something failed, 5 where a safety rule said no."""
        states = {result.state for result in self.results}
        if State.FAILED in states:
            return Exit.PARTIAL
        return Exit.REFUSED if State.BLOCKED in states else Exit.OK


def purge(settings: Settings, host: Host, log: Log, *, confirm: Callable[[list[Plan]], bool]) -> Purged:
    """Remove all that is managed; `confirm` may look at the plans first and say no.

    Needs no database; where one answers, the link on the way there stays. Raises Locked, Refused, HostError.
    """
    with only_one(host), _database(settings, log) as database:
        recover(host, log)
        address = database.address if database else ""
        chosen = _backends(settings, host)
        plans = [_look(settings, host, one, address).plan for one in chosen]
        if not confirm([plans[0], *map(_files_alone, plans[1:])]):
            raise Refused("not confirmed; nothing was changed")
        results: dict[str, Result] = {}
        for one in chosen:  # what the first has freed is nothing to the next any more
            view = _look(settings, host, one, address)
            found = full.carry_out(view, log, (lambda: full.answers(settings)) if address else None)
            report = Report(__version__, view.desired.node, one.NAME, time.time(), found)
            statefile.tell(host, report, log)
            results |= {result.interface.key: result for result in found}
        purged = Purged(node_name(settings), tuple(results.values()))
        converged.forget(host)
        if purged.exit is Exit.OK:
            _forget(host)
            if database is not None:
                _report(settings, database, log)
        return purged


def document(purged: Purged) -> dict[str, Any]:
    """Return what a purge came to as a JSON document."""
    return {
        "version": 1,
        "node": purged.node,
        "interfaces": [
            {
                "name": result.interface.name,
                "mac": result.interface.mac_text,
                "state": str(result.state),
                "reason": result.reason,
                "message": result.message,
            }
            for result in purged.results
        ],
        "exit": int(purged.exit),
    }


def _files_alone(plan: Plan) -> Plan:
    """Return what a later backend adds to the plan of the first, which frees the links."""
    with_files = (replace(interface, changes=()) for interface in plan.interfaces if interface.files)
    return replace(plan, interfaces=tuple(with_files))


def _backends(settings: Settings, host: Host) -> list[Backend]:
    """Return the backends that have files here; where none has, the one that is used here."""
    found = [one for one, _ in backends.with_files(host)]
    if not found:
        try:
            found = [backends.choose(settings.backend, host)[0]]
        except ConfigError:
            found = [backends.named(settings.backend)]
    return [cast(Backend, _WithoutService(one)) if one.unusable(host) else one for one in found]


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
def _database(settings: Settings, log: Log) -> Iterator[Database | None]:
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
    for path in (STATE, LAST_CHECKPOINT, RECORD):
        host.remove(path)
    for directory in OWN:
        host.tidy(directory)
        if directory not in LOCK:
            host.remove_directory(directory)


def _report(settings: Settings, database: Database, log: Log) -> None:
    """Tell the database that none of this node's rows is carried out any more."""
    try:
        with source.deadline(settings.database):
            answer = database.ask(node_name(settings))
            desired = rows.desired(
                node_name(settings),
                answer,
                ignore_deleted_at=settings.database.ignore_deleted_at,
                database=database.address,
            )
            report = Report(__version__, desired.node, "", time.time(), ())
            database_report.write(database, desired, report)
    except MultinicError as e:
        log.warning(f"the result could not be written to the database: {e}", hint=e.hint)


class _WithoutService:
    """A backend whose service does not run or is not installed any more: netlink frees the links."""

    def __init__(self, known: Backend) -> None:
        self._known = known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name)

    def foreign(self, host: Host) -> Sequence[str]:  # noqa: ARG002
        """Return nothing: nobody reads them."""
        return ()

    def stage(self, host: Host, interfaces: Sequence[Interface]) -> Staged:
        """Return what a generator made of our files: it goes, too."""
        if self._known.NAME != netplan.NAME:
            return Staged()
        made = [path for i in interfaces for path in runtime_paths(i.name) if host.present(path)]
        return Staged(dict.fromkeys(made))

    def activate(
        self, host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
    ) -> None:
        """Remove what was made of our files, then free the links."""
        for path, file in sorted(staged.runtime.items()):
            host.restore(path, file)
        if running(host, UDEV):  # a link that is renamed would get the settings of its removed file again
            reload_udev(host)
        self.reload(host, ())
        netlink.activate(host, links, interfaces, Staged(), faults)

    def reload(self, host: Host, names: Sequence[str]) -> None:  # noqa: ARG002
        """Have networkd read what is there now, where it runs."""
        if running(host, NETWORKD):
            host.run("networkctl", "reload")
