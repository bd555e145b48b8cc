"""Commands that keep passes away from interfaces for a while."""

from __future__ import annotations

from collections.abc import Iterable

import click

from multinic.cli.base import Change, Context, main, print_document, print_line, print_messages, user_name
from multinic.values.errors import ConfigError


@main.command(cls=Change)
@click.argument("names", nargs=-1, metavar="[INTERFACE]...")
@click.option(
    "--for",
    "length",
    default="4h",
    show_default=True,
    metavar="DURATION",
    help="Such as 30m, 2h or 1d12h; 7 days at most.",
)
@click.option("--why", metavar="TEXT", help="What everybody shall know who looks at it. Needed.")
@click.pass_obj
def hold(context: Context, names: tuple[str, ...], length: str, why: str | None) -> None:
    """Let no pass change an interface for a while. Without arguments, show what is held.

    INTERFACE is a name, a MAC address, a port or a row. The hold belongs to the network card; it survives a
    reboot and ends by itself. It needs no database.

    \b
    Example:
        multinic hold multinic0 --for 2h --why "measuring packet loss, ask Kim"
    """
    from multinic.flow import holding
    from multinic.values import hold as holds

    host = context.host()
    if names:
        try:
            seconds = holds.duration(length)
        except ValueError as e:
            raise ConfigError(f"--for {length!r}: {e}") from None
        if why is None:
            raise ConfigError("--why is missing: nobody would know why it is held", "add --why TEXT")
        try:
            words = holds.reason(why)
        except ValueError as e:
            raise ConfigError(f"--why: {e}") from None
        lines = holding.hold(host, names, seconds, words, user_name())
    else:
        if why is not None:
            raise ConfigError("no interface is named", "name one: `multinic hold multinic0 --why TEXT`")
        lines = []
    found = holding.document(host)
    if context.document:
        print_document(context, found)
        return
    if not names:
        for item in found["holds"]:
            who = f"{item['name']} ({item['mac']})" if item["name"] else item["mac"]
            lines.append(f"{who} is held until {holds.when(item['until'])} by {item['by']}")
            lines.append(f"    {item['why']}")
        lines = lines or ["nothing is held"]
    _print(lines)


@main.command(cls=Change)
@click.argument("names", nargs=-1, metavar="[INTERFACE]...")
@click.option("--all", "everything", is_flag=True, help="Whatever is held.")
@click.pass_obj
def release(context: Context, names: tuple[str, ...], everything: bool) -> None:
    """End the hold of an interface: the next pass carries out what waited.

    \b
    Example:
        multinic release multinic0
    """
    from multinic.flow import holding

    if bool(names) == everything:
        words = "name the interfaces to release, or give --all"
        raise ConfigError(words, "`multinic hold` shows what is held")
    host = context.host()
    lines = holding.release(host, names, everything=everything)
    if context.document:
        print_document(context, holding.document(host))
        return
    _print(lines)


def _print(lines: Iterable[str]) -> None:
    """Print what happened in the reader's language, and why somebody holds as it was written."""
    for line in lines:
        if line.startswith("    "):
            print_line(line)
        else:
            print_messages((line,))
