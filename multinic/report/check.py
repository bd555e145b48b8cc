"""What `multinic db check` found, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from multinic.host.language import said
from multinic.host.language import translated as _
from multinic.report.layout import console, padded, paragraph
from multinic.values.text import counted, printable

_LEVELS = {"note": "cyan", "problem": "bold red"}


def check(document: Mapping[str, Any]) -> None:
    """Print the findings: a line each, and what is wrong below it. 80 columns are enough."""
    out = console()
    rows, nodes = counted(document["rows"], "row"), counted(document["nodes"], "node")
    words = f"{document['database']}: {rows}, {document['desired']} desired, of {nodes}"
    out.print(Text(printable(said(words))))
    if document["findings"]:
        level, reason, row = padded(_("level"), 7), padded(_("reason"), 20), _("row")
        row = " " * (9 - cell_len(row)) + row  # flush right, as the numbers below
        out.print(Text(f"{level}  {reason}  {row}  {_('node')}", style="bold"))
    for item in document["findings"]:
        row = "" if item["row_id"] is None else str(item["row_id"])
        found = (padded(_(item["level"]), 7), _LEVELS[item["level"]])
        out.print(Text.assemble(found, f"  {item['reason']:<20}  {row:>9}  {printable(item['node']) or '-'}"))
        out.print(Text(paragraph(printable(said(item["message"])), out.width, "    ")))
    if document["left_out"]:
        out.print(Text(said(f"and {document['left_out']} more; --limit shows more")))
    counts = document["summary"]
    levels = [level for level in ("problem", "note") if level in counts]
    summary = ", ".join(_("{count} {what}").format(count=counts[level], what=_(level)) for level in levels)
    out.print(Text(summary or _("nothing is wrong")))
