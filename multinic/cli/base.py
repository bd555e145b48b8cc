"""What all commands share: global options, errors as sentences, printing."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import click

from multinic import __version__
from multinic.cli import formats, start, streams
from multinic.cli.formats import FORMATS, Command, Group
from multinic.host import config
from multinic.host.directories import check_root
from multinic.host.host import Host
from multinic.host.log import Log, mark_for
from multinic.values.errors import Exit, MultinicError
from multinic.values.settings import BACKENDS, Settings
from multinic.values.text import printable

_GIVEN = "multinic.given"
"""Where click keeps the words of the command line."""
# A command that nothing follows: newer clicks print the help as an error.
_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Context(NamedTuple):
    """The global options, resolved when a command needs them."""

    options: Mapping[str, Any]
    config_path: str | None
    root: str
    host_command: tuple[str, ...]
    output: str
    """One of FORMATS."""
    verbose: bool

    def host(self, settings: Settings | None = None) -> Host:
        """Return the host; without `settings`, only for functions that run no command there.

        Raises HostError for another root that another user may exchange.
        """
        if self.root != "/" and os.path.lexists(self.root):
            check_root(self.root)
        if settings is None:
            return Host(self.root, self.host_command)
        return Host(self.root, self.host_command, command_timeout=settings.command_timeout)

    def settings(self, *, attended: bool = True) -> Settings:
        """Return the settings of file, environment and options. Raises ConfigError.

        `attended`: a person reads the output, so files with too open permissions are logged.
        """
        settings = config.load(self.config_path, self.options, os.environ)
        for warning in settings.warnings if attended else ():
            self.log(settings).warning(warning)
        return settings

    @property
    def document(self) -> bool:
        """Whether one document is printed, and no table."""
        return self.output in ("json", "yaml")

    @property
    def wide(self) -> bool:
        """Whether a table has a line for each interface, however long."""
        return self.output == "wide"

    def log(self, settings: Settings) -> Log:
        level = "debug" if self.verbose else settings.log_level
        return Log(settings.log_format, level, config.node_name(settings))


class Commands(Group):
    """A group that prints our errors as a sentence with a hint, and ends with their exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; our errors end the process with their exit status."""
        try:
            return super().invoke(ctx)
        except MultinicError as e:
            if e.logged:
                sys.exit(e.exit)
            fail(ctx.obj, str(e), e.hint, e.exit)
        except click.ClickException as e:
            _refuse(e, ctx.meta[_GIVEN])
            raise
        except click.Abort:
            if not _for_a_foreign_reader():
                raise
            from multinic.host.language import translated

            click.echo("\n" + translated("Aborted!"), err=True)
            sys.exit(Exit.ERROR)
        except click.exceptions.Exit:
            raise
        except Exception as e:  # noqa: BLE001 - any bug of ours is printed below
            # An operator wants a sentence; we want the traceback, which never shows a secret.
            if isinstance(ctx.obj, Context) and ctx.obj.verbose:
                import traceback

                for line in traceback.format_exc().splitlines():
                    print_line(line, err=True)
                sys.exit(Exit.ERROR)
            hint = "this is a bug of multinic; run it again with -v and report what it prints"
            fail(ctx.obj, f"unexpected error: {type(e).__name__}: {e}", hint, Exit.ERROR)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the global options, and keep the whole command line for errors in it."""
        given = tuple(args)  # click takes words out of the list
        try:
            context = super().make_context(info_name, args, parent, **extra)
        except click.ClickException as e:
            _refuse(e, given)
            raise
        context.meta[_GIVEN] = given
        return context

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Be the program: run it, and end the process."""
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit as e:
            if isinstance(e.code, int | None):
                start.leave(e.code or 0)
            raise

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program; if what it printed is lost, a command that only prints has failed."""
        start.prepare()
        try:
            return super().main(*args, **kwargs)
        except SystemExit:
            if _output_is_lost():
                sys.exit(Exit.ERROR)
            raise


class Change(Command):
    """A command that changes something: its exit status says what became of that, printed or not."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; output that is lost is worth a line, and no other exit status."""
        try:
            return super().invoke(ctx)
        finally:
            _output_is_lost()


def _output_is_lost() -> bool:
    """Return whether standard output lost anything, and say why; a reader that went away knows."""
    lost = streams.loss()
    if lost and lost.errno != errno.EPIPE:
        print_line(f"multinic: cannot write to standard output: {lost.strerror}", err=True)
    return lost is not None


