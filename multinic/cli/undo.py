"""Commands that take back what was done."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from multinic.cli.base import Change, Context, main, print_document
from multinic.host import ending
from multinic.host.config import node_name
from multinic.host.host import Host


@main.command(cls=Change)
@click.option("--interrupted", is_flag=True, help="Only a change that was not finished, as after a crash.")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be restored, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def rollback(context: Context, interrupted: bool, only_plan: bool, yes: bool) -> None:
    """Restore the interfaces as they were before the last change, or before an interrupted one.

    On a terminal it shows what that means, and asks first. The next pass applies again what the database
    says: stop the timer first.

    \b
    Example:
        multinic rollback
    """
    from multinic.change import recovery
    from multinic.cli import words
    from multinic.host.log import Log
    from multinic.values.errors import ConfigError

    node = os.uname().nodename
    try:
        settings = context.settings(attended=not interrupted)
        host, log, node = context.host(settings), context.log(settings), node_name(settings)
    except ConfigError as e:  # what is on this host can be restored without them
        host, log = context.host(), Log(context.options.get("log_format") or "text")
        log.warning(f"{e}; going on without the settings", hint=e.hint)
    if only_plan or not (yes or interrupted or not sys.stdin.isatty()):
        _show_rollback(context, host, node, interrupted, ask=not only_plan)
    if only_plan:
        return
    ending.in_order()
    if not recovery.rollback(host, log, interrupted_only=interrupted):
        words.say("there is no change to undo")


def _show_rollback(context: Context, host: Host, node: str, interrupted: bool, *, ask: bool) -> None:
    """Show what a rollback would restore, and ask whether it may. Raises Refused for a no."""
    from multinic.change import preview
    from multinic.cli import words
    from multinic.report.document import document
    from multinic.values.errors import Refused
    from multinic.values.plan import Plan

    found = preview.rollback(host, node, interrupted_only=interrupted)
    if context.document:
        print_document(context, document(found or Plan(node, "", ())))
    elif found is None:
        if not ask:
            words.say("there is no change to undo")
    else:
        from multinic.report import show

        show.plan(found, "it made the change", wide=context.wide)
    if ask and found and not words.asked("Restore this?"):
        raise Refused("not confirmed; nothing was changed")


@main.command(cls=Change)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(context: Context, yes: bool) -> None:
    """Take everything managed off this host, and give the links their old names; on a terminal, ask first.

    Needs no database. The next pass configures everything again. To prevent that, stop the timer first.

    \b
    Example:
        multinic purge
    """
    from multinic.cli import words
    from multinic.flow import purge as removal
    from multinic.report.document import document, results
    from multinic.values.errors import Refused

    settings = context.settings()
    host, log = context.host(settings), context.log(settings)

    def show_all(plans: list[Any]) -> None:
        from multinic.report import show

        for plan in () if context.document else plans:
            show.plan(plan, "everything managed will be removed", wide=context.wide)

    agreed: list[Any] | None = None
    if not yes and sys.stdin.isatty():
        plans = removal.plans(settings, host, log)
        show_all(plans)
        something = any(not plan.empty for plan in plans)
        if something and not words.asked("Take all of this off the host?"):
            raise Refused("not confirmed; nothing was changed")
        agreed = [document(plan) for plan in plans]

    def confirm(plans: list[Any]) -> bool:
        if agreed is None:
            show_all(plans)
        elif agreed != [document(plan) for plan in plans]:
            changed = "the host has changed since the question; nothing was removed"
            raise Refused(changed, "look again: `multinic purge`")
        return True

    ending.in_order()
    purged = removal.purge(settings, host, log, confirm=confirm)
    if context.document:
        print_document(context, results(purged))
    sys.exit(purged.exit)
