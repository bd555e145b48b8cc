"""Commands that tell how things are."""

from __future__ import annotations

import os
import sys

import click

from multinic.cli.base import Context, main, print_json, tell
from multinic.errors import Exit
from multinic.host import Host


@main.command()
@click.pass_obj
def status(context: Context) -> None:
    """Show the last result and the live state of every managed interface. Needs no database.

    \b
    Example:
        multinic --output json status
    """
    from multinic.status import status as document_of

    document = document_of(Host(context.root))
    if context.output == "json":
        print_json(document)
    else:
        from multinic import show

        show.status(document)


@main.command()
@click.argument("names", nargs=-1, metavar="[INTERFACE]...")
@click.pass_obj
def render(context: Context, names: tuple[str, ...]) -> None:
    """Print the files that would be written: path and content. Changes nothing.

    \b
    Example:
        multinic render multinic0
    """
    from multinic import reconcile
    from multinic.view import rendered

    settings = context.settings()
    view = reconcile.plan(settings, context.host(settings))
    files = rendered(view, names)
    if context.output == "json":
        print_json({"version": 1, "backend": view.backend.NAME, "files": files})
    elif not files:
        click.echo(f"backend {view.backend.NAME} writes no files", err=True)
    else:
        for path, text in files.items():
            for line in (f"==> {path} <==", *text.split("\n")):
                tell(line)


@main.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Look for what is wrong, and say what to do: database, backend, other owners of the links, files, timer.

    Changes nothing. Ends with 4 when something must be corrected.

    \b
    Example:
        multinic doctor
    """
    from multinic import doctor as examination

    document = examination.examine(lambda: context.settings(attended=False), context.root)
    if context.output == "json":
        print_json(document)
    else:
        from multinic import show

        show.findings(document)
    sys.exit(document["exit"])


@main.command()
@click.option("--socket", is_flag=True, help="Answer HTTP on a socket that systemd passes.")
@click.pass_obj
def health(context: Context, socket: bool) -> None:
    """Print how passes fare on this host, for monitoring. Needs no root and no database.

    Ends with 4 when no pass has run for a while, or the last one had no database.

    \b
    Example:
        multinic health
    """
    from multinic import health as report

    host = Host(context.root)
    if socket:
        from multinic import serve

        serve.serve(serve.passed(os.environ), lambda path: report.answer(host, path))
        return
    document = report.document(host)
    print_json(document)
    sys.exit(Exit.PARTIAL if document["status"] == report.Status.UNHEALTHY else Exit.OK)