def fail(context: Context | None, message: str, hint: str, status: Exit) -> NoReturn:
    """End with an error for the operator: what happened, and what to do next.

    A script that wants a document gets one, and a collector of the log a line in its format.
    """
    if context is not None and context.document:
        print_document(context, {"version": 1, "error": message, "hint": hint, "exit": int(status)})
    if context is not None and _log_format(context) == "json":
        Log("json", node=os.uname().nodename).error(message, hint=hint)
        sys.exit(status)
    if sys.stderr.isatty():  # else a collector of logs may read it
        from multinic.host.language import said

        message, hint = said(message), said(hint)
    mark = mark_for(sys.stderr, "error")
    print_line(f"{mark}multinic: {message}", err=True)
    if hint:
        print_line(f"{mark}  {hint}", err=True)
    sys.exit(status)


def _refuse(error: click.ClickException, given: Sequence[str]) -> None:
    """End with what is wrong with a command line: in the format that it asks for, or the reader's language.

    Return if click is to say it.
    """
    if isinstance(error, _HELP):
        return
    error.__dict__["message"] = printable(error.message)  # click quotes arguments, and escapes not always
    log_format = _value(given, "--log-format", ("json", "text"))
    path = _value(given, "--config") or os.environ.get("MULTINIC_CONFIG") or None
    options = {"log_format": log_format} if log_format else {}
    context = Context(options, path, "/", (), _value(given, "--output", FORMATS), verbose=False)
    if context.document or _log_format(context) == "json":
        fail(context, error.format_message(), "", Exit.USAGE)
    if _for_a_foreign_reader():
        from multinic.cli import mistakes

        mistakes.show(error)
        sys.exit(error.exit_code)


def _for_a_foreign_reader() -> bool:
    """Return whether a person reads what goes to stderr, and another language than English."""
    if not sys.stderr.isatty():
        return False
    from multinic.host.language import foreign

    return foreign()


def _value(given: Sequence[str], option: str, allowed: Sequence[str] = ()) -> str:
    """Return the last value, of those that are allowed, that words give to an option; "" for none."""
    found = ""
    for word, after in zip(given, (*given[1:], ""), strict=True):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else after
    return found if found in allowed or not allowed else ""


def _log_format(context: Context) -> str:
    """Return the format of the log; as far as it is known where the settings cannot be read."""
    try:
        return context.settings(attended=False).log_format
    except MultinicError:
        said = context.options.get("log_format") or os.environ.get("MULTINIC_LOG_FORMAT", "")
        return "json" if str(said).lower() == "json" else "text"


def print_messages(lines: Iterable[str], *, err: bool = False) -> None:
    """Print messages in the reader's language, as they come."""
    from multinic.host.language import said

    for line in lines:
        print_line(said(line), err=err)


def print_line(line: str, *, err: bool = False) -> None:
    """Print a line, with every character escaped that is not printable."""
    click.echo(printable(line), err=err)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="multinic", message="%(prog)s %(version)s")
@click.option(
    "--config",
    "config_path",
    envvar="MULTINIC_CONFIG",
    metavar="FILE",
    help=f"Settings  [default: {config.DEFAULT_PATH}]",
)
@click.option(
    "--database-url", metavar="URL", help="mysql://user@host:3306/name or sqlite:////path; no password."
)
@click.option("--node", metavar="NAME", help="This node's name in the database  [default: host name]")
@click.option("--backend", type=click.Choice(BACKENDS), help="What configures the links  [default: auto]")
@click.option(
    "--root",
    type=click.Path(),
    default="/",
    envvar="MULTINIC_ROOT",
    metavar="DIR",
    help="Read and write the host's files below DIR.",
)
@click.option(
    "--host-command",
    envvar="MULTINIC_HOST_COMMAND",
    metavar="WORDS",
    help="Put WORDS before each command that runs on the host.",
)
@click.option(
    "--output",
    type=click.Choice(FORMATS),
    default="table",
    help="wide: a line for each interface; json, yaml: one document on stdout.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Format of the log on stderr.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    config_path: str | None,
    root: str,
    host_command: str | None,
    output: str,
    verbose: bool,
    **options: Any,
) -> None:
    """Configure the extra network interfaces of this host from a database.

    Look first, then change:

    \b
        multinic plan
        multinic apply
    """
    names = {"database_url": "database.url"}
    given = {names.get(key, key): value for key, value in options.items() if value is not None}
    ctx.obj = Context(given, config_path, root, _words(host_command or ""), output, verbose)


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a command line, split as by a shell."""
    if not text:
        return ()
    import shlex  # seldom needed

    try:
        return tuple(shlex.split(text))
    except ValueError as e:
        raise click.BadParameter(f"{e}: {text!r}", param_hint="--host-command") from None


def user_name() -> str:
    """Return the name of the user who runs the program, also behind sudo."""
    import getpass  # seldom needed

    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        name = f"uid {os.getuid()}"
    return printable(name)[:64]


def print_document(context: Context, document: object) -> None:
    """Print the one document of a command."""
    formats.print_as(context.output, document)
