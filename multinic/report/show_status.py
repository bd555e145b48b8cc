"""The state of a host for a person: how the passes and the database are, and a table of the interfaces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
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
from multinic.values.text import printable

_ENDS = {
    0: _("nothing is wrong"),
    4: _("not every interface is as desired"),
    5: _("a safety rule refused"),
    75: _("the database did not answer, or another run was busy"),
}
_SOON = 20.0  # seconds: the next pass comes later
_LABEL = 11  # cells for the word at the beginning of a line
_COLUMNS = (
    *INTERFACE,
    Column("since"),
    Column("link"),
    Column("mtu"),
    Column("addresses"),
    Column("reason", label=False),
)


def status(document: Mapping[str, Any], *, wide: bool = False, out: Console | None = None) -> None:
    """Print the result of the last pass beside the present state of the links.

    `wide`: a line for each interface, with its row and port, however long.
    """
    out = out or console()
    width = None if wide else out.width
    for label, words, style in _lines(document, time.time()):
        text = paragraph(padded(label, _LABEL) + printable(words), width, hanging=" " * _LABEL)
        out.print(Text(text, style=style))
    columns = (*_COLUMNS[:-1], *(IDENTITY if wide else ()), _COLUMNS[-1])
    if document["interfaces"]:
        rows = [_row(item, wide) for item in document["interfaces"]]
        print_lines(out, ["", *table(columns, rows, width)])
    else:
        out.print(_("no managed interfaces"))


def _lines(document: Mapping[str, Any], now: float) -> Iterator[tuple[str, str, str]]:
    """Yield label, words and style of each line above the table."""
    detected = document["detected"]
    if document["node"]:
        words = _("{node}, backend {backend}")
        yield _("node"), words.format(node=document["node"], backend=document["backend"]), ""
    words = _("managed by {backend}: {why}")
    yield _("host"), words.format(backend=detected["backend"], why=said(detected["why"])), ""
    if document["agent"]:
        yield _("agent"), _agent_words(document["agent"]), ""
    yield _("last pass"), _last_words(document, now), ""
    yield _("next pass"), _next_words(document["passes"], now), ""
    yield _("database"), _database_words(document["database"], now), ""
    if document["error"]:
        yield _("trouble"), said(document["error"]), "red"


def _agent_words(agent: Mapping[str, Any]) -> str:
    words = _("an agent runs: {process}").format(process=agent["process"])
    if agent["since"]:
        words += _(", since {time}").format(time=_moment(agent["since"]))
    if agent["answers"] is False:
        words += _("; it does not answer on {address}").format(address=agent["listen"])
    return words


def _last_words(document: Mapping[str, Any], now: float) -> str:
    passes = document["passes"]
    known = passes["last"] is not None
    when, status = (passes["last"], passes["exit"]) if known else (document["time"], document["exit"])
    if when is None:
        return _("no pass has finished since boot")
    words = f"{_moment(when)}, {ago(now - when)}"
    if status is not None:
        end = _ENDS.get(status, _("it could not be finished"))
        words += _(": exit status {status} ({end})").format(status=status, end=end)
    if not known and now - when > _SOON:
        words += _("; there may be later ones: without news, one leaves a trace only every 5 minutes")
    return words


def _next_words(passes: Mapping[str, Any], now: float) -> str:
    if passes["running"]:
        return _("a pass runs now")
    if passes["by"] is None:
        return _("not known: neither multinic.timer nor an agent is seen here")
    by = "multinic.timer" if passes["by"] == "timer" else _("the agent")
    if passes["next"] is None:
        return _("by {by}; it does not say when").format(by=by)
    wait = passes["next"] - now
    if wait <= 0:
        return _("due now, by {by}").format(by=by)
    return _("in {time}, by {by}").format(time=_span(wait), by=by)


def _database_words(database: Mapping[str, Any], now: float) -> str:
    if database["read"] is None:
        return _("not known: no pass says whether it could be read")
    seen = f"{_moment(database['time'])}, {ago(now - database['time'])}"
    if database["read"]:
        wrong = _(", but the result could not be written") if database["error"] else ""
        return _("read by the pass of {seen}").format(seen=seen) + wrong
    since = _(" since {time}").format(time=_moment(database["since"])) if database["since"] else ""
    return _("not readable{since}; seen last {seen}").format(since=since, seen=seen)


def _row(item: Mapping[str, Any], wide: bool) -> list[Cell]:
    good = item["state"] == "converged"
    plain = good or item["reason"] in ("drift", "unknown")
    message = printable(said(str(item["message"])))
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
        return _("not plugged in")
    name = "" if item["link"] == item["name"] else f"{printable(item['link'])} "
    carrier = "" if item["carrier"] or not item["up"] else _(", no carrier")
    return f"{name}{'up' if item['up'] else 'down'}{carrier}"


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def ago(seconds: float) -> str:
    """Return how long ago something was, in words."""
    if seconds < -1:
        return _("in the future: the clock was set back")
    return _("{time} ago").format(time=_span(seconds))


def _span(seconds: float) -> str:
    whole = max(0, round(seconds))
    for unit, length in ((_("{count} days"), 86400), (_("{count} h"), 3600), (_("{count} min"), 60)):
        if whole >= 2 * length:
            return unit.format(count=whole // length)
    return _("{count} s").format(count=whole)
