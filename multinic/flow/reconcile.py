"""The flow: config → source → desired · observe → observed · plan = diff(desired, observed) ·
apply(plan) inside a checkpoint · observe again: the plan must now be empty · report.

This module is what every pass runs, so it imports little: a host on which nothing has changed
since it converged (converged.py) is done after one statement, one dump of the kernel's links
and a few stat calls. Everything else is view.py and full.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from multinic.database import source
from multinic.database.session import Session
from multinic.database.statement import Shape
from multinic.flow import converged, tables
from multinic.flow.course import Course
from multinic.flow.tables import ReadTables
from multinic.host.config import node_name
from multinic.host.host import Host
from multinic.host.lock import only_one
from multinic.host.log import Log
from multinic.values.errors import Exit, SourceError, SourceRejected
from multinic.values.paths import CHECKPOINT, OUR_DIRECTORIES
from multinic.values.settings import Settings

if TYPE_CHECKING:
    from multinic.decide.restraint import Allowed
    from multinic.flow.view import View
    from multinic.report.report import Report


OpenSession = Callable[[], AbstractContextManager[Session]]
"""Gives an open session with the database, and takes it back at the end of the block.

A session that is used for several passes does not end there. Raises SourceError and ConfigError.
"""


def plan(settings: Settings, host: Host, *, allowed: Allowed | None = None) -> View:
    """Return what would change; nothing is changed. Raises SourceError, ConfigError and HostError."""
    from multinic.flow.view import look

    try:
        with source.connect(settings.database) as database:
            return look(settings, host, database, allowed=allowed)
    except SourceError as e:
        from multinic.flow import broken_off

        broken_off.outage(settings, host, e, of_pass=False)
        raise


def reconcile(
    settings: Settings,
    host: Host,
    log: Log,
    *,
    open_session: OpenSession | None = None,
    read_tables: ReadTables = tables.read,
    confirm: Callable[[View], bool] | None = None,
    allowed: Allowed | None = None,
    count: bool = False,
    on_full: Callable[[], object] = lambda: None,
) -> Exit:
    """Do one full pass; `confirm` may look at the plan first and say no.

    `open_session` None: with a session for this pass alone. It is asked for once the lock is held.
    `read_tables`: how an idle pass looks at the kernel's tables.
    `count`: keep the counts of metrics also without a textfile, for a process that serves them itself.
    `on_full` is called unless the pass is an idle one, before it looks at everything.
    Without a database the last known good state is repaired, unless `confirm` is given. Raises Locked,
    SourceError, ConfigError, Refused and HostError; only the second may follow a repair.
    """
    open_session = open_session or partial(source.connect, settings.database)
    with (
        only_one(host),
        _counted(settings, host, log, count=count) as course,
        _reported(settings, host, log, course, attended=confirm is not None),
    ):
        if host.present(CHECKPOINT):
            from multinic.change.recovery import recover

            course.recovered = recover(host, log)
        try:
            with open_session() as database:
                course.session = database
                done = _with(database, settings, host, log, read_tables, confirm, allowed, on_full)
                if isinstance(done, Exit):
                    return done
                course.report = done
                return done.status
        except SourceError as e:
            on_full()
            if confirm is None:
                from multinic.flow import full

                # One that let us in and refused the statement may take our word all the same.
                rejected = course.session if isinstance(e, SourceRejected) else None
                course.report = full.repair(settings, host, log, e, rejected)
            else:
                from multinic.flow import broken_off

                broken_off.outage(settings, host, e, of_pass=True)
            raise


@contextmanager
def _counted(settings: Settings, host: Host, log: Log, *, count: bool) -> Iterator[Course]:
    """Count the pass of the block at its end, if metrics are on and it is not an idle one."""
    course = Course()
    try:
        yield course
    except Exception as e:
        course.error = e
        raise
    finally:
        if (count or settings.metrics_textfile) and (course.report or course.error):
            from multinic.flow import counted

            counted.write(settings, host, log, course)


@contextmanager
def _reported(settings: Settings, host: Host, log: Log, course: Course, *, attended: bool) -> Iterator[None]:
    """Report an error that ends the block as the result of the pass; a person reads it anyway."""
    try:
        yield
    except SourceError:
        raise  # the repair has reported it
    except Exception as e:
        if not attended:
            from multinic.flow import broken_off

            broken_off.report(settings, host, log, e, course.session)
        raise


def _with(
    database: Session,
    settings: Settings,
    host: Host,
    log: Log,
    read_tables: ReadTables,
    confirm: Callable[[View], bool] | None,
    allowed: Allowed | None,
    on_full: Callable[[], object],
) -> Exit | Report:
    """Do a pass with a database, and return its report; of an idle pass, which has none, the exit status."""
    known = converged.load(host)
    if known is not None:
        # A table that was missing is looked for again once a row may lack what is in it.
        lacking = known.exit is not Exit.OK
        database.shape = known.shape._replace(subnets=True, nodes=True) if lacking else known.shape
    answer = database.ask(node_name(settings))
    if confirm is None and known is not None and converged.still(known, settings, host, answer, read_tables):
        if log.watched:
            from multinic.flow import looked

            looked.idle(host, log, known, answer, database.where)
        return known.exit
    if known is not None and database.shape == known.shape:
        database.shape = Shape()  # something has changed: perhaps the tables, and rows need now what is new
        answer = database.ask(node_name(settings))
    on_full()
    from multinic.flow import freshness, full
    from multinic.host.scratch import tidy
    from multinic.kernel import dumps

    for directory in OUR_DIRECTORIES:
        tidy(host, directory)
    if confirm is None:  # a person sees what follows from an answer, and may want just that
        answer = freshness.fresh(settings, host, database, answer)
    with dumps.kept():
        return full.run(settings, host, log, database, answer, confirm=confirm, allowed=allowed)
