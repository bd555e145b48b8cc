"""What is asked of a list: read from the query of a URL, and written as one. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from multinic.dashboard.listings import SIZES, Listing

TEXT_MAX = 255
"""Characters of a value."""
VALUES_MAX = 60
"""Values in one query."""
Pairs = Iterable[tuple[str, str]]
DRESS = frozenset({"lang", "theme"})
"""Parameters that say how a page looks: of every page, and no part of what is asked."""


class Invalid(ValueError):
    """A query that cannot be meant; the text says why."""


@dataclass(frozen=True)
class Filter:
    """What is asked of one list."""

    listing: Listing
    search: str = ""
    wanted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Facet → values; one that begins with "!" is left out of the list, the others are all that is in it."""
    order: str = "node"
    """With "-" before it: the last first."""
    size: int = SIZES[0]
    columns: tuple[str, ...] = ()
    """Those that are shown; () for the usual ones."""
    after: tuple[Any, ...] = ()
    """Where the page begins: the values of the order's columns in the row before it."""
    before: tuple[Any, ...] = ()
    """Where it ends, if that is known and not where it begins."""

    @property
    def descending(self) -> bool:
        """Whether the last comes first."""
        return self.order.startswith("-")

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the order."""
        return self.listing.orders[self.order.removeprefix("-")]

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns to show."""
        return self.columns or self.listing.usual

    def query(self, **changes: Any) -> str:
        """Return the query of the URL that asks for this, with changes; another order begins anew."""
        asked = replace(self, **changes)
        pairs = [("q", asked.search)] if asked.search else []
        pairs += [(name, value) for name, values in asked.wanted.items() for value in values]
        pairs += [("sort", asked.order)] if asked.order != "node" else []
        pairs += [("size", str(asked.size))] if asked.size != SIZES[0] else []
        pairs += [("columns", name) for name in asked.columns]
        pairs += [
            (name, written(at)) for name, at in (("after", asked.after), ("before", asked.before)) if at
        ]
        return urlencode(pairs)

    def sorted_by(self, order: str) -> str:
        """Return the query for another order; for the same one, the other way round."""
        return self.query(order=f"-{order}" if self.order == order else order, after=(), before=())

    def toggled(self, facet: str, value: str) -> str:
        """Return the query with one value more of a facet, or one less."""
        values = self.wanted.get(facet, ())
        other = value.removeprefix("!") if value.startswith("!") else f"!{value}"
        left = tuple(known for known in values if known not in (value, other))
        new = left if value in values else (*left, value)
        wanted = {**self.wanted, facet: new}
        return self.query(wanted={name: of for name, of in wanted.items() if of}, after=(), before=())

    def chips(self) -> Iterator[tuple[str, str, str]]:
        """Yield what the list is filtered by: name, value, and the query without it."""
        if self.search:
            yield "q", self.search, self.query(search="", after=(), before=())
        for facet, values in self.wanted.items():
            for value in values:
                yield facet, value, self.toggled(facet, value)


def parse(listing: Listing, pairs: Pairs) -> Filter:
    """Return what a query asks of a list. Raises Invalid."""
    given = _given(pairs)
    known = {"q", "sort", "size", "columns", "after", "before", *listing.facets}
    if unknown := sorted(given.keys() - known):
        raise Invalid(f"unknown parameter {unknown[0]!r}; known are {', '.join(sorted(known))}")
    order = _one(given, "sort") or "node"
    if order.removeprefix("-") not in listing.orders:
        raise Invalid(f"sort must be one of {', '.join(listing.orders)}, with a - before it or without")
    columns = tuple(dict.fromkeys(given.get("columns", ())))
    if unknown := sorted(set(columns) - listing.columns.keys()):
        raise Invalid(f"unknown column {unknown[0]!r}; known are {', '.join(listing.columns)}")
    keys = len(listing.orders[order.removeprefix("-")])
    found = Filter(
        listing=listing,
        search=_one(given, "q").strip(),
        wanted={name: tuple(dict.fromkeys(given[name])) for name in listing.facets if name in given},
        order=order,
        size=_size(_one(given, "size")),
        columns=columns,
        after=_read(_one(given, "after"), keys),
        before=_read(_one(given, "before"), keys),
    )
    if found.after and found.before:
        raise Invalid("a page is asked for by `after` or by `before`, not by both")
    return found


def one(pairs: Pairs, name: str) -> str:
    """Return the only parameter of a page that has one. Raises Invalid."""
    given = _given(pairs)
    if unknown := sorted(given.keys() - {name}):
        raise Invalid(f"unknown parameter {unknown[0]!r}; known is {name}")
    if not (value := _one(given, name)):
        raise Invalid(f"the parameter {name} is missing")
    return value


def choice(pairs: Pairs, name: str, values: Sequence[str]) -> str:
    """Return the only parameter of a page, one of these; the first one if it is not given. Raises Invalid."""
    given = _given(pairs)
    if unknown := sorted(given.keys() - {name}):
        raise Invalid(f"unknown parameter {unknown[0]!r}; known is {name}")
    found = _one(given, name) or values[0]
    if found not in values:
        raise Invalid(f"{name} must be one of {', '.join(values)}")
    return found


def none(pairs: Pairs) -> None:
    """Refuse parameters where a page has none. Raises Invalid."""
    if given := _given(pairs):
        raise Invalid(f"unknown parameter {min(given)!r}; there are none here")


def _given(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    listed = [(name, value) for name, value in pairs if value and name not in DRESS]
    if len(listed) > VALUES_MAX:
        raise Invalid(f"more than {VALUES_MAX} parameters")
    for name, value in listed:
        if len(value) > TEXT_MAX and name not in ("after", "before"):
            raise Invalid(f"the value of {name[:40]!r} has more than {TEXT_MAX} characters")
        found.setdefault(name, []).append(value)
    return found


def _one(given: Mapping[str, Sequence[str]], name: str) -> str:
    values = given.get(name, ())
    if len(values) > 1:
        raise Invalid(f"{name} is there {len(values)} times")
    return values[0] if values else ""


def _size(text: str) -> int:
    if not text:
        return SIZES[0]
    if text not in map(str, SIZES):
        raise Invalid(f"size must be one of {', '.join(map(str, SIZES))}")
    return int(text)


def written(at: Sequence[Any]) -> str:
    """Return a place in an order as one word."""
    return base64.urlsafe_b64encode(json.dumps(list(at)).encode()).decode().rstrip("=")


def _read(word: str, length: int) -> tuple[Any, ...]:
    """Return the place in an order that a word stands for. Raises Invalid."""
    if not word:
        return ()
    problem = Invalid("this is no place in this list; begin with its first page")
    if len(word) > 4096:
        raise problem
    try:
        found = json.loads(base64.b64decode(word + "=" * (-len(word) % 4), b"-_", validate=True))
    except (ValueError, RecursionError):
        raise problem from None
    right = isinstance(found, list) and len(found) == length
    if not right or not all(isinstance(value, str) or type(value) is int for value in found):
        raise problem
    if any(type(value) is int and not -(2**63) <= value < 2**63 for value in found):
        raise problem
    return tuple(found)
