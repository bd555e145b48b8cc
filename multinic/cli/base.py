"""What all commands share: global options, errors as sentences, printing."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from multinic import __version__, config
from multinic.errors import Exit, MultinicError
from multinic.host import Host
from multinic.log import Log, mark_for
from multinic.settings import BACKENDS, Settings
from multinic.text import printable


@dataclass
class Context:
    """The global options, resolved when a command needs them."""

    options: Mapping[str, Any]
    config_path: str | None
    root: str
    output: str
    verbose: bool

    def host(self, settings: Settings) -> Host:
        """Return the host to work on."""
        return Host(self.root, command_timeout=settings.command_timeout)

    def settings(self, *, attended: bool = True) -> Settings:
        """Return the settings of file, environment and options. Raises ConfigError.

        `attended`: somebody reads what is printed, so files that are open to others are told.
        """
        settings = config.load(self.config_path, self.options, os.environ, self.root)
        for warning in settings.warnings if attended else ():
            self.log(settings).warning(warning)
        return settings

    def log(self, settings: Settings) -> Log:
        """Return the log these settings ask for."""
        level = "debug" if self.verbose else settings.log_level
        return Log(settings.log_format, level, config.node_name(settings))


class Commands(click.Group):
    """A group that turns our errors into a sentence, a hint and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors of ours end the process with their exit status."""
        try:
            return super().invoke(ctx)
        except MultinicError as e:
            if e.told:
                sys.exit(e.exit)
            fail(str(e), e.hint, e.exit)
        except click.ClickException as e:
            _make_printable(e)
            raise
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as e:  # noqa: BLE001 - told below, whatever it is
            # A bug of ours: an operator wants a sentence, we want the traceback, which never shows a secret.
            if isinstance(ctx.obj, Context) and ctx.obj.verbose:
                import traceback

                for line in traceback.format_exc().splitlines():
                    tell(line, err=True)
                sys.exit(Exit.ERROR)
            hint = "this is a bug of multinic's; run it again with -v and report what it prints"
            fail(f"unexpected error: {type(e).__name__}: {e}", hint, Exit.ERROR)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the global options."""
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as e:
            _make_printable(e)
            raise

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program; a reader of our output that went away is no error worth a word."""
        if not all((sys.stdin, sys.stdout, sys.stderr)):  # closed by whoever started us
            null = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115 - to the end
            sys.stdin, sys.stdout, sys.stderr = (one or null for one in (sys.stdin, sys.stdout, sys.stderr))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that has no → is no reason to fail
        # The password is in our memory: no core file. What is collected all the same, the kernel's
        # administrator wants to have collected.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        try:
            return super().main(*args, **kwargs)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(Exit.ERROR)


def fail(message: str, hint: str, status: Exit) -> NoReturn:
    """End with an error for the operator: what happened, and what to do next."""
    mark = mark_for(sys.stderr, "error")
    with suppress(OSError):  # where nobody can read it, the status still says it
        tell(f"{mark}multinic: {message}", err=True)
        if hint:
            tell(f"{mark}  {hint}", err=True)
    sys.exit(status)


def _make_printable(error: click.ClickException) -> None:
    """Escape what click is about to print: it quotes arguments, not always escaped."""
    error.__dict__["message"] = printable(error.message)


def tell(line: str, *, err: bool = False) -> None:
    """Print a line, also one with text of others in it."""
    click.echo(printable(line), err=err)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="multinic", message="%(prog)s %(version)s")
@click.option("--config", "config_path", metavar="FILE", help=f"Settings  [default: {config.DEFAULT_PATH}]")
@click.option(
    "--database-url", metavar="URL", help="mysql://user@host:3306/name or sqlite:////path; no password."
)
@click.option("--node", metavar="NAME", help="This node's name in the database  [default: host name]")
@click.option("--backend", type=click.Choice(BACKENDS), help="What configures the links  [default: auto]")
@click.option("--root", type=click.Path(), default="/", metavar="DIR", help="Work on files below DIR.")
@click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", help="json: one document on stdout."
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Format of the log on stderr.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.pass_context
def main(
    ctx: click.Context, /, config_path: str | None, root: str, output: str, verbose: bool, **options: Any
) -> None:
    """Configure the extra network interfaces of this host from a database.

    Look first, then change:

    \b
        multinic plan
        multinic apply
    """
    names = {"database_url": "database.url"}
    given = {names.get(key, key): value for key, value in options.items() if value is not None}
    ctx.obj = Context(given, config_path, root, output, verbose)


def print_json(document: object) -> None:
    """Print the one document of `--output json`."""
    click.echo(json.dumps(document, indent=2))
