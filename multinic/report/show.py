"""Plans, states and files for a person: tables and coloured diffs. Never part of an idle pass."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from multinic.host.language import said
from multinic.host.language import translated as _
from multinic.report.layout import (
    IDENTITY,
    INTERFACE,
    Cell,
    Column,
    coloured,
    console,
    padded,
    paragraph,
    print_lines,
    table,
)
from multinic.report.show_status import status
from multinic.values.plan import Interface, Plan
from multinic.values.text import printable

__all__ = ["findings", "history", "plan", "status"]


def plan(shown: Plan, why_backend: str, *, wide: bool = False) -> None:
    """Print a plan: a table, the changes of each interface, the difference of each file.

    `wide`: a line for each interface, with its row and port, however long.
    """
    out = console()
    width = None if wide else out.width
    words = _("node {node}, backend {backend} ({why})")
    words = words.format(node=printable(shown.node), backend=shown.backend, why=said(why_backend))
    out.print(Text(paragraph(words, width)))
    if shown.interfaces:
        rows = [_planned(interface, wide) for interface in shown.interfaces]
        print_lines(out, table(_PLAN + IDENTITY * wide, rows, width))
    for interface in shown.interfaces:
        _details(out, interface, width)
    out.print(Text(_summary(shown)))


_PLAN = (
    *INTERFACE,
    Column("reason"),
    Column("link"),
)


def _planned(interface: Interface, wide: bool) -> list[Cell]:
    row, port = interface.row_id, interface.port_id
    return [
        Cell(interface.name or "-"),
        Cell(printable(interface.mac_text) or "-"),
        coloured(str(interface.state)),
        Cell(interface.reason),
        Cell(printable(interface.link.name) if interface.link else "-"),
        *([Cell("-" if row is None else str(row)), Cell(printable(port) or "-")] if wide else ()),
    ]


def _details(out: Console, interface: Interface, width: int | None) -> None:
    if str(interface.state) == "unchanged":
        return
    out.print()
    name = printable(interface.name or interface.mac_text)
    words = Text(paragraph(f"{name}: {printable(said(interface.message))}", width))
    words.stylize("bold", 0, len(name))
    out.print(words)
    for change in interface.changes:
        out.print(Text(paragraph(printable(str(change)), width, "    ")))
    for file in interface.files:
        chmod = file.action == "chmod" and file.old_mode is not None
        mode = f" (mode {file.old_mode:04o} → {file.mode:04o})" if chmod else ""
        out.print(Text(f"  {file.action} {file.path}{mode}"))
        for line in file_diff(file.path, file.old or "", file.new or ""):
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            out.print(Text(f"    {printable(line)}", style=colour))


def file_diff(path: str, old: str, new: str) -> list[str]:
    """Return the unified diff of a file, without its two header lines."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), path, path, lineterm="", n=2)
    return list(lines)[2:]


def _summary(shown: Plan) -> str:
    counts: dict[str, int] = {}
    for interface in shown.interfaces:
        counts[str(interface.state)] = counts.get(str(interface.state), 0) + 1
    counted = _counted(sorted(counts.items())) or _("no interfaces")
    end = _("nothing to do") if shown.empty else _("{count} to change").format(count=len(shown.pending))
    return f"\n{counted}: {end}"


def _counted(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(_("{count} {what}").format(count=count, what=what) for what, count in counts)


_EVENTS = {
    "created": "green",
    "changed": "yellow",
    "repaired": "yellow",
    "removed": "red",
    "failed": "bold red",
    "rolled-back": "bold red",
    "invalid": "bold red",
    "blocked": "magenta",
    "waiting": "cyan",
    "outage": "red",
    "unfinished": "red",
}


def history(document: Mapping[str, Any]) -> None:
    """Print the events of this host: a line each, and what changed below it. 80 columns are enough."""
    out = console()
    if not document["events"]:
        out.print(Text(_("no events")))
        return
    titles = (padded(_("time"), 19), padded(_("interface"), 17), padded(_("event"), 11), _("reason"))
    out.print(Text("  ".join(titles), style="bold"))
    for item in document["events"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item["number"] / 1e6))
        who = printable(item["name"] or item["mac"] or "-")
        what = f"{item['event']:<11}"
        reason = printable(item["reason"])
        event = (what, _EVENTS.get(item["event"], ""))
        out.print(Text.assemble(f"{when}  {who:<17}  ", event, f"  {reason}"))
        for line in _details_of(item):
            out.print(Text(paragraph(printable(said(line)), 80, "    ")))


def _details_of(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an event says besides its reason: a message that is more than its changes, and these."""
    changes = [
        change["to"]
        if change["field"] == "file"
        else f"{change['field']} {change['from'] or '(none)'} → {change['to'] or '(none)'}"
        for change in item["changes"]
    ]
    if item["message"] != "; ".join(changes):
        yield item["message"]
    yield from changes


_LEVELS = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "bold red"}


def findings(document: Mapping[str, Any]) -> None:
    """Print the findings of `multinic doctor`, each with what to do about it."""
    out = console()
    found = Table(box=None, pad_edge=False, header_style="bold")
    for header in (_("level"), _("check"), _("finding")):
        found.add_column(header, no_wrap=header != _("finding"), overflow="fold")
    for item in document["findings"]:
        words = Text(printable(said(item["message"])))
        if item["hint"]:
            words.append(f"\n→ {printable(said(item['hint']))}", style="dim")
        found.add_row(Text(_(item["level"]), style=_LEVELS[item["level"]]), Text(item["check"]), words)
    out.print(found)
    counts = document["summary"]
    counted = _counted((_(level), counts[level]) for level in reversed(_LEVELS) if level in counts)
    out.print(Text(f"\n{counted}"))
