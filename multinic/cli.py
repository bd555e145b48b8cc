"""The command line: parse, call one function, print, exit. Nothing is decided here."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from multinic import __version__, config, ending
from multinic.config import Settings
from multinic.errors import Exit, MultinicError
from multinic.host import Host
from multinic.log import Log, mark_for
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
            _fail(str(e), e.hint, e.exit)
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
                    _tell(line, err=True)
                sys.exit(Exit.ERROR)
            hint = "this is a bug of multinic's; run it again with -v and report what it prints"
            _fail(f"unexpected error: {type(e).__name__}: {e}", hint, Exit.ERROR)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the global options."""
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as e:
            _make_printable(e)
            raise

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program; a reader of our output that went away is no error worth a word."""
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


def _fail(message: str, hint: str, status: Exit) -> NoReturn:
    mark = mark_for(sys.stderr, "error")
    _tell(f"{mark}multinic: {message}", err=True)
    if hint:
        _tell(f"{mark}  {hint}", err=True)
    sys.exit(status)


def _make_printable(error: click.ClickException) -> None:
    """Escape what click is about to print: it quotes arguments, not always escaped."""
    error.__dict__["message"] = printable(error.message)


def _tell(line: str, *, err: bool = False) -> None:
    """Print a line, also one with text of others in it."""
    click.echo(printable(line), err=err)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="multinic", message="%(prog)s %(version)s")
@click.option("--config", "config_path", metavar="FILE", help=f"Settings  [default: {config.DEFAULT_PATH}]")
@click.option(
    "--database-url", metavar="URL", help="mysql://user@host:3306/name or sqlite:////path; no password."
)
@click.option("--node", metavar="NAME", help="This node's name in the database  [default: host name]")
@click.option(
    "--backend", type=click.Choice(config.BACKENDS), help="What configures the links  [default: auto]"
)
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


def _print_json(document: object) -> None:
    click.echo(json.dumps(document, indent=2))


@main.command()
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Save the plan as JSON.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 3 if anything would change.")
@click.option("--allow-mass-delete", is_flag=True, help="Remove even if most or all would go at once.")
@click.pass_obj
def plan(context: Context, out: str | None, detailed_exitcode: bool, allow_mass_delete: bool) -> None:
    """Show what would change on this host, and why. Changes nothing.

    \b
    Example:
        multinic plan --detailed-exitcode
    """
    from multinic import reconcile  # each command pays for what it uses
    from multinic.document import document
    from multinic.view import verdict

    settings = context.settings()
    view = reconcile.plan(settings, context.host(settings), allow_mass_delete=allow_mass_delete)
    if out is not None:
        _save(out, document(view.plan))
    if context.output == "json":
        _print_json(document(view.plan))
    else:
        from multinic import show

        show.plan(view.plan, view.why_backend)
    sys.exit(Exit.PENDING if detailed_exitcode and not view.plan.empty else verdict(view.plan))


def _save(path: str, document: Mapping[str, Any]) -> None:
    """Write a plan to a file of its own, never through a symlink: the directory may be open to others.

    What is there and is no file (/dev/stdout) is written to as it is.
    """
    from multinic.errors import ConfigError, HostError

    text = json.dumps(document, indent=2) + "\n"
    where = os.path.abspath(path)
    try:
        if os.path.exists(where) and not os.path.isfile(where):
            with open(where, "w", encoding="utf-8") as stream:
                stream.write(text)
        elif not os.path.isdir(os.path.dirname(where)):
            raise ConfigError(f"cannot write {path}: there is no such directory")
        else:
            Host().write(where, text, 0o600)
    except OSError as e:
        raise ConfigError(f"cannot write {path}: {e.strerror}") from e
    except HostError as e:
        raise ConfigError(str(e), e.hint) from e


@main.command()
@click.argument("saved", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[PLAN]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--allow-mass-delete", is_flag=True, help="Remove even if most or all would go at once.")
@click.pass_obj
def apply(context: Context, saved: str | None, yes: bool, allow_mass_delete: bool) -> None:
    """Carry out a plan now, after showing it; asks on a terminal.

    PLAN is a file from `multinic plan --out`: it is refused if it no longer matches the database or the host.

    \b
    Example:
        multinic plan --out plan.json && multinic apply plan.json
    """
    from multinic import reconcile

    settings = context.settings()
    confirm = _confirmation(context, None if saved is None else _load(saved), yes)
    ending.in_order()
    status = reconcile.reconcile(
        settings,
        context.host(settings),
        context.log(settings),
        confirm=confirm,
        allow_mass_delete=allow_mass_delete,
    )
    if context.output == "json":
        from multinic.report import statefile

        _print_json(statefile.load(Host(context.root)))
    sys.exit(status)


def _load(path: str) -> Any:
    from multinic.errors import ConfigError

    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
    except (OSError, ValueError, RecursionError) as e:
        raise ConfigError(f"{path} is not a plan: {e}", "make one with `multinic plan --out FILE`") from e
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path} is not a plan: not a JSON object", "make one with `multinic plan --out FILE`"
        )
    return document


def _confirmation(context: Context, saved: Any, yes: bool) -> Callable[[Any], bool]:
    def confirm(view: Any) -> bool:
        if saved is not None:
            from multinic.document import check_fresh

            check_fresh(saved, view.plan)
        if context.output == "table" and not (yes and saved is not None):  # that one has been looked at
            from multinic import show

            show.plan(view.plan, view.why_backend)
        if yes or view.plan.empty or not sys.stdin.isatty():
            return True
        return click.confirm("Carry this out?", err=True)

    return confirm


@main.command()
@click.pass_obj
def reconcile(context: Context) -> None:
    """Do one full pass without questions: plan, apply, verify, report. For timers.

    \b
    Example:
        multinic --log-format json reconcile
    """
    from multinic import reconcile as flow

    settings = context.settings(attended=False)
    ending.in_order()
    status = flow.reconcile(settings, context.host(settings), context.log(settings))
    if context.output == "json":
        from multinic.report import statefile

        _print_json(statefile.load(Host(context.root)))
    sys.exit(status)


@main.command()
@click.pass_obj
def status(context: Context) -> None:
    """Show the last result and the live state of every managed interface. Needs no database.

    \b
    Example:
        multinic --output json status
    """
    from multinic.status import status as document_of

    document = document_of(Host(context.root))
    if context.output == "json":
        _print_json(document)
    else:
        from multinic import show

        show.status(document)


@main.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Look for what is wrong, and say what to do: database, backend, other owners of the links, files, timer.

    Changes nothing. Ends with 4 when something must be corrected.

    \b
    Example:
        multinic doctor
    """
    from multinic import doctor as examination

    document = examination.examine(lambda: context.settings(attended=False), context.root)
    if context.output == "json":
        _print_json(document)
    else:
        from multinic import show

        show.findings(document)
    sys.exit(document["exit"])


