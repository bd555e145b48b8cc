"""Help and questions in the reader's language. Imported only where a person reads them, never by a pass."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

import click

from multinic.host.language import foreign, translated


def asked(question: str) -> bool:
    """Ask a person at the terminal, and return whether the answer is yes. Raises click.Abort."""
    return click.confirm(translated(question), err=True)


def say(text: str) -> None:
    """Print one of our texts."""
    click.echo(translated(text))


def formatter(context: click.Context) -> click.HelpFormatter:
    """Return what writes the help of a command: click's own for English."""
    if not foreign():
        return context.make_formatter()
    return Formatter(width=context.terminal_width, max_width=context.max_content_width)


def first_sentence(text: str) -> str:
    """Return what a list of commands says of one: the first sentence of its help; "" for English."""
    if not foreign():
        return ""
    paragraph = " ".join(next(paragraphs(inspect.cleandoc(text)), []))
    return translated(paragraph).partition(". ")[0].rstrip(".")


class Formatter(click.HelpFormatter):
    """Writes help in the reader's language. Korean letters take two columns, unlike what click counts."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that says how a command is called."""
        start = f"{prefix or translated('Usage:') + ' '}{prog}"
        self.write("\n".join(_filled(f"{start} {args}", self.width, " " * (_cells(start) + 1))) + "\n")

    def write_heading(self, heading: str) -> None:
        """Write the heading of a section."""
        super().write_heading(translated(heading))

    def write_text(self, text: str) -> None:
        """Write paragraphs; what follows a line with \\b is not wrapped."""
        indent = " " * self.current_indent
        for number, paragraph in enumerate(paragraphs(text)):
            if number:
                self.write("\n")
            if paragraph[0].strip() == "\b":
                lines = [indent + (line if line[:1] == " " else translated(line)) for line in paragraph[1:]]
            else:
                lines = _filled(indent + translated(" ".join(paragraph)), self.width, indent)
            self.write("\n".join(lines) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write options or commands, each with what it means."""
        rows = list(rows)
        first = min(max(_cells(term) for term, _ in rows), col_max) + col_spacing
        indent = " " * (self.current_indent + first)
        for term, meaning in rows:
            start = " " * self.current_indent + term
            if _cells(term) <= first - col_spacing:
                start = start.ljust(len(indent))
            else:
                self.write(start + "\n")
                start = indent
            lines = _filled(indent + translated(meaning), self.width, indent)
            self.write("\n".join([start + lines[0][len(indent) :], *lines[1:]]).rstrip() + "\n")


def paragraphs(text: str) -> Iterator[list[str]]:
    """Yield the lines of each paragraph of a help text."""
    for paragraph in re.split(r"\n[ \t]*\n", text.strip("\n")):
        yield paragraph.splitlines()


def _filled(text: str, width: int, indent: str) -> list[str]:
    """Break a text between words into lines of so many columns; all but the first are indented."""
    lines = [re.match(r" *", text)[0]]  # type: ignore[index]
    empty = True
    for word in text.split():
        line = lines[-1] if empty else f"{lines[-1]} "
        if not empty and _cells(line + word) > width:
            lines.append(indent + word)
        else:
            lines[-1] = line + word
        empty = False
    return lines


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
