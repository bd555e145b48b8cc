"""The flow: config → source → desired · observe → observed · plan = diff(desired, observed) ·
apply(plan) inside a checkpoint · observe again: the plan must now be empty · report.

This module is what every pass runs, so it imports little: a host on which nothing has changed
since it converged (converged.py) is done after one statement, one dump of the kernel's links
and a few stat calls. Everything else is view.py and full.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from multinic import converged, source
from multinic.config import node_name
from multinic.errors import Exit, SourceError
from multinic.host import Host
from multinic.lock import only_one
from multinic.log import Log
from multinic.paths import CHECKPOINT, OWN
from multinic.settings import Settings

if TYPE_CHECKING:
    from multinic.view import View


def plan(settings: Settings, host: Host, *, allow_mass_delete: bool = False) -> View:
    """Return what would change; nothing is changed. Raises SourceError, ConfigError and HostError."""
    from multinic.view import look

    with source.connect(settings.database) as database:
        return look(settings, host, database, allow_mass_delete=allow_mass_delete)


def reconcile(
    settings: Settings,
    host: Host,
    log: Log,
    *,
    confirm: Callable[[View], bool] | None = None,
    allow_mass_delete: bool = False,
) -> Exit:
    """Do one full pass; `confirm` may look at the plan first and say no.

    Without a database the last known good state is repaired, unless somebody asks. Raises Locked,
    SourceError, ConfigError and HostError; only the second may follow a repair.
    """
    with only_one(host):
        if host.present(CHECKPOINT):
            from multinic.recovery import recover

            recover(host, log)
        try:
            return _with_database(settings, host, log, confirm, allow_mass_delete=allow_mass_delete)
        except SourceError as e:
            if confirm is None:
                from multinic import full

                full.repair(settings, host, log, e)
            raise


def _with_database(
    settings: Settings,
    host: Host,
    log: Log,
    confirm: Callable[[View], bool] | None,
    *,
    allow_mass_delete: bool,
) -> Exit:
    known = converged.load(host)
    with source.connect(settings.database) as database:
        # A table that was missing is looked for again once a row may lack what is in it.
        database.subnets = known is None or not known.without_subnets or known.exit is not Exit.OK
        with source.deadline(settings.database):
            answer = database.ask(node_name(settings))
        if confirm is None and known is not None and converged.still(known, settings, host, answer):
            return known.exit
        from multinic import full

        for directory in OWN:
            host.tidy(directory)
        return full.run(
            settings, host, log, database, answer, confirm=confirm, allow_mass_delete=allow_mass_delete
        )
