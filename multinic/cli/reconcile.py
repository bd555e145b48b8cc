"""The command of the timer, with options."""

from __future__ import annotations

import sys
from functools import partial

import click

from multinic.cli import unattended
from multinic.cli.base import Change, Context, main
from multinic.cli.passes import state_document


@main.command(cls=Change)
@click.pass_obj
def reconcile(context: Context) -> None:
    """Run one pass without questions: plan, apply, verify, report. For timers.

    \b
    Example:
        multinic --log-format json reconcile
    """
    settings = unattended.loaded(partial(context.settings, attended=False), context.host)
    host, log = context.host(settings), context.log(settings)
    with state_document(context):
        status = unattended.reconcile(settings, host, log)
    sys.exit(status)
