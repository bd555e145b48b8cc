"""A pass that ends in an error is a result too: status, health and doctor show it for as long as it lasts."""

from __future__ import annotations

import time
from contextlib import suppress

from multinic.database.session import Session
from multinic.flow import converged
from multinic.host.config import node_name
from multinic.host.host import Host
from multinic.host.lock import only_one
from multinic.host.log import Log
from multinic.report import statefile, tables
from multinic.report.events import added, of_error
from multinic.report.log import log_error
from multinic.state.statefile import load_state
from multinic.values.errors import Exit, HostError, Locked, MultinicError, SourceError
from multinic.values.paths import STATE
from multinic.values.settings import Settings


def report(
    settings: Settings, host: Host, log: Log, error: Exception, database: Session | None = None
) -> None:
    """Log an error that ended a pass, unless the last pass met the same, and write it to the state document.

    The same to `database`, if there is one. A host that refuses even that gets no second error: the first
    one says what is wrong.
    """
    with suppress(HostError):
        converged.forget(host)  # the pass after the error is a full one, and says that it is over
    with suppress(HostError):
        if isinstance(error, MultinicError):
            words, status = str(error), error.exit
            if not error.logged:
                log_error(host, log, words, error.hint)
                error.logged = True
        else:  # the command line prints it, as the fault of ours that it is
            words, status = f"unexpected error: {type(error).__name__}: {error}", Exit.ERROR
        events = added(host, log, of_error(load_state(host), error=words), time.time())
        statefile.write_error(host, node_name(settings), words, status)
        if database is not None:
            with suppress(MultinicError):
                tables.tell_error(database, settings.database, host, node_name(settings), error, events)


def without_settings(host: Host, error: MultinicError) -> None:
    """Write to the state document that the settings kept a pass from beginning, on a host with passes.

    So its exit status is there that of the process. A pass that runs meanwhile has more to say.
    """
    with suppress(HostError, Locked):
        if host.present(STATE):
            with only_one(host):
                converged.forget(host)
                statefile.write_error(host, load_state(host).get("node", ""), str(error), error.exit)


def outage(settings: Settings, host: Host, error: SourceError, *, of_pass: bool) -> None:
    """Write to the state document that a person met an outage of the database; the next pass looks again.

    Somebody who only makes a plan may lack the right to write it, and leaves a host without passes alone.
    """
    with suppress(HostError):
        if load_state(host).get("from_memory"):
            return  # a pass has met it before
        if of_pass or host.present(STATE):
            converged.forget(host)
            met_by = error.exit if of_pass else None
            statefile.write_outage(host, node_name(settings), str(error), met_by)
