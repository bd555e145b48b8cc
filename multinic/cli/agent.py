"""The command that stays."""

from __future__ import annotations

import click

from multinic.cli.base import Change, Context, main


@main.command(cls=Change)
@click.pass_obj
def agent(context: Context) -> None:
    """Run one pass after the other, and answer HTTP. For DaemonSets, and hosts without timers.

    SIGTERM ends it, and undoes a change that is half done; SIGHUP makes it read the settings again.

    \b
    Example:
        multinic --log-format json agent
    """
    from multinic.agent.loop import Configured
    from multinic.agent.run import run
    from multinic.host import ending

    def configure() -> Configured:
        settings = context.settings()
        return Configured(settings, context.host(settings), context.log(settings))

    ending.in_order()
    run(configure)
