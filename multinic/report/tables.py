"""The result of a pass in our own tables: written when it changes, and every five minutes as a sign of life.

What was told last is on the host (state/told.py), so a pass without news sends no statement for this.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from multinic import __version__
from multinic.database import source, status
from multinic.database.connection import Missing
from multinic.database.session import Session
from multinic.decide.brake import FLEET_BRAKE
from multinic.host.host import Host
from multinic.report.report import GOOD, Report
from multinic.report.statefile import lasting
from multinic.state import history, told
from multinic.state.told import Told
from multinic.values.errors import (
    ConfigError,
    Exit,
    HostError,
    MultinicError,
    Refused,
    SourceError,
    SourceRejected,
)
from multinic.values.history import Event
from multinic.values.hold import HELD
from multinic.values.observed import ObservedLink
from multinic.values.plan import Result, State
from multinic.values.rtnetlink import LINK_SCOPE
from multinic.values.settings import DatabaseSettings

BEAT = 285.0
"""Seconds: after these a sign of life is due. Full passes, which give it, are 300 s apart on a quiet host."""

_RESULTS = {Exit.OK: "ok", Exit.PARTIAL: "partial", Exit.REFUSED: "blocked"}
_CODES = ((ConfigError, "settings"), (Refused, "refused"), (HostError, "host"), (SourceError, "database"))

Values = Mapping[str, Any]


def of_report(report: Report, boot_id: str) -> tuple[Values, dict[str, Values]]:
    """Return what the tables shall say after a pass: of the node, and of each interface by its key."""
    lasts = [result for result in report.results if result.state is not State.DELETE]
    counts = Counter(str(lasting(result.state)) for result in lasts)
    words = ("converged", "waiting", "blocked", "invalid", "failed")
    exit_status = report.database_exit if report.report_error else report.exit
    node = {
        "version": report.version,
        "backend": report.backend,
        "boot_id": boot_id,
        "last_result": _RESULTS.get(exit_status, "error"),
        "exit_status": int(exit_status),
        "interfaces": len(lasts),
        **{word: counts[word] for word in words},
        "error_code": "report" if report.report_error else "",
        "error": report.report_error,
    }
    return node, {result.interface.key: _of_result(result) for result in lasts}


def _of_result(result: Result) -> Values:
    interface, link = result.interface, result.link
    good = result.state in GOOD and result.reason != HELD
    return {
        "row_id": interface.row_id,
        "port_id": interface.port_id,
        "name": interface.name,
        "mac": interface.mac_text,
        "state": str(lasting(result.state)),
        "reason": "converged" if good else result.reason,
        "message": "as desired" if good else result.message,
        "addresses": " ".join(str(a.address) for a in link.addresses if a.scope < LINK_SCOPE) if link else "",
        "mtu": link.mtu if link else None,
        "operational": _operational(link),
    }


def _operational(link: ObservedLink | None) -> str:
    if link is None:
        return "absent"
    if not link.up:
        return "down"
    return "up" if link.carrier else "no-carrier"


def tell(
    database: Session, settings: DatabaseSettings, host: Host, report: Report, events: Sequence[Event]
) -> None:
    """Write the result of a pass to our tables as far as it is news; `events` are those of this pass.

    Without our tables nothing is done. Raises SourceError and HostError; what could not be written is written
    by a later pass.
    """
    node, interfaces = of_report(report, host.boot_id())
    _Teller(host, source.identity(settings), report.node, report.time).tell(
        database, node, interfaces, events
    )


def tell_error(
    database: Session,
    settings: DatabaseSettings,
    host: Host,
    node: str,
    error: Exception,
    events: Sequence[Event],
) -> None:
    """Write why a pass could not be finished; the rows of the interfaces stay as they are.

    `node`: the name of this node, unless another spelling was used before. A session that was closed is
    closed again. Raises SourceError and HostError.
    """
    connected = database.connected
    exit_status = error.exit if isinstance(error, MultinicError) else Exit.ERROR
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "unexpected")
    words = f"unexpected error: {type(error).__name__}"
    if isinstance(error, MultinicError):
        words = f"{error}; {error.hint}" if error.hint else str(error)
    secret = settings.password.reveal()
    values = {
        "version": __version__,
        "last_result": "error",
        "exit_status": int(exit_status),
        "error_code": code,
        # No message has it. Everybody who may read the table would, so this is looked at once more.
        "error": words.replace(secret, "***") if secret else words,
    }
    before = told.load(host)
    same = before.database == source.identity(settings)
    name = before.node if same and before.node else node
    try:
        _Teller(host, source.identity(settings), name, time.time()).tell(database, values, None, events)
    finally:
        if not connected:
            database.close()


def withdraw(
    database: Session, settings: DatabaseSettings, host: Host, report: Report, events: Sequence[Event]
) -> None:
    """Remove the rows of this node, which manages nothing any more; `events` say so.

    Raises SourceError and HostError.
    """
    before = told.load(host)
    names = {report.node, before.node} if before.database == source.identity(settings) else {report.node}
    with suppress(Missing):
        for name in sorted(names - {""}):
            of_now = events if name == report.node else ()
            database.carry_out(partial(status.withdraw, database, name, of_now, report.time))


class _Unseen(Exception):
    """It could not be asked whether the database has our tables, so none can be said to have failed."""


class _Teller:
    """What was told last, and what is to be told now."""

    def __init__(self, host: Host, database: str, node: str, now: float) -> None:
        self._host, self._database, self._node, self._now = host, database, node, now
        before = told.load(host)
        same = (before.database, before.node) == (database, node)
        self._before = before if same else Told(database, node)
        self._other = before.node if before.database == database and before.tables and not same else ""
        """Another spelling of this node, under which it was told before."""

    def tell(
        self,
        database: Session,
        node: Values,
        interfaces: Mapping[str, Values] | None,
        events: Sequence[Event],
    ) -> None:
        """Write news, and every five minutes a sign of life. `interfaces` None: they stay as they are."""
        before = self._before
        now = replace(before, time=self._now, head=_digest(node))
        if interfaces is not None:
            now = replace(now, rows={key: _digest(row) for key, row in interfaces.items()})
        nothing_new = not events and (now.head, now.rows) == (before.head, before.rows)
        if nothing_new and 0 <= self._now - before.time < BEAT:
            return
        try:
            if nothing_new and before.tables and not self._pending(before):
                if database.carry_out(lambda: status.beat(database, self._node)):
                    told.save(self._host, now)
                    return
                before = replace(before, tables=False)  # somebody has emptied the tables
            now = self._write(database, before, now, node, interfaces)
        except Missing:
            now = replace(now, tables=False)
        except _Unseen:
            now = replace(before, head="")  # a later pass asks again
        except SourceError:
            told.save(self._host, replace(before, head=""))
            raise
        told.save(self._host, now)

    def _write(
        self,
        database: Session,
        before: Told,
        now: Told,
        node: Values,
        interfaces: Mapping[str, Values] | None,
    ) -> Told:
        """Write what has changed, and return what the tables say now."""
        if not before.tables:
            found = self._known(database)
            if found is None:
                return replace(now, tables=False)
            before = replace(before, rows=dict.fromkeys(found.keys, ""), through=found.through)
        if interfaces is None:
            now = replace(now, rows=before.rows)
        changed = {k: row for k, row in (interfaces or {}).items() if before.rows.get(k) != now.rows[k]}
        pending = self._pending(before)
        news = status.News(node, changed, sorted(set(before.rows) - set(now.rows)), pending, self._now)
        database.carry_out(lambda: status.write(database, self._node, news))
        if self._other and _same_node(self._other, self._node):
            database.carry_out(partial(status.withdraw, database, self._other, (), self._now))
        through = max([before.through, *(event.number for event in pending)])
        return replace(now, tables=True, through=through)

    def _known(self, database: Session) -> status.Known | None:
        try:
            return database.carry_out(lambda: status.known(database, self._node))
        except SourceRejected:
            raise
        except SourceError as e:
            raise _Unseen from e

    def _pending(self, before: Told) -> list[Event]:
        """Return the events that were not written yet; a rollback between two passes makes some, too."""
        return [event for event in history.load(self._host) if event.number > before.through]


def _same_node(one: str, other: str) -> bool:
    """Return whether two names are spellings of one node: in another case, or one without its domain."""
    (short, _, domain), (other_short, _, other) = (text.casefold().partition(".") for text in (one, other))
    return short == other_short and (domain == other or not domain or not other)


def _digest(row: Values) -> str:
    # The figures in the message of a brake change all the time; they are not worth a write of every host.
    steady = {**row, "message": ""} if row.get("reason") == FLEET_BRAKE else row
    return hashlib.sha256(json.dumps(steady, sort_keys=True).encode()).hexdigest()[:16]
