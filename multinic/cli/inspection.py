"""Commands that show the state of the host and of the passes."""

from __future__ import annotations

import os
import sys

import click

from multinic.cli.base import Context, main, print_document, print_line, print_messages
from multinic.values.errors import Exit


@main.command()
@click.argument("names", nargs=-1, metavar="[INTERFACE]...")
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.pass_obj
def status(context: Context, names: tuple[str, ...], watch: bool) -> None:
    """Show the last result and the present state of every managed interface. Needs no database.

    INTERFACE is a name, a MAC address, a port or a row; without it, all are shown.

    \b
    Example:
        multinic --output json status
        multinic status multinic0
        multinic status --watch
    """
    from multinic.report.status import status as document_of

    if watch:
        _watch(context, names)
        return
    document = document_of(context.host(), names)
    if context.document:
        print_document(context, document)
    else:
        from multinic.report import show

        show.status(document, wide=context.wide)


def _watch(context: Context, names: tuple[str, ...]) -> None:
    """Show the status on the terminal until a signal ends that. Raises ConfigError without a terminal."""
    from multinic.cli import streams
    from multinic.host import ending
    from multinic.report import show
    from multinic.report import watch as watching
    from multinic.report.status import status as document_of
    from multinic.values.errors import ConfigError

    if context.document or not sys.stdout.isatty():
        words = "--watch shows a table on a terminal; this is none, or no table is wanted"
        raise ConfigError(words, "leave out --watch, and run `multinic status` as often as needed")
    ending.in_order()
    host = context.host()
    watching.watch(
        lambda out: show.status(document_of(host, names), wide=context.wide, out=out), streams.loss
    )


@main.command()
@click.argument("names", nargs=-1, metavar="[INTERFACE]...")
@click.pass_obj
def render(context: Context, names: tuple[str, ...]) -> None:
    """Print the files that would be written: path and content. Changes nothing.

    \b
    Example:
        multinic render multinic0
    """
    from multinic.flow import reconcile
    from multinic.flow.rendering import rendered

    settings = context.settings()
    view = reconcile.plan(settings, context.host(settings))
    files = rendered(view.plan, view.rendering, names)
    if context.document:
        print_document(context, {"version": 1, "backend": view.backend.name, "files": files})
    elif not files:
        print_messages((f"backend {view.backend.name} writes no files",), err=True)
    else:
        for path, text in files.items():
            for line in (f"==> {path} <==", *text.split("\n")):
                print_line(line)


@main.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Find problems, and say what to do about them.

    Checks database, backend, other owners of the links, files and timer.
    Changes nothing. Ends with 4 if there is a problem.

    \b
    Example:
        multinic doctor
    """
    from multinic.doctor.examine import examine

    document = examine(lambda: context.settings(attended=False), context.host)
    if context.document:
        print_document(context, document)
    else:
        from multinic.report import show

        show.findings(document)
    sys.exit(document["exit"])


@main.command()
@click.option("--socket", is_flag=True, help="Answer HTTP on the socket that systemd passes.")
@click.pass_obj
def health(context: Context, socket: bool) -> None:
    """Print how the passes on this host go, for monitoring. Needs neither root nor a database.

    Ends with 4 if no pass has run for 15 minutes, or the last one could not reach the database.

    \b
    Example:
        multinic health
    """
    from multinic.report import health as report

    host = context.host()
    if socket:
        from multinic.host import serve

        serve.serve({serve.passed_socket(os.environ): lambda path: report.answer(host, path)})
        return
    document = report.document(host)
    print_document(context, document)
    sys.exit(Exit.PARTIAL if document["status"] == report.Status.UNHEALTHY else Exit.OK)
