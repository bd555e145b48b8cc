"""The state of a host for a person: how the passes and the database are, and a table of the interfaces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from multinic.report.layout import Cell, Column, coloured, console, paragraph, print_lines, table
from multinic.values.text import printable

_ENDS = {
    0: "nothing is wrong",
    4: "not every interface is as desired",
    5: "a safety rule refused",
    75: "the database did not answer, or another run was busy",
}
_SOON = 20.0  # seconds: the next pass comes later
_LABEL = 11  # cells for the word at the beginning of a line
_COLUMNS = (
    Column("interface", stays=True, most=15),
    Column("mac", stays=True, most=17),
    Column("state", stays=True, most=9),
    Column("since"),
    Column("link"),
    Column("mtu"),
    Column("addresses"),
    Column("reason", label=False),
)
_IDENTITY = (Column("row"), Column("port"))


def status(document: Mapping[str, Any], *, wide: bool = False) -> None:
    """Print the result of the last pass beside the present state of the links.

    `wide`: a line for each interface, with its row and port, however long.
    """
    out = console()
    width = None if wide else out.width
    for label, words, style in _lines(document, time.time()):
        text = paragraph(f"{label:<{_LABEL}}{printable(words)}", width, hanging=" " * _LABEL)
        out.print(Text(text, style=style))
    columns = (*_COLUMNS[:-1], *(_IDENTITY if wide else ()), _COLUMNS[-1])
    if document["interfaces"]:
        rows = [_row(item, wide) for item in document["interfaces"]]
        print_lines(out, ["", *table(columns, rows, width)])
    else:
        out.print("no managed interfaces")


def _lines(document: Mapping[str, Any], now: float) -> Iterator[tuple[str, str, str]]:
    """Yield label, words and style of each line above the table."""
    detected = document["detected"]
    if document["node"]:
        yield "node", f"{document['node']}, backend {document['backend']}", ""
    yield "host", f"managed by {detected['backend']}: {detected['why']}", ""
    if document["agent"]:
        yield "agent", _agent_words(document["agent"]), ""
    yield "last pass", _last_words(document, now), ""
    yield "next pass", _next_words(document["passes"], now), ""
    yield "database", _database_words(document["database"], now), ""
    if document["error"]:
        yield "trouble", document["error"], "red"


def _agent_words(agent: Mapping[str, Any]) -> str:
    words = f"an agent runs: {agent['process']}"
    if agent["since"]:
        words += f", since {_moment(agent['since'])}"
    if agent["answers"] is False:
        words += f"; it does not answer on {agent['listen']}"
    return words


def _last_words(document: Mapping[str, Any], now: float) -> str:
    passes = document["passes"]
    known = passes["last"] is not None
    when, status = (passes["last"], passes["exit"]) if known else (document["time"], document["exit"])
    if when is None:
        return "no pass has finished since boot"
    words = f"{_moment(when)}, {ago(now - when)}"
    if status is not None:
        words += f": exit status {status} ({_ENDS.get(status, 'it could not be finished')})"
    if not known and now - when > _SOON:
        words += "; there may be later ones: without news, one leaves a trace only every 5 minutes"
    return words


def _next_words(passes: Mapping[str, Any], now: float) -> str:
    if passes["running"]:
        return "a pass runs now"
    if passes["by"] is None:
        return "not known: neither multinic.timer nor an agent is seen here"
    by = "multinic.timer" if passes["by"] == "timer" else "the agent"
    if passes["next"] is None:
        return f"by {by}; it does not say when"
    wait = passes["next"] - now
    return f"in {_span(wait)}, by {by}" if wait > 0 else f"due now, by {by}"


def _database_words(database: Mapping[str, Any], now: float) -> str:
    if database["read"] is None:
        return "not known: no pass says whether it could be read"
    seen = f"{_moment(database['time'])}, {ago(now - database['time'])}"
    if database["read"]:
        wrong = ", but the result could not be written" if database["error"] else ""
        return f"read by the pass of {seen}{wrong}"
    since = f" since {_moment(database['since'])}" if database["since"] else ""
    return f"not readable{since}; seen last {seen}"


def _row(item: Mapping[str, Any], wide: bool) -> list[Cell]:
    good = item["state"] == "converged"
    plain = good or item["reason"] in ("drift", "unknown")
    message = printable(str(item["message"]))
    row = item.get("row_id")
    identity = (Cell("-" if row is None else str(row)), Cell(printable(item.get("port_id") or "-")))
    return [
        Cell(printable(str(item["name"] or "-"))),
        Cell(printable(str(item["mac"] or "-"))),
        coloured(str(item["state"])),
        Cell(_moment(item["since"]) if item["since"] is not None else "-"),
        Cell(_link_words(item)),
        Cell(str(item["mtu"] or "-")),
        Cell(" ".join(item["addresses"]) or "-"),
        *(identity if wide else ()),
        Cell(
            message if plain else f"{printable(str(item['reason']))}: {message}",
            needless=good and not item["held"],
        ),
    ]


def _link_words(item: Mapping[str, Any]) -> str:
    if item["link"] is None:
        return "not plugged in"
    name = "" if item["link"] == item["name"] else f"{printable(item['link'])} "
    carrier = "" if item["carrier"] or not item["up"] else ", no carrier"
    return f"{name}{'up' if item['up'] else 'down'}{carrier}"


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def ago(seconds: float) -> str:
    """Return how long ago something was, in words."""
    return "in the future: the clock was set back" if seconds < -1 else f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    whole = max(0, round(seconds))
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * length:
            return f"{whole // length} {unit}"
    return f"{whole} s"
