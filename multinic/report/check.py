"""What `multinic db check` found, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from multinic.report.layout import console, paragraph
from multinic.values.text import printable

_LEVELS = {"note": "cyan", "problem": "bold red"}


def check(document: Mapping[str, Any]) -> None:
    """Print the findings: a line each, and what is wrong below it. 80 columns are enough."""
    out = console()
    words = f"{document['rows']} rows, {document['desired']} desired, of {document['nodes']} nodes"
    out.print(Text(printable(f"{document['database']}: {words}")))
    if document["findings"]:
        out.print(Text(f"{'level':<7}  {'reason':<20}  {'row':>9}  node", style="bold"))
    for item in document["findings"]:
        row = "" if item["row_id"] is None else str(item["row_id"])
        level = (f"{item['level']:<7}", _LEVELS[item["level"]])
        out.print(Text.assemble(level, f"  {item['reason']:<20}  {row:>9}  {printable(item['node']) or '-'}"))
        out.print(Text(paragraph(printable(item["message"]), out.width, "    ")))
    if document["left_out"]:
        out.print(Text(f"and {document['left_out']} more; --limit shows more"))
    counts = document["summary"]
    counted = ", ".join(f"{counts[level]} {level}" for level in ("problem", "note") if level in counts)
    out.print(Text(counted or "nothing is wrong"))
