"""From what is asked of a list to a condition of SQL. Pure; values are parameters, always."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from multinic.dashboard.filters import Filter
from multinic.database.status import AGO

_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){1,5}[:-]?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{0,12}){1,4}")
_LAST = "\U0010ffff"  # after every character of a name: NAME <= x < NAME + this is "begins with NAME"


class Condition(NamedTuple):
    """Some SQL that is true of the rows that are meant."""

    text: str
    values: tuple[Any, ...] = ()


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that all of these are true."""
    parts = list(conditions)
    text = " AND ".join(f"({part.text})" for part in parts) or "1 = 1"
    return Condition(text, tuple(value for part in parts for value in part.values))


class Words(NamedTuple):
    """How the product at hand spells things, and what counts as silent and as retired."""

    product: str
    mark: str
    """What stands for a parameter."""
    silent_after: int
    retired: Sequence[str]
    deleted: Sequence[str] = ()
    """The nodes that the controller has deleted."""

    @property
    def silent(self) -> str:
        """An expression: 1 for a node of which nothing has come for too long."""
        return f"CASE WHEN last_seen < {AGO[self.product].format(self.silent_after)} THEN 1 ELSE 0 END"

    def present(self) -> Iterable[Condition]:
        """Yield what leaves out the nodes that are retired."""
        for pattern in self.retired:
            yield Condition(f"node NOT LIKE {self.mark} ESCAPE '!'", (pattern,))
        if self.deleted:
            marks = ", ".join([self.mark] * len(self.deleted))
            yield Condition(f"node NOT IN ({marks})", tuple(self.deleted))

    def column(self, listed: Filter, name: str) -> str:
        """Return the expression of a column of a list."""
        return listed.listing.columns[name].format(silent=self.silent)


def of_filter(listed: Filter, words: Words, *, without: Sequence[str] = ()) -> Condition:
    """Return what a list has in it, but for the facets in `without`."""
    facets = (of_facet(listed, words, name) for name in listed.wanted if name not in without)
    search = [_search(listed, words)] if listed.search else []
    return all_of([*words.present(), *facets, *search])


def of_facet(listed: Filter, words: Words, name: str) -> Condition:
    """Return the condition of one facet: one of the values that are wanted, none of those that are not."""
    values = listed.wanted[name]
    column = words.column(listed, name)
    parts = []
    for some, negation in (
        ([value for value in values if not value.startswith("!")], ""),
        ([value[1:] for value in values if value.startswith("!")], "NOT "),
    ):
        if some:
            marks = ", ".join([words.mark] * len(some))
            parts.append(Condition(f"{column} {negation}IN ({marks})", tuple(_value(name, v) for v in some)))
    return all_of(parts)


def _value(facet: str, value: str) -> Any:
    return {"yes": 1, "no": 0}.get(value, -1) if facet == "silent" else value


def place(listed: Filter, words: Words, at: Sequence[Any], *, beyond: bool) -> Condition:
    """Return the condition of rows after a place in the order (`beyond`), or before it."""
    sign = ">" if beyond is not listed.descending else "<"
    keys = listed.keys
    first = Condition(f"{keys[0]} {sign}= {words.mark}", (at[0],))  # alone it uses the index
    parts = []
    for number, key in enumerate(keys):
        same = [Condition(f"{name} = {words.mark}", (at[n],)) for n, name in enumerate(keys[:number])]
        parts.append(all_of([*same, Condition(f"{key} {sign} {words.mark}", (at[number],))]))
    later = Condition(
        " OR ".join(part.text for part in parts), tuple(v for part in parts for v in part.values)
    )
    return all_of([first, later])


def _search(listed: Filter, words: Words) -> Condition:
    """Return what a word looks for, by what it looks like; the columns are those of the list."""
    text = listed.search
    if "*" in text:
        return _anywhere(listed, words, text)
    if listed.listing.name == "nodes":
        return _begins(words, "node", text)
    low = text.lower()
    if _MAC.fullmatch(low):
        return _begins(words, "mac", low.replace("-", ":"))
    if _UUID.fullmatch(low):
        return _begins(words, "port_id", low)
    if address := _address(text):
        like = f"addresses LIKE {words.mark} ESCAPE '!'"
        return Condition(f"{like} OR {like}", (f"{address}/%", f"% {address}/%"))
    node = _begins(words, "node", text)
    same = " OR ".join(f"{name} = {words.mark}" for name in ("reason", "name", "port_id"))
    return Condition(f"({node.text}) OR {same}", (*node.values, text, text, text))


def _begins(words: Words, column: str, text: str) -> Condition:
    return Condition(f"{column} >= {words.mark} AND {column} < {words.mark}", (text, text + _LAST))


def _anywhere(listed: Filter, words: Words, text: str) -> Condition:
    pattern = "%".join(map(escaped, text.split("*")))
    columns = {"nodes": ("node", "error"), "interfaces": ("node", "message", "reason", "addresses", "mac")}
    names = columns[listed.listing.name]
    return Condition(
        " OR ".join(f"{name} LIKE {words.mark} ESCAPE '!'" for name in names), (pattern,) * len(names)
    )


def escaped(text: str) -> str:
    """Return a text for LIKE ... ESCAPE '!' in which no character has a meaning of its own."""
    return re.sub(r"([!%_])", r"!\1", text)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
