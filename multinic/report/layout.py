"""Tables for terminals: what has no room beside the first columns moves to lines below. Nothing is cut."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from multinic.host.language import translated
from multinic.values.text import printable

_COLOURS = {
    "create": "green",
    "update": "yellow",
    "delete": "red",
    "waiting": "cyan",
    "blocked": "magenta",
    "invalid": "bold red",
    "failed": "bold red",
    "drifted": "yellow",
}
_GAP = "  "
_INDENT = "    "
_MORE = "\0"  # stands for the second column of a wide letter, while lines are counted in letters
_LEAST = 8  # cells that a column has, however narrow the terminal


def console() -> Console:
    """Return a console on stdout; rich itself sees to NO_COLOR, and to a stdout that is not a terminal.

    Output to a file or a pipe is 400 columns wide, so that it is not cut to the width of a terminal.
    """
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 400)


class Column(NamedTuple):
    """A column of a table."""

    header: str
    stays: bool = False
    """Whether it stays in the table, however narrow that is: its values are folded then."""
    most: int = 1 << 16
    """So many cells are enough for all but odd values, which are folded where there is no room."""
    label: bool = True
    """Whether its values have the header before them on a line below; else they have that line alone."""


INTERFACE = (
    Column("interface", stays=True, most=15),
    Column("mac", stays=True, most=17),
    Column("state", stays=True, most=9),
)
"""How each table of interfaces begins."""
IDENTITY = (Column("row"), Column("port"))
"""By what else an interface is known, in wide tables."""


class Cell(NamedTuple):
    """A value of a table, printable already; "-" for none."""

    text: str
    style: str = ""
    needless: bool = False
    """Whether it is worth no line below."""


Row = Sequence[Cell]


def table(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[Text]:
    """Return the lines of a table of this width; None: each row is one line, however long.

    Columns that have no room are moved below their row, the last one first.
    """
    widths = [
        max(cell_len(text) for text in (translated(column.header), *(row[at].text for row in rows)))
        for at, column in enumerate(columns)
    ]
    if width is not None:
        if _sum(widths) > width:
            widths = [min(found, column.most) for found, column in zip(widths, columns, strict=True)]
        while len(widths) > 1 and not columns[len(widths) - 1].stays and _sum(widths) > width:
            widths.pop()
        while (excess := _sum(widths) - width) > 0 and max(widths) > _LEAST:
            widest = widths.index(max(widths))
            widths[widest] = max(_LEAST, widths[widest] - excess)
    inside = len(widths)
    lines = list(_line([Cell(translated(column.header), "bold") for column in columns[:inside]], widths))
    for row in rows:
        lines += _line(row[:inside], widths)
        lines += _below(columns[inside:], row[inside:], width or 80)
    return lines


def paragraph(text: str, width: int | None, indent: str = "", hanging: str = "") -> str:
    """Return a text in lines of this width that begin with `indent`; longer words are folded, not cut.

    `hanging`: what all lines but the first begin with besides.
    """
    if width is None:
        return f"{indent}{text}"
    filled = textwrap.fill(
        "".join(letter + _MORE * (cell_len(letter) - 1) for letter in text),
        max(width, len(indent + hanging) + _LEAST),
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return filled.replace(_MORE, "")


def padded(text: str, width: int) -> str:
    """Return a text that takes at least so many columns of a terminal."""
    return text + " " * (width - cell_len(text))


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _line(row: Row, widths: Sequence[int]) -> Iterator[Text]:
    """Yield the lines of a row: one, unless a value is wider than its column."""
    folded = [chop_cells(cell.text, width) or [""] for cell, width in zip(row, widths, strict=True)]
    for at in range(max(map(len, folded))):
        line = Text()
        for cell, parts, width in zip(row, folded, widths, strict=True):
            part = parts[at] if at < len(parts) else ""
            line.append(part, cell.style).append(" " * (width - cell_len(part)) + _GAP)
        line.rstrip()
        yield line


def _below(columns: Iterable[Column], row: Row, width: int) -> Iterator[Text]:
    """Yield the lines below a row: values with their labels together, others on lines of their own."""
    pairs = list(zip(columns, row, strict=True))
    shown = [(column, cell.text) for column, cell in pairs if not cell.needless and cell.text != "-"]
    labelled = ", ".join(f"{translated(column.header)} {text}" for column, text in shown if column.label)
    for text in (labelled, *(text for column, text in shown if not column.label)):
        if text:
            yield Text(paragraph(text, width, _INDENT))


def coloured(state: str) -> Cell:
    """Return a state as a cell in its colour."""
    return Cell(printable(state), _COLOURS.get(state, ""))


def print_lines(out: Console, lines: Iterable[Text | str]) -> None:
    """Print lines as they are."""
    for line in lines:
        out.print(line)
