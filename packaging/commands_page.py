"""multinic(1): a man page of the commands, from the text of their help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
from roff import blocks, definitions, document, escape, example, inline, section

END = r"""
.SH FILES
.TP
.I /etc/multinic/multinic.toml
The settings:
.BR multinic.toml (5).
.TP
.I /etc/multinic/password
The password of the database, alone, with mode 0600.
.TP
.I /etc/multinic/templates/
Templates that replace those of the program, one by one.
.TP
.I /var/lib/multinic/
The record (which MAC address has which slot, how links were before) and the checkpoints.
.TP
.I /run/multinic/state.json
The result of the last pass.
.SH ENVIRONMENT
Every setting has a variable, see
.BR multinic.toml (5).
.TP
.B NO_COLOR
If set, nothing is coloured.
.SH SEE ALSO
.BR multinic.toml (5),
.BR systemctl (1),
.BR systemd.timer (5)
.PP
Options of a row and JSON documents are in the reference in
.IR /usr/share/doc/ .
"""


def paragraphs(text: str) -> Iterator[str]:
    """Yield a help text as paragraphs of a man page; a paragraph with click's mark "\\b" keeps its lines."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            lines = paragraph.splitlines()[1:]
            if not lines[0].startswith(" "):
                yield f".PP\n{escape(lines.pop(0))}"
            yield example("\n".join(line.removeprefix("    ") for line in lines))
        else:
            yield ".PP\n" + inline(paragraph)


def options(context: click.Context) -> Iterator[str]:
    """Yield the options of a command; `--help` appears once, among the global ones."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        again = context.parent is not None and "--help" in parameter.opts
        if record and isinstance(parameter, click.Option) and not again:
            names, meaning = record
            yield f".TP\n.B {escape(names)}\n{inline(meaning)}"


def commands(context: click.Context) -> Iterator[click.Context]:
    """Yield a context for each command below a group; a group itself does nothing."""
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


def page(program: click.Group, reference: str, version: str) -> str:
    """Return the man page; the meaning of the exit statuses comes from the reference."""
    context = click.Context(program, info_name="multinic", **program.context_settings)
    summary = (program.help or "").strip().splitlines()[0].rstrip(".")
    summary = summary[0].lower() + summary[1:]
    lines = [".SH NAME", f"multinic \\- {escape(summary)}"]
    lines += [".SH SYNOPSIS", r".B multinic", r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIOPTIONS\fR]"]
    lines += [".SH DESCRIPTION", *paragraphs(program.help or "")]
    lines += [".SH OPTIONS", "These stand before the command.", *options(context)]
    lines.append(".SH COMMANDS")
    for inner in commands(context):
        arguments = " ".join(inner.command.collect_usage_pieces(inner))
        lines.append(f".SS {escape(inner.command_path)} {escape(arguments)}".replace(" [OPTIONS]", ""))
        lines += [*paragraphs(inner.command.help or ""), *options(inner)]
    lines.append(".SH EXIT STATUS")
    for kind, text in blocks(section(reference, "Exit statuses")):
        lines.append(definitions(text) if kind == "table" else f".PP\n{inline(text)}")
    return document("multinic", 1, version, "\n".join(lines) + END)
