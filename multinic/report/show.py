"""Plans, states and files for a person: tables and coloured diffs. Never part of an idle pass."""

from __future__ import annotations

import difflib
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from multinic.values.plan import Interface, Plan
from multinic.values.text import printable

_COLOURS = {
    "create": "green",
    "update": "yellow",
    "delete": "red",
    "waiting": "cyan",
    "blocked": "magenta",
    "invalid": "bold red",
    "failed": "bold red",
}


def console() -> Console:
    """Return a console on stdout; rich itself sees to NO_COLOR, and to a stdout that is not a terminal.

    Output to a file or a pipe is 400 columns wide, so that it is not cut to the width of a terminal.
    """
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 400)


def plan(shown: Plan, why_backend: str) -> None:
    """Print a plan: a table, the changes of each interface, the difference of each file."""
    out = console()
    out.print(Text(f"node {printable(shown.node)}, backend {shown.backend} ({why_backend})"))
    if shown.interfaces:
        table = _table("interface", "mac", "state", "reason", "link")
        for interface in shown.interfaces:
            link = interface.link.name if interface.link else "-"
            table.add_row(
                Text(interface.name or "-"),
                Text(printable(interface.mac_text) or "-"),
                _state(str(interface.state)),
                Text(interface.reason),
                Text(printable(link)),
            )
        out.print(table)
    for interface in shown.interfaces:
        _details(out, interface)
    out.print(Text(_summary(shown)))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column != "reason", overflow="fold")
    return table


def _state(state: str) -> Text:
    return Text(state, style=_COLOURS.get(state, ""))


def _details(out: Console, interface: Interface) -> None:
    if str(interface.state) == "unchanged":
        return
    out.print()
    name = printable(interface.name or interface.mac_text)
    out.print(Text.assemble((name, "bold"), f": {printable(interface.message)}"))
    for change in interface.changes:
        out.print(Text(f"    {printable(str(change))}"))
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
    counted = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no interfaces"
    end = "nothing to do" if shown.empty else f"{len(shown.pending)} to change"
    return f"\n{counted}: {end}"


def _link_words(item: Mapping[str, Any]) -> str:
    if item["link"] is None:
        return "not plugged in"
    state = "up" if item["up"] else "down"
    carrier = "" if item["carrier"] or not item["up"] else ", no carrier"
    return f"{printable(item['link'])} {state}{carrier}"


def _agent_words(agent: Mapping[str, Any]) -> str:
    words = f"an agent runs: {agent['process']}"
    if agent["since"]:
        words += f", since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(agent['since']))}"
    if agent["next_pass_in"] is not None:
        words += f"; its next pass is in {agent['next_pass_in']:.0f} s"
    elif agent["answers"] is False:
        words += f"; it does not answer on {agent['listen']}"
    return words


def status(document: Mapping[str, Any]) -> None:
    """Print the result of the last pass beside the present state of the links."""
    out = console()
    live = document["interfaces"]
    if document["time"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(document["time"]))
        where = printable(f"node {document['node']}, backend {document['backend']}")
        out.print(Text(f"{where}, last change or sign of life {when}"))
    else:
        out.print(Text("no pass has finished since boot"))
    if document["error"]:
        out.print(Text(printable(document["error"]), style="red"))
    if document["agent"]:
        out.print(Text(printable(_agent_words(document["agent"]))))
    found = document["detected"]
    out.print(Text(printable(f"this host is managed by {found['backend']}: {found['why']}")))
    table = _table("interface", "mac", "state", "link", "mtu", "addresses", "reason")
    for item in live:
        table.add_row(
            Text(printable(str(item["name"] or "-"))),
            Text(printable(str(item["mac"] or "-"))),
            _state(printable(str(item["state"]))),
            Text(_link_words(item)),
            Text(str(item["mtu"] or "-")),
            Text(" ".join(item["addresses"]) or "-"),
            Text(printable(str(item["message"]))),
        )
    if live:
        out.print(table)
    else:
        out.print(Text("no managed interfaces"))


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
        out.print(Text("no events"))
        return
    out.print(Text(f"{'time':<19}  {'interface':<17}  {'event':<11}  reason", style="bold"))
    for item in document["events"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item["number"] / 1e6))
        who = printable(item["name"] or item["mac"] or "-")
        what = f"{item['event']:<11}"
        reason = printable(item["reason"])
        coloured = (what, _EVENTS.get(item["event"], ""))
        out.print(Text.assemble(f"{when}  {who:<17}  ", coloured, f"  {reason}"))
        for line in _details_of(item):
            for part in textwrap.wrap(printable(line), 76):
                out.print(Text(f"    {part}"))


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
    table = _table("level", "check", "finding")
    table.columns[2].no_wrap = False
    for item in document["findings"]:
        words = Text(printable(item["message"]))
        if item["hint"]:
            words.append(f"\n→ {printable(item['hint'])}", style="dim")
        table.add_row(Text(item["level"], style=_LEVELS[item["level"]]), Text(item["check"]), words)
    out.print(table)
    counts = document["summary"]
    counted = ", ".join(f"{counts[level]} {level}" for level in reversed(_LEVELS) if level in counts)
    out.print(Text(f"\n{counted}"))
