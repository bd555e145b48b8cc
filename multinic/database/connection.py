"""An open connection with one host, whichever product is behind it, and what only this room catches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from multinic.values.errors import SourceBusy, SourceError, SourceRejected

ANSWER_MAX = 16 * 1024 * 1024
"""Bytes of an answer: 1,000 rows of the longest addresses are a third of it."""

Found = tuple[list[str], Iterable[Sequence[Any]], int]
"""What a statement gives: column names, rows, and how many rows it changed."""

_JOINED = re.compile(r"\b[isn]\.(?:subnet_id|attached_node_id)\b|\bn\.attached_node_name\b")


class Missing(Exception):
    """A statement named a table, or a column that joins two tables, that the database lacks."""


class Incomparable(Exception):
    """Two columns that the statement compares have collations that the server does not compare."""


class TooLong(SourceRejected):
    """An answer is longer than we read."""


class Interrupted(SourceError):
    """The connection broke: the same may work a moment later, on a new one."""


class Conflict(Interrupted, SourceBusy):
    """Another transaction was in the way: the same may work a moment later."""


class Connection(NamedTuple):
    """A connection with one host."""

    execute: Callable[[str, Sequence[Any]], Found]
    """Run one statement within the limit. Raises Missing, Incomparable and SourceError, nothing else."""
    close: Callable[[], None]
    transaction: Callable[[], AbstractContextManager[None]]
    """A context that commits its statements together, or none of them, within one limit."""
    where: str
    """The database for messages: product, host and name, never a password."""
    address: str = ""
    """The address that answered; "" for a socket or a file."""
    login: str = ""
    """The way in which the user logged in, by the server's name for it; "" for its usual one."""


def joins(message: str) -> bool:
    """Return whether a message about a missing column is about one that only joins two tables."""
    return bool(_JOINED.search(message))


def too_much(where: str) -> TooLong:
    """Return the error for an answer that is longer than we read."""
    return TooLong(
        f"{where}: the answer is longer than {ANSWER_MAX >> 20} MiB",
        "look for a column with a very long text, and at what wrote it",
    )
