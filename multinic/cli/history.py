"""The command that shows what happened on this host."""

from __future__ import annotations

import click

from multinic.cli.base import Context, main, print_document


@main.command()
@click.argument("interface", required=False, metavar="[IFACE]")
@click.pass_obj
def history(context: Context, interface: str | None) -> None:
    """Show what was changed on this host, when and why. Needs no database.

    IFACE is a name, a MAC address or a port; without it, all events are shown, the newest last.

    \b
    Example:
        multinic history multinic0
    """
    from multinic.report.past import document

    found = document(context.host(), interface)
    if context.document:
        print_document(context, found)
    else:
        from multinic.report import show

        show.history(found)
