"""Commands that look at or carry out a plan."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from multinic.cli.base import Change, Context, main, print_document
from multinic.host import ending
from multinic.host.host import Host
from multinic.values.errors import Exit


def _selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option that selects interfaces."""
    words = "Only this one, by name, MAC address, port or row; may be repeated."
    return click.option("--only", multiple=True, metavar="INTERFACE", help=words)(command)


@main.command()
@click.argument("names", nargs=-1, metavar="[INTERFACE]...")
@_selecting
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Save the plan as JSON.")
@click.option("--detailed-exitcode", is_flag=True, help="End with 3 if anything would change.")
@click.option("--allow-mass-delete", is_flag=True, help="Remove even most or all interfaces at once.")
@click.option("--accept-identity", is_flag=True, help="Accept another node name or database than before.")
@click.option("--allow-braked", is_flag=True, help="Change even what fails on many other nodes.")
@click.pass_obj
def plan(
    context: Context,
    names: tuple[str, ...],
    only: tuple[str, ...],
    out: str | None,
    detailed_exitcode: bool,
    allow_mass_delete: bool,
    accept_identity: bool,
    allow_braked: bool,
) -> None:
    """Show what would change on this host, and why. Changes nothing.

    INTERFACE is a name, a MAC address, a port or a row; without it, all are shown.

    \b
    Example:
        multinic plan --detailed-exitcode
        multinic plan multinic0
    """
    from multinic.decide.restraint import Allowed
    from multinic.decide.verdict import verdict
    from multinic.flow import reconcile  # each command pays for what it uses
    from multinic.report.document import document

    settings = context.settings()
    allowed = Allowed(allow_mass_delete, accept_identity, allow_braked, (*names, *only))
    view = reconcile.plan(settings, context.host(settings), allowed=allowed)
    found = view.selected
    if out is not None:
        _save(out, document(found, view.past.only))
    if context.document:
        print_document(context, document(found, view.past.only))
    else:
        from multinic.report import show

        show.plan(found, view.why_backend, wide=context.wide)
    if detailed_exitcode and not found.empty:
        sys.exit(Exit.PENDING)
    sys.exit(verdict(interface.state for interface in found.interfaces))


def _save(path: str, document: Mapping[str, Any]) -> None:
    """Write a plan to a new file, never through a symlink: other users may be able to write to the directory.

    If `path` exists and is not a file (/dev/stdout), the plan is written to it as it is.
    """
    from multinic.values.errors import ConfigError, HostError

    text = json.dumps(document, indent=2) + "\n"
    where = os.path.abspath(path)
    try:
        if os.path.exists(where) and not os.path.isfile(where):
            _write_as_it_is(where, text)
        elif not os.path.isdir(os.path.dirname(where)):
            raise ConfigError(f"cannot write {path}: there is no such directory")
        else:
            Host().write(where, text, 0o600)
    except OSError as e:
        raise ConfigError(f"cannot write {path}: {e.strerror}") from e
    except HostError as e:
        raise ConfigError(str(e), e.hint) from e


def _write_as_it_is(path: str, text: str) -> None:
    """Write to a device or a pipe: not through a symlink of another user, and never waiting for a reader.

    Raises OSError.
    """
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
        raise OSError(errno.ELOOP, f"it is a symlink of another user (uid {found.st_uid})")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as e:
        if e.errno == errno.ENXIO:
            raise OSError(e.errno, "it is a pipe that nobody reads") from e
        raise
    os.set_blocking(descriptor, True)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


@main.command(cls=Change)
@click.argument("saved", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[PLAN]")
@_selecting
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--allow-mass-delete", is_flag=True, help="Remove even most or all interfaces at once.")
@click.option("--accept-identity", is_flag=True, help="Accept another node name or database than before.")
@click.option("--allow-braked", is_flag=True, help="Change even what fails on many other nodes.")
@click.pass_obj
def apply(
    context: Context,
    saved: str | None,
    only: tuple[str, ...],
    yes: bool,
    allow_mass_delete: bool,
    accept_identity: bool,
    allow_braked: bool,
) -> None:
    """Show a plan, ask, and carry it out; without a terminal to ask on it needs --yes.

    PLAN is a file from `multinic plan --out`. It is refused if the database or the host has changed since.

    \b
    Example:
        multinic plan --out plan.json && multinic apply plan.json
        multinic apply --only multinic0
    """
    from multinic.decide.restraint import Allowed
    from multinic.flow import reconcile
    from multinic.report.document import selection
    from multinic.values.errors import ConfigError

    if not yes and not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask on; nothing was changed", "add --yes")
    if saved is not None and only:
        words = "a saved plan says itself which interfaces it is for"
        raise ConfigError(words, "leave out --only, or save another plan, of these interfaces")
    settings = context.settings()
    host = context.host(settings)
    looked_at = None if saved is None else _load(saved)
    only = only if looked_at is None else selection(looked_at)
    allowed = Allowed(allow_mass_delete, accept_identity, allow_braked, only)
    shown = yes and saved is not None  # a saved plan was shown before
    if not yes:
        looked_at, shown = _agreed(context, reconcile.plan(settings, host, allowed=allowed), looked_at), True
    ending.in_order()
    confirm = _confirmation(context, looked_at, "saved plan" if saved else "plan that was shown", shown)
    with state_document(context):
        status = reconcile.reconcile(settings, host, context.log(settings), confirm=confirm, allowed=allowed)
    sys.exit(status)


@contextmanager
def state_document(context: Context) -> Iterator[None]:
    """Print the state document at the end of a pass, where it is wanted; also of one that an error ended.

    An error that is in no state document gets one of its own, where it is printed.
    """
    from multinic.values.errors import MultinicError

    try:
        yield
    except MultinicError as e:
        if e.logged:
            _print_state(context)
        raise
    _print_state(context)


def _print_state(context: Context) -> None:
    if context.document:
        from multinic.state.statefile import load_state

        print_document(context, load_state(context.host()))


def _load(path: str) -> Any:
    from multinic.values.errors import ConfigError

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


def _agreed(context: Context, view: Any, saved: Any) -> Any:
    """Show a plan, ask, and return its document; nothing waits meanwhile. Raises Refused for a no."""
    from multinic.cli import words
    from multinic.report.document import check_fresh, document
    from multinic.values.errors import Refused

    if saved is not None:
        check_fresh(saved, view.selected)
    if not context.document:
        from multinic.report import show

        show.plan(view.selected, view.why_backend, wide=context.wide)
    if not view.selected.empty and not words.asked("Carry this out?"):
        raise Refused("not confirmed; nothing was changed")
    return document(view.selected, view.past.only)


def _confirmation(context: Context, looked_at: Any, which: str, shown: bool) -> Callable[[Any], bool]:
    """Return what compares the plan of the pass with the one that was looked at, or shows it."""

    def confirm(view: Any) -> bool:
        if looked_at is not None:
            from multinic.report.document import check_fresh

            check_fresh(looked_at, view.selected, which=which)
        if not context.document and not shown:
            from multinic.report import show

            show.plan(view.selected, view.why_backend, wide=context.wide)
        return True

    return confirm
