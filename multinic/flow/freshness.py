"""An answer that is older than what this host has read before is not carried out: another host is asked.

`decide/older.py` has the signs of it. If all hosts answer so, it is a pass without a database.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from multinic.database import source
from multinic.database.session import Session
from multinic.database.statement import Answer
from multinic.decide import older
from multinic.decide.older import Seen
from multinic.host.config import node_name
from multinic.host.host import Host
from multinic.state.seen import load_seen, save_seen
from multinic.values.errors import SourceError, SourceOutdated
from multinic.values.settings import Settings


def fresh(settings: Settings, host: Host, database: Session, answer: Answer) -> Answer:
    """Return this answer, or that of another host if it is older than what was read before.

    Raises SourceError where no host has a newer one, until this has lasted for `older.PATIENCE`.
    """
    if not _has_replicas(database):
        return answer
    seen, now = _seen(settings, host), time.time()

    def why_not(answer: Answer, where: str) -> str:
        return older.older(seen, _rows(answer), where, now)

    if not why_not(answer, database.where):
        return answer
    try:
        return database.ask(node_name(settings), why_not)
    except SourceOutdated:
        if not seen.refused_since:
            save_seen(host, replace(seen, refused_since=now))
        raise


def remember(settings: Settings, host: Host, database: Session, answer: Answer) -> None:
    """Remember an answer that is carried out. Raises HostError."""
    if not _has_replicas(database):
        return
    seen = _seen(settings, host)
    known = older.after(seen, _rows(answer), database.where, time.time())
    if known != seen:
        save_seen(host, known)


def remember_report(host: Host, database: Session, row_ids: Sequence[int]) -> None:
    """Remember that rows were modified by our own report, if the database still says so. Raises HostError."""
    if not row_ids or not _has_replicas(database):
        return
    with suppress(SourceError):  # what was to be reported is; it is only told less well what is older
        columns, rows = database.modified(row_ids)
        save_seen(host, older.modified(load_seen(host), older.rows_of(columns, rows)))


def _has_replicas(database: Session) -> bool:
    return database.product != "sqlite"


def _seen(settings: Settings, host: Host) -> Seen:
    """Return what was read of this node in this database; whatever host it is on, its name is the same."""
    of = f"{node_name(settings)} in {source.identity(settings.database).partition(' on ')[0]}"
    seen = load_seen(host)
    return seen if seen.of == of else Seen(of)


def _rows(answer: Answer) -> dict[str, str]:
    return older.rows_of(answer.columns[: answer.columns.index("_subnet")], answer.rows)
