"""Write the man page and the shell completions, from the commands as they are.

python3 -BIS packaging/describe.py LIBRARY DIRECTORY

LIBRARY is the directory with multinic and click; multinic.1, multinic.bash, multinic.fish and multinic.zsh
are written to DIRECTORY. The date on the page is that of SOURCE_DATE_EPOCH.
"""

import inspect
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from multinic import __version__
from multinic.cli import main

PROGRAM = "multinic"
SECTIONS = r"""
.SH EXIT STATUS
.TP
.B 0
Fine.
.TP
.B 1
Unexpected error.
.TP
.B 2
The command line or the configuration must be corrected.
.TP
.B 3
.B multinic plan \-\-detailed\-exitcode\fR:
something would change.
.TP
.B 4
Some interfaces failed or their rows are invalid, the rest is fine; or
.B multinic doctor
found a problem.
.TP
.B 5
A safety rule said no, or a saved plan is stale.
.TP
.B 75
Try again later: no database, or another run is busy.
.SH FILES
.TP
.I /etc/multinic/multinic.toml
The settings; comments in it explain each.
.TP
.I /etc/multinic/password
The password of the database, alone, with mode 0600.
.TP
.I /etc/multinic/templates/
Templates that replace those of the program, one by one.
.TP
.I /var/lib/multinic/
What is remembered: which MAC address has which number, how links were before.
.TP
.I /run/multinic/state.json
The result of the last pass.
.SH ENVIRONMENT
Every setting has a variable:
.B MULTINIC_DATABASE_URL
is that of
.BR database.url .
.TP
.B NO_COLOR
If set, nothing is coloured.
.SH SEE ALSO
.BR systemctl (1),
.BR systemd.timer (5)
.PP
All settings, options of a row, and JSON documents are in the reference in
.IR /usr/share/doc/ .
"""


def escape(text: str) -> str:
    """Return text that groff prints as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text: str) -> Iterator[str]:
    """Yield a help text as paragraphs of a man page; click's mark for "as it is" stays one."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            lines = [escape(line) for line in paragraph.splitlines()[1:]]
            if not lines[0].startswith(" "):
                yield f".PP\n{lines.pop(0)}"
            indented = [line.removeprefix("    ") for line in lines]
            yield "\n".join([".RS 4", ".EX", *indented, ".EE", ".RE"])
        else:
            yield ".PP\n" + escape(" ".join(paragraph.split()))


def options(context: click.Context) -> Iterator[str]:
    """Yield the options of a command."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option):
            names, meaning = record
            yield f".TP\n.B {escape(names)}\n{escape(' '.join(meaning.split()))}"


def commands(context: click.Context) -> Iterator[click.Context]:
    """Yield a context for each command below a group that does something."""
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from commands(inner)
        else:
            yield inner


def page() -> str:
    """Return the man page."""
    context = click.Context(main, info_name=PROGRAM, **main.context_settings)
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    summary = (main.help or "").strip().splitlines()[0].rstrip(".")
    summary = summary[0].lower() + summary[1:]
    lines = [f'.TH MULTINIC 1 "{day}" "multinic {__version__}" "System administration"']
    lines += [".SH NAME", f"multinic \\- {escape(summary)}"]
    lines += [".SH SYNOPSIS", r".B multinic", r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIOPTIONS\fR]"]
    lines += [".SH DESCRIPTION", *paragraphs(main.help or "")]
    lines += [".SH OPTIONS", "These stand before the command.", *options(context)]
    lines.append(".SH COMMANDS")
    for inner in commands(context):
        arguments = " ".join(inner.command.collect_usage_pieces(inner))
        lines.append(f".SS {escape(inner.command_path)} {escape(arguments)}".replace(" [OPTIONS]", ""))
        lines += [*paragraphs(inner.command.help or ""), *options(inner)]
    return "\n".join(lines) + SECTIONS


def completions() -> Iterator[tuple[str, str]]:
    """Yield the name of each shell and its script."""
    variable = f"_{PROGRAM.upper()}_COMPLETE"
    for shell in (BashComplete, ZshComplete, FishComplete):
        # Not the method of the class itself: that of bash first looks for a bash, of a certain version.
        yield shell.name, ShellComplete.source(shell(main, {}, PROGRAM, variable))


if __name__ == "__main__":
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "multinic.1").write_text(page(), encoding="utf-8")
    for name, text in completions():
        (directory / f"multinic.{name}").write_text(text, encoding="utf-8")
