"""A connection with one of the hosts of a database: with the first one that can do what is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from multinic.database.connection import Connection, Found, Interrupted
from multinic.database.dial import Allowed, anywhere
from multinic.values.asked import Asked, Requests, request
from multinic.values.errors import SourceBusy, SourceError, SourceOutdated, SourceRejected

T = TypeVar("T")
Itself = TypeVar("Itself", bound="Hosts")
Open = Callable[[Allowed], Connection]
"""Connects to one host, at an address that is allowed."""


class Hosts:
    """A connection that turns to another host where one fails.

    A host may let us in and then not answer (a node of a cluster that lost the others), or answer and not
    take a result (one that is read-only). So whatever is wanted, the next host is asked when one says no.
    """

    def __init__(
        self, hosts: Sequence[Open], *, allowed: Allowed = anywhere, names: Sequence[str] = ()
    ) -> None:
        """Connect to the first host that lets us in. Raises SourceError, as every method does.

        `names`: the hosts as metrics call them.
        """
        self.allowed = allowed
        """Whether a new connection may be made to an address."""
        self._hosts = hosts
        self._names = names
        self._asked = dict.fromkeys(self._names, Requests())
        self._connection: Connection | None = None
        self._at = 0
        """The host of the connection, or of the last one, by its place in the URL."""
        self._has_answered = False
        """Whether the connection has answered before: then it may have been closed since, unnoticed."""
        self._refused: dict[int, SourceError] = {}
        """The hosts that did not let us in, until something is first asked: they are left out then."""
        self._anywhere(lambda: None, self._refused)

    def __enter__(self: Itself) -> Itself:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connection(self) -> Connection:
        """The open connection."""
        if self._connection is None:
            return self._anywhere(lambda: self.connection, {})
        return self._connection

    @property
    def connected(self) -> bool:
        """Whether there is an open connection."""
        return self._connection is not None

    @property
    def where(self) -> str:
        """The database for messages: product, host and name, never a password."""
        return self.connection.where

    @property
    def address(self) -> str:
        """The address that answered; "" for a socket or a file."""
        return self.connection.address

    @property
    def at_first(self) -> bool:
        """Whether the connection is with the host that the URL names first."""
        return self._at == 0

    @property
    def has_others(self) -> bool:
        """Whether the database has more than one host."""
        return len(self._hosts) > 1

    def execute(self, text: str, parameters: Sequence[Any]) -> Found:
        """Run one statement on the host at hand. Raises Missing and SourceError."""
        return self.connection.execute(text, parameters)

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context that commits its statements together, or none of them."""
        return self.connection.transaction()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def carry_out(self, use: Callable[[], T]) -> T:
        """Do something on the first host that can: once more where the connection breaks or is in the way of
        another, so it must be something that may be done twice. Raises what `use` does, and SourceError.
        """
        return self._anywhere(lambda: self._twice(use), {})

    def take_asked(self) -> Asked:
        """Return what was asked of each host since the last call: logins, reads and transactions."""
        taken, self._asked = self._asked, dict.fromkeys(self._names, Requests())
        return taken

    def _anywhere(self, use: Callable[[], T], refused: dict[int, SourceError]) -> T:
        """Do something on the host at hand, else on the first other one that can do it.

        Hosts in `refused` are not asked; what others refuse with is added to it.
        """
        at = self._at if self._connection else 0
        for number in sorted(range(len(self._hosts)), key=lambda number: (number != at, number)):
            if number in refused:
                continue
            begun = time.monotonic()
            try:
                self._turn_to(number)
                found = use()
            except SourceError as e:
                self._count(number, begun, failed=True)
                refused[number] = e
                self.close()
            else:
                self._count(number, begun, failed=False)
                return found
        error = none_can([error for _, error in sorted(refused.items())])
        error.asked = self.take_asked()
        raise error

    def _count(self, number: int, begun: float, *, failed: bool) -> None:
        one, name = request(time.monotonic() - begun, failed=failed), self._names[number]
        self._asked[name] = self._asked[name].and_more(one)

    def _turn_to(self, number: int) -> None:
        if self._connection is None or number != self._at:
            self.close()
            self._at, self._has_answered = number, False
            self._connection = self._hosts[number](self.allowed)

    def _twice(self, use: Callable[[], T]) -> T:
        """Do something once more where the connection broke, or another transaction was in the way."""
        try:
            return use()
        except Interrupted:
            self.close()
            self._turn_to(self._at)
            return use()


def none_can(refusals: Sequence[SourceError]) -> SourceError:
    """Return the error for hosts none of which said yes: the first that says no decides what it is.

    What a host that cannot be reached would have said is not known: so a clear no is the answer.
    """
    if len(refusals) == 1:
        return refusals[0]
    decisive = next(
        (kind for kind in (SourceOutdated, SourceRejected, SourceBusy) if _some(refusals, kind)), SourceError
    )
    deciding = _some(refusals, decisive)
    kind = type(deciding[0]) if decisive is SourceRejected else decisive
    hints = list(dict.fromkeys(error.hint for error in deciding if error.hint))
    return kind("; ".join(map(str, refusals)), "; ".join(hints))


def _some(refusals: Sequence[SourceError], kind: type[SourceError]) -> list[SourceError]:
    return [error for error in refusals if isinstance(error, kind)]
