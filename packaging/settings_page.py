"""multinic.toml(5): a man page of the settings, from docs/reference.md."""

from __future__ import annotations

from collections.abc import Iterator

from roff import blocks, definitions, document, example, inline, rows, section, sentence

NAME = r""".SH NAME
multinic.toml \- settings of multinic
.SH SYNOPSIS
.I /etc/multinic/multinic.toml
.SH DESCRIPTION
"""
TABLES = r"""
.PP
The file is TOML. A setting with a dot in its name is in a table:
.B database.url
is
.B url
below
.BR [database] .
.SH SETTINGS"""
END = r"""
.SH FILES
.TP
.I /etc/multinic/multinic.toml
The settings. 0640 is right.
.TP
.I /etc/multinic/password
The password of the database, alone, with mode 0600.
.SH SEE ALSO
.BR multinic (1),
.BR systemd.timer (5),
.BR systemd.exec (5)
"""


def page(reference: str, version: str) -> str:
    """Return the man page, from the section Configuration of the reference."""
    body = "\n".join(_body(section(reference, "Configuration")))
    return document("multinic.toml", 5, version, NAME + body + END)


def _body(markdown: str) -> Iterator[str]:
    """Yield the parts of the section: after the table of settings come notes; code is the example."""
    notes = False
    for kind, text in blocks(markdown):
        if kind == "code":
            yield ".SH EXAMPLE\n" + example(text)
        elif kind == "text":
            yield ".PP\n" + inline(text)
        elif notes:
            yield definitions(text)
        else:
            yield TABLES.strip()
            yield from (_setting(*cells) for cells in rows(text))
            yield ".SH NOTES"
            notes = True


def _setting(name: str, default: str, variables: str, meaning: str) -> str:
    known = f"Default: {inline(default)}. Environment: {inline(variables)}."
    return f".TP\n{inline(name)}\n{sentence(meaning)}\n.br\n{known}"
