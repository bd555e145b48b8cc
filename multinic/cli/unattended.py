"""The command of the timer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from multinic.cli.base import Change, Context, main
from multinic.cli.passes import state_document
from multinic.host import ending
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.values.errors import Exit
from multinic.values.paths import AGENT_LOCK
from multinic.values.settings import Settings

_FAILED = (Exit.ERROR, Exit.USAGE)
"""What systemd takes for a failure of the unit (systemd/multinic.service)."""


@main.command(cls=Change)
@click.pass_obj
def reconcile(context: Context) -> None:
    """Run one pass without questions: plan, apply, verify, report. For timers.

    \b
    Example:
        multinic --log-format json reconcile
    """
    from multinic.flow import reconcile as flow

    settings = _settings_of_pass(context)
    host, log = context.host(settings), context.log(settings)
    if host.present(AGENT_LOCK) and "INVOCATION_ID" in os.environ:  # systemd starts this
        from multinic.agent.alone import refuse_beside_agent

        refuse_beside_agent(host)
    ending.in_order()
    with state_document(context), _cause(host, log):
        status = flow.reconcile(settings, host, log)
        if status in _FAILED:
            _log_cause(host, log)
    sys.exit(status)


def _settings_of_pass(context: Context) -> Settings:
    """Return the settings; if they are wrong, that is the result of this pass. Raises ConfigError."""
    from multinic.values.errors import ConfigError

    try:
        return context.settings(attended=False)
    except ConfigError as e:
        from multinic.flow import broken_off

        broken_off.without_settings(context.host(), e)
        raise


@contextmanager
def _cause(host: Host, log: Log) -> Iterator[None]:
    """See to it that the log of a pass says why that failed."""
    from multinic.values.errors import MultinicError

    try:
        yield
    except MultinicError as e:
        if e.logged and e.exit in _FAILED:
            _log_cause(host, log, str(e))
        raise


def _log_cause(host: Host, log: Log, error: str = "") -> None:
    from multinic.report.log import log_cause

    log_cause(host, log, error)
