"""What commands print: tables for people, one document for scripts. `--output` says which."""

from __future__ import annotations

import json
from typing import Any

import click

FORMATS = ("table", "wide", "json", "yaml")


class Command(click.Command):
    """A command that takes `--output` as well: newcomers look for it there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = "What to print, as the global option."
        self.params.append(
            click.Option(
                ["--output"], type=click.Choice(FORMATS), expose_value=False, callback=_choose, help=words
            )
        )

    def get_help(self, ctx: click.Context) -> str:
        return _help(self, ctx)

    def get_short_help_str(self, limit: int = 45) -> str:
        return _short(self) or super().get_short_help_str(limit)


def _help(command: click.Command, context: click.Context) -> str:
    """Return the help of a command in the reader's language. What that needs is loaded for help alone."""
    from multinic.cli import words

    formatter = words.formatter(context)
    command.format_help(context, formatter)
    return formatter.getvalue().rstrip("\n")


def _short(command: click.Command) -> str:
    """Return what a list of commands says of one, if that is not English; "" if it is."""
    from multinic.cli import words

    return words.first_sentence(command.help or "")


def _choose(context: click.Context, _: click.Parameter, output: str | None) -> None:
    """Let a command, and the groups that it is in, print in this format."""
    found: click.Context | None = context
    while output is not None and found is not None and found.obj is not None:
        found.obj = found.obj._replace(output=output)
        found = found.parent


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

    def get_help(self, ctx: click.Context) -> str:
        return _help(self, ctx)

    def get_short_help_str(self, limit: int = 45) -> str:
        return _short(self) or super().get_short_help_str(limit)


def print_as(output: str, document: object) -> None:
    """Print a document: as YAML if that is wanted, else as JSON."""
    if output == "yaml":
        from multinic.cli.yaml import dumped

        click.echo(dumped(document), nl=False)
    else:
        click.echo(json.dumps(document, indent=2))
