"""What click says of a wrong command line, in the reader's language. Imported where a person reads that."""

from __future__ import annotations

import click

from multinic.cli.words import formatter
from multinic.host.language import said, translated

SENTENCES = (
    "Aborted!",
    "Got unexpected extra argument ({})",
    "Got unexpected extra arguments ({})",
    "Invalid value for {}: {}",
    "Invalid value: {}",
    "Missing argument {}.",
    "Missing command.",
    "Missing option {}.",
    "No such command {}.",
    "No such command {}. Did you mean {}?",
    "No such command {}. (Did you mean one of: {}?)",
    "No such option {}.",
    "No such option {}. Did you mean {}?",
    "No such option {}. (Did you mean one of: {}?)",
    "No such option: {}",
    "No such option: {} (Possible options: {})",
    "No such option: {} Did you mean {}?",
    "Option {} does not take a value.",
    "Option {} requires an argument.",
    "File {} does not exist.",
    "File {} is a directory.",
    "{} is not a valid integer range.",
    "{} is not a valid integer.",
    "{} is not in the range {}.",
    "{} is not one of {}.",
)
"""What all supported versions of click may say of our commands; here for the catalogue (`make texts`)."""


def show(error: click.ClickException) -> None:
    """Print a mistake as click does: how the command is called, where to read more, what is wrong."""
    context = getattr(error, "ctx", None)
    if context is not None:
        usage = formatter(context)
        context.command.format_usage(context, usage)
        click.echo(usage.getvalue().rstrip("\n"), err=True)
        help_of = f"{context.command_path} {context.help_option_names[-1]}"
        click.echo(translated("Try '{command}' for help.").format(command=help_of) + "\n", err=True)
    words = said(error.format_message())
    click.echo(translated("Error: {message}").format(message=words), err=True)
