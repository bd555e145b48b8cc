"""Commands that look at or carry out a plan."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from multinic import ending
from multinic.cli.base import Context, main, print_json
from multinic.errors import Exit
from multinic.host import Host


@main.command()
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Save the plan as JSON.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 3 if anything would change.")
@click.option("--allow-mass-delete", is_flag=True, help="Remove even if most or all would go at once.")
@click.pass_obj
def plan(context: Context, out: str | None, detailed_exitcode: bool, allow_mass_delete: bool) -> None:
    """Show what would change on this host, and why. Changes nothing.

    \b
    Example:
        multinic plan --detailed-exitcode
    """
    from multinic import reconcile  # each command pays for what it uses
    from multinic.document import document
    from multinic.view import verdict

    settings = context.settings()
    view = reconcile.plan(settings, context.host(settings), allow_mass_delete=allow_mass_delete)
    if out is not None:
        _save(out, document(view.plan))
    if context.output == "json":
        print_json(document(view.plan))
    else:
        from multinic import show

        show.plan(view.plan, view.why_backend)
    sys.exit(Exit.PENDING if detailed_exitcode and not view.plan.empty else verdict(view.plan))


def _save(path: str, document: Mapping[str, Any]) -> None:
    """Write a plan to a file of its own, never through a symlink: the directory may be open to others.

    What is there and is no file (/dev/stdout) is written to as it is.
    """
    from multinic.errors import ConfigError, HostError

    text = json.dumps(document, indent=2) + "\n"
    where = os.path.abspath(path)
    try:
        if os.path.exists(where) and not os.path.isfile(where):
            with open(where, "w", encoding="utf-8") as stream:
                stream.write(text)
        elif not os.path.isdir(os.path.dirname(where)):
            raise ConfigError(f"cannot write {path}: there is no such directory")
        else:
            Host().write(where, text, 0o600)
    except OSError as e:
        raise ConfigError(f"cannot write {path}: {e.strerror}") from e
    except HostError as e:
        raise ConfigError(str(e), e.hint) from e


@main.command()
@click.argument("saved", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[PLAN]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--allow-mass-delete", is_flag=True, help="Remove even if most or all would go at once.")
@click.pass_obj
def apply(context: Context, saved: str | None, yes: bool, allow_mass_delete: bool) -> None:
    """Carry out a plan now, after showing it; asks on a terminal.

    PLAN is a file from `multinic plan --out`: it is refused if it no longer matches the database or the host.

    \b
    Example:
        multinic plan --out plan.json && multinic apply plan.json
    """
    from multinic import reconcile

    settings = context.settings()
    confirm = _confirmation(context, None if saved is None else _load(saved), yes)
    ending.in_order()
    status = reconcile.reconcile(
        settings,
        context.host(settings),
        context.log(settings),
        confirm=confirm,
        allow_mass_delete=allow_mass_delete,
    )
    if context.output == "json":
        from multinic.report import statefile

        print_json(statefile.load(Host(context.root)))
    sys.exit(status)


def _load(path: str) -> Any:
    from multinic.errors import ConfigError

    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
    except (OSError, ValueError, RecursionError) as e:
        raise ConfigError(f"{path} is not a plan: {e}", "make one with `multinic plan --out FILE`") from e
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path} is not a plan: not a JSON object", "make one with `multinic plan --out FILE`"
        )
    return document


def _confirmation(context: Context, saved: Any, yes: bool) -> Callable[[Any], bool]:
    def confirm(view: Any) -> bool:
        if saved is not None:
            from multinic.document import check_fresh

            check_fresh(saved, view.plan)
        if context.output == "table" and not (yes and saved is not None):  # that one has been looked at
            from multinic import show

            show.plan(view.plan, view.why_backend)
        if yes or view.plan.empty or not sys.stdin.isatty():
            return True
        return click.confirm("Carry this out?", err=True)

    return confirm


@main.command()
@click.pass_obj
def reconcile(context: Context) -> None:
    """Do one full pass without questions: plan, apply, verify, report. For timers.

    \b
    Example:
        multinic --log-format json reconcile
    """
    from multinic import reconcile as flow

    settings = context.settings(attended=False)
    ending.in_order()
    status = flow.reconcile(settings, context.host(settings), context.log(settings))
    if context.output == "json":
        from multinic.report import statefile

        print_json(statefile.load(Host(context.root)))
    sys.exit(status)


@main.command()
@click.option("--interrupted", is_flag=True, help="Only a change that was not finished, as after a crash.")
@click.pass_obj
def rollback(context: Context, interrupted: bool) -> None:
    """Put back how the interfaces were before the last, or an interrupted, change.

    The next pass carries the database's wish out again: stop the timer first.

    \b
    Example:
        multinic rollback
    """
    from multinic import recovery

    settings = context.settings()
    log = context.log(settings)
    ending.in_order()
    if not recovery.rollback(context.host(settings), log, interrupted_only=interrupted):
        click.echo("there is no change to undo")


@main.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(context: Context, yes: bool) -> None:
    """Take everything managed off this host and give the links their old names back; asks on a terminal.

    Needs no database. The next pass configures everything again: stop the timer first, if that is not meant.

    \b
    Example:
        multinic purge
    """
    from multinic import purge as removal

    def confirm(plans: list[Any]) -> bool:
        from multinic import show

        for plan in plans if context.output == "table" else ():
            show.plan(plan, "all that is managed is to go")
        if yes or all(plan.empty for plan in plans) or not sys.stdin.isatty():
            return True
        return click.confirm("Take all of this off the host?", err=True)

    settings = context.settings()
    ending.in_order()
    purged = removal.purge(settings, context.host(settings), context.log(settings), confirm=confirm)
    if context.output == "json":
        print_json(removal.document(purged))
    sys.exit(purged.exit)
