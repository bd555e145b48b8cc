"""Commands that set things up: the database, the units, the demo."""

from __future__ import annotations

import sys

import click

from multinic.cli.base import Context, main, tell
from multinic.host import Host


@main.command("install-units")
@click.option("--program", metavar="FILE", help="The multinic to run  [default: this one]")
@click.option("--remove", is_flag=True, help="Take them away again.")
@click.pass_obj
def install_units(context: Context, program: str | None, remove: bool) -> None:
    """Install the systemd units and the udev rule, where no package brought them. Enables nothing.

    \b
    Example:
        multinic install-units
    """
    from multinic import units

    host = Host(context.root)
    for line in units.remove(host) if remove else units.install(host, program):
        tell(line)


@main.group()
def db() -> None:
    """Work on the database itself."""


@db.command()
@click.pass_obj
def init(context: Context) -> None:
    """Create the tables that do not exist yet. Alters and drops nothing.

    \b
    Example:
        multinic --database-url sqlite:////var/lib/multinic/multinic.db db init
    """
    from multinic.source import schema

    for line in schema.init(context.settings().database):
        tell(line)


@db.command()
@click.pass_obj
def migrate(context: Context) -> None:
    """Add our optional columns to the tables of an existing database. Alters and drops nothing else.

    \b
    Example:
        multinic db migrate
    """
    from multinic.source import schema

    for line in schema.migrate(context.settings().database):
        tell(line)


@db.command("options-schema")
def options_schema() -> None:
    """Print the JSON Schema of the column `options`. Needs no database.

    \b
    Example:
        multinic db options-schema > options.schema.json
    """
    from importlib.resources import files

    click.echo(files("multinic").joinpath("options.schema.json").read_text(encoding="utf-8"), nl=False)


@main.command()
@click.option("--keep", is_flag=True, help="Open a shell in the demo's namespace at the end.")
def demo(keep: bool) -> None:
    """Show it all in a throw-away network namespace: plan, apply, drift, repair, removal.

    Touches nothing of this machine and leaves nothing behind.

    \b
    Example:
        multinic demo
    """
    from multinic import demo as show_demo

    sys.exit(show_demo.run(keep=keep))