@main.command()
@click.argument("names", nargs=-1, metavar="[INTERFACE]...")
@click.pass_obj
def render(context: Context, names: tuple[str, ...]) -> None:
    """Print the files that would be written: path and content. Changes nothing.

    \b
    Example:
        multinic render multinic0
    """
    from multinic import reconcile
    from multinic.view import rendered

    settings = context.settings()
    view = reconcile.plan(settings, context.host(settings))
    files = rendered(view, names)
    if context.output == "json":
        _print_json({"version": 1, "backend": view.backend.NAME, "files": files})
    elif not files:
        click.echo(f"backend {view.backend.NAME} writes no files", err=True)
    else:
        for path, text in files.items():
            for line in (f"==> {path} <==", *text.split("\n")):
                _tell(line)


@main.command()
@click.option("--interrupted", is_flag=True, help="Only a change that was not finished, as after a crash.")
@click.pass_obj
def rollback(context: Context, interrupted: bool) -> None:
    """Put back how the interfaces were before the last, or an interrupted, change.

    The next pass carries the database's wish out again: stop the timer first.

    \b
    Example:
        multinic rollback
    """
    from multinic import recovery

    settings = context.settings()
    log = context.log(settings)
    ending.in_order()
    if not recovery.rollback(context.host(settings), log, interrupted_only=interrupted):
        click.echo("there is no change to undo")


@main.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(context: Context, yes: bool) -> None:
    """Take everything managed off this host and give the links their old names back; asks on a terminal.

    Needs no database. The next pass configures everything again: stop the timer first, if that is not meant.

    \b
    Example:
        multinic purge
    """
    from multinic import purge as removal

    def confirm(plans: list[Any]) -> bool:
        from multinic import show

        for plan in plans if context.output == "table" else ():
            show.plan(plan, "all that is managed is to go")
        if yes or all(plan.empty for plan in plans) or not sys.stdin.isatty():
            return True
        return click.confirm("Take all of this off the host?", err=True)

    settings = context.settings()
    ending.in_order()
    purged = removal.purge(settings, context.host(settings), context.log(settings), confirm=confirm)
    if context.output == "json":
        _print_json(removal.document(purged))
    sys.exit(purged.exit)


@main.command()
@click.option("--socket", is_flag=True, help="Answer HTTP on a socket that systemd passes.")
@click.pass_obj
def health(context: Context, socket: bool) -> None:
    """Print how passes fare on this host, for monitoring. Needs no root and no database.

    Ends with 4 when no pass has run for a while, or the last one had no database.

    \b
    Example:
        multinic health
    """
    from multinic import health as report

    host = Host(context.root)
    if socket:
        from multinic import serve

        serve.serve(serve.passed(os.environ), lambda path: report.answer(host, path))
        return
    document = report.document(host)
    _print_json(document)
    sys.exit(Exit.PARTIAL if document["status"] == report.Status.UNHEALTHY else Exit.OK)


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
        _tell(line)


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
        _tell(line)


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
        _tell(line)


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
