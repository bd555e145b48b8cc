"""Commands that set things up: the database, the units, the demo."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

import click

from multinic.cli.base import Change, Context, main, print_document, print_line, print_messages, user_name
from multinic.cli.formats import Group
from multinic.values.errors import ConfigError
from multinic.values.settings import DatabaseSettings, Secret

_SECRET = "MULTINIC_ADMIN_PASSWORD"  # noqa: S105 - the name of a variable


@main.command("install-units", cls=Change)
@click.option("--program", metavar="FILE", help="The multinic that the units run  [default: this one]")
@click.option("--remove", is_flag=True, help="Remove what this command wrote.")
@click.pass_obj
def install_units(context: Context, program: str | None, remove: bool) -> None:
    """Install the systemd units and the udev rule, on a host without the package. Enables nothing.

    \b
    Example:
        multinic install-units
    """
    from multinic.install import units

    host = context.host()
    _print(context, units.remove(host) if remove else units.install(host, program))


@main.group(cls=Group)
def db() -> None:
    """Work on the database itself."""


def _administrator(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that needs an administrator of the database, once."""
    asking = click.option("--ask-password", is_flag=True, help="Ask for the password, on a terminal.")
    return click.option("--user", metavar="NAME", help="Log in as this user.")(asking(command))


def _as(context: Context, user: str | None, ask_password: bool) -> DatabaseSettings:
    """Return the settings of the database with an administrator's login. Raises ConfigError."""
    from multinic.database.url import with_user

    settings = context.settings().database
    if not settings.url.startswith("mysql:"):
        return settings
    if user is not None:
        settings = settings._replace(url=with_user(settings.url, user), password=Secret(""))
    if ask_password:
        if not sys.stdin.isatty():
            words = "--ask-password needs a terminal"
            raise ConfigError(words, f"without one, put the password into the variable {_SECRET}")
        return settings._replace(password=Secret(_asked()))
    if _SECRET in os.environ:
        settings = settings._replace(password=Secret(os.environ[_SECRET]))
    return settings


def _asked() -> str:
    """Ask for a password. Raises click.Abort.

    Old clicks ask before the terminal hides what is typed, and an answer that comes too early is thrown away.
    """
    import getpass  # only here

    from multinic.host.language import translated

    try:
        while not (password := getpass.getpass(translated("Password: "))):
            pass
    except (EOFError, KeyboardInterrupt):
        raise click.Abort from None
    return password


def _print(context: Context, lines: Iterable[str]) -> None:
    """Print lines as they come, or one document at the end."""
    if context.document:
        print_document(context, {"version": 1, "messages": list(lines)})
        return
    print_messages(lines)


@db.command(cls=Change)
@_administrator
@click.pass_obj
def init(context: Context, user: str | None, ask_password: bool) -> None:
    """Create the tables that do not exist yet. Alters and drops nothing.

    \b
    Example:
        multinic --database-url sqlite:////var/lib/multinic/multinic.db db init
    """
    from multinic.database import schema

    _print(context, schema.init(_as(context, user, ask_password)))


@db.command(cls=Change)
@_administrator
@click.pass_obj
def migrate(context: Context, user: str | None, ask_password: bool) -> None:
    """Add optional columns and our own tables to an existing database. Alters and drops nothing else.

    \b
    Example:
        multinic db migrate
    """
    from multinic.database import schema

    _print(context, schema.migrate(_as(context, user, ask_password)))


@db.command()
@_administrator
@click.option("--limit", type=click.IntRange(1), default=1000, help="Findings to show; else 1000.")
@click.pass_obj
def check(context: Context, user: str | None, ask_password: bool, limit: int) -> None:
    """Judge all rows of all nodes as their hosts will. Changes nothing, and needs no more than SELECT.

    Ends with 4 if a host would refuse something, or something is there twice in the fleet.

    \b
    Example:
        multinic --output json db check
    """
    from multinic.database import check as checking

    settings = _as(context, user, ask_password)
    slots = context.settings(attended=False).max_interfaces
    document = checking.check(settings, max_interfaces=slots, limit=limit)
    if context.document:
        print_document(context, document)
    else:
        from multinic.report.check import check as show

        show(document)
    sys.exit(document["exit"])


@db.command("release-brake", cls=Change)
@_administrator
@click.pass_obj
def release_brake(context: Context, user: str | None, ask_password: bool) -> None:
    """Let all nodes go on with changes that failed on many of them until now.

    \b
    Example:
        multinic db release-brake
    """
    from multinic.database import schema

    by_whom = f"{user_name()} on {os.uname().nodename}"
    _print(context, schema.release_brake(_as(context, user, ask_password), by_whom))


@db.command()
@click.pass_obj
def grants(context: Context) -> None:
    """Print the SQL statements that create users with the least privileges. Needs no database.

    Choose the passwords, and run them as an administrator of the server.

    \b
    Example:
        multinic db grants > users.sql
    """
    from multinic.database import grants as rights
    from multinic.database.url import parse_url

    url = context.settings().database.url
    target = parse_url(url) if url.startswith("mysql:") else None
    found = rights.statements(
        target.user if target and target.user else "multinic", target.name if target else "multinic"
    )
    if context.document:
        statements = [text for texts in found.values() for text in texts]
        print_document(context, {"version": 1, "statements": statements})
        return
    for whom, texts in found.items():
        print_line(f"-- For {whom}")
        for text in texts:
            print_line(f"{text};")


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
@click.option("--fleet", is_flag=True, help="Show the dashboard instead, with 200 nodes that do not exist.")
@click.pass_obj
def demo(context: Context, keep: bool, fleet: bool) -> None:
    """Show plan, apply, drift, repair and removal in a throw-away network namespace.

    Changes nothing on this machine and leaves nothing behind.

    \b
    Example:
        multinic demo
    """
    if fleet:
        from multinic.cli.dashboard import demo_fleet

        demo_fleet(context)
        return
    from multinic.demo.run import run

    sys.exit(run(keep=keep))
