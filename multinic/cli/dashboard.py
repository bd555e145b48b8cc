"""The command that shows the fleet on web pages."""

from __future__ import annotations

import click

from multinic.cli.base import Context, main


@main.command()
@click.pass_obj
def dashboard(context: Context) -> None:
    """Show the fleet on web pages, from the status tables; on this machine alone unless told.

    Needs the extra `dashboard`, and changes nothing. SIGTERM ends it.

    \b
    Example:
        multinic dashboard
    """
    from multinic.dashboard import options
    from multinic.dashboard.run import run
    from multinic.host import ending

    ending.in_order()
    settings = context.settings()
    run(options.of_settings(settings), context.log(settings))


def demo_fleet(context: Context) -> None:
    """Show the dashboard of a fleet that does not exist, in a directory that is removed in the end."""
    import tempfile
    import threading

    from multinic.dashboard import options
    from multinic.dashboard.run import run
    from multinic.demo import fleet
    from multinic.host import ending

    ending.in_order()
    settings = context.settings()
    with tempfile.TemporaryDirectory(prefix="multinic-demo-") as directory:
        database = settings.database._replace(url=f"sqlite:///{directory}/fleet.db")
        over = threading.Event()
        playing = threading.Thread(target=fleet.play, args=(database, over), daemon=True)
        try:
            playing.start()
            run(options.of_settings(settings._replace(database=database)), context.log(settings))
        finally:
            over.set()
            playing.join()
