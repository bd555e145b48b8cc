"""A conversation with the database, on the first of its hosts that can do what is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from multinic.database import statement
from multinic.database.connection import Connection, Found, Incomparable, Interrupted, Missing
from multinic.database.dial import Allowed, anywhere
from multinic.database.statement import ROWS_MAX, Answer, Shape
from multinic.values.errors import Asked, SourceBusy, SourceError, SourceOutdated, SourceRejected

if TYPE_CHECKING:
    from multinic.database.compare_and_set import AsRead

NEEDED = frozenset({"id", "port_id", "macaddress", "netplan_success"})
"""Columns of multi_interface that every controller's table has."""

_AT_ONCE = 40
"""So many rows are compared in one statement: SQLite may take no more than 999 parameters."""
_NOTHING_ASKED = (0, 0, 0.0)

T = TypeVar("T")
Open = Callable[[Allowed], Connection]
"""Connects to one host, at an address that is allowed."""
WhyNot = Callable[[Answer, str], str]
"""Returns why an answer of a host is not taken; "" if it is."""

_OUTDATED = (
    "if this host is a replica, let it catch up, or take it out of database.url; after a restore, "
    "`multinic apply` takes its answer at once, every pass after ten minutes"
)


def _nothing_is_wrong(_: Answer, __: str) -> str:
    return ""


class Session:
    """A conversation with the database.

    A host may let us in and then not answer (a node of a cluster that lost the others), or answer and not
    take a result (one that is read-only). So whatever is asked, the next host is asked when one says no.
    """

    def __init__(
        self,
        hosts: Sequence[Open],
        *,
        placeholder: str,
        product: str,
        allowed: Allowed = anywhere,
        names: Sequence[str] = (),
    ) -> None:
        """Connect to the first host that lets us in. Raises SourceError, as every method does.

        `names`: the hosts as metrics call them; without, they all have the name of the product.
        """
        self.placeholder = placeholder
        self.product = product
        """"mysql" or "sqlite": for the few statements that differ (`db init`)."""
        self.shape = Shape()
        """What is believed of the tables; right after `ask`."""
        self.columns: frozenset[str] = frozenset()
        """The columns of multi_interface, known after `ask`."""
        self.allowed = allowed
        """Whether a new connection may be made to an address."""
        self._hosts = hosts
        self._names = names or [product] * len(hosts)
        self._asked = dict.fromkeys(self._names, _NOTHING_ASKED)
        self._connection: Connection | None = None
        self._at = 0
        """The host of the connection, or of the last one, by its place in the URL."""
        self._has_answered = False
        """Whether the connection has answered before: then it may have been closed since, unnoticed."""
        self._refused: dict[int, SourceError] = {}
        """The hosts that did not let us in, until the first `ask`: it does not ask them again."""
        self._anywhere(lambda: None, self._refused)

    def __enter__(self) -> Session:
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

    def ask(self, node: str, why_not: WhyNot = _nothing_is_wrong) -> Answer:
        """Return all rows that may be of one node, of the first host with an answer that `why_not` takes.

        Raises SourceError and SourceRejected, and SourceOutdated where only refused answers came.
        """
        refused, self._refused = self._refused, {}
        return self._anywhere(lambda: self._taken(self._first_answer(node), why_not), refused)

    def _first_answer(self, node: str) -> Answer:
        """Ask; over a connection that is some time old, and then over a new one.

        A server ends a connection that is silent for long, and so does a firewall on the way to it.
        """
        return self._twice(lambda: self._ask(node)) if self._has_answered else self._ask(node)

    def _taken(self, answer: Answer, why_not: WhyNot) -> Answer:
        if words := why_not(answer, self.where):
            raise SourceOutdated(f"{self.where} has an older state: {words}", _OUTDATED)
        return answer

    def ask_again(self, node: str) -> Answer:
        """Ask once more, after a while in which the connection may have been lost. Raises as `ask`."""
        return self._anywhere(lambda: self._twice(lambda: self._ask(node)), {})

    def ask_others(self, node: str) -> Iterator[tuple[str, Answer]]:
        """Ask every host but the one that answered; yield where, and what it says, of those that answer."""
        for number, host in enumerate(self._hosts):
            if number != self._at:
                with suppress(SourceError), self._alone(host) as other:
                    yield other.where, other.ask(node)

    def _alone(self, host: Open) -> Session:
        return Session([host], placeholder=self.placeholder, product=self.product, allowed=self.allowed)

    @property
    def at_first(self) -> bool:
        """Whether the connection is with the host that the URL names first."""
        return self._at == 0

    @property
    def has_others(self) -> bool:
        """Whether the database has more than one host."""
        return len(self._hosts) > 1

    def report_success(self, success: Mapping[int, bool], read: AsRead | None = None) -> None:
        """Write `netplan_success` (and `modified_at` where it exists) of rows, by row id.

        The id is the right key: a row that was replaced since it was read has a new one, and
        our word was not about that row. `read`: the rows as they were read; one that was changed since does
        not get a 1. Raises SourceError.
        """
        self.carry_out(lambda: self._report(success, read or {}))

    def carry_out(self, use: Callable[[], T]) -> T:
        """Do something on the first host that can: once more where the connection breaks or is in the way of
        another, so it must be something that may be done twice. Raises what `use` does, and SourceError.
        """
        return self._anywhere(lambda: self._twice(use), {})

    def modified(self, row_ids: Sequence[int]) -> Answer:
        """Return `id` and `modified_at` of rows, of the host that answered last. Raises SourceError."""
        if "modified_at" not in self.columns:
            return Answer(("id",), ())
        marks = ", ".join([self.placeholder] * len(row_ids))
        text = f"SELECT id, modified_at FROM multi_interface WHERE id IN ({marks})"  # noqa: S608
        names, rows, _ = self.execute(text, row_ids)
        return Answer(tuple(names), tuple(map(tuple, rows)))

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
        requests, errors, seconds = self._asked[self._names[number]]
        took = time.monotonic() - begun
        self._asked[self._names[number]] = (requests + 1, errors + failed, seconds + took)

    def take_asked(self) -> Asked:
        """Return what was asked of each host since the last call: logins, reads and transactions."""
        taken, self._asked = self._asked, dict.fromkeys(self._names, _NOTHING_ASKED)
        return taken

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

    def _ask(self, node: str) -> Answer:
        while (found := self._try_to_select(node)) is None:
            pass  # every belief is given up once at most
        return found

    def _try_to_select(self, node: str) -> Answer | None:
        """Return the rows; None if the statement did not suit the tables, of which more is known now."""
        shape = self.shape
        try:
            found = self._select(node)
        except Missing as e:
            self.shape = self._without(str(e))
            return None
        except Incomparable as e:
            # Of the names, or of the identifiers that join tables.
            self.shape = shape._replace(case=True) if "like" in str(e) else shape._replace(collations=True)
            if self.shape == shape:
                raise SourceRejected(f"{self.where}: {e}", "give the tables one collation") from None
            return None
        if shape.case is None and self.product == "mysql":
            self.shape = shape._replace(case=self._case_matters())
        return None if self.shape.case and not shape.case else found

    def _case_matters(self) -> bool | None:
        """Return whether node names that differ in case are different to the database; None if it has none.

        Rows in another case than this host's name would not be found. What a table has shows in no answer
        without rows, so this takes a statement; a converged host remembers what came of it.
        """
        try:
            _, found, _ = self.execute(statement.collations(self.shape), ())
        except (Missing, Incomparable, SourceError):
            return False  # a product that does not know the question
        names = [str(name) for (name,) in found]
        return not all("_ci" in name for name in names) if names else None

    def _without(self, missing: str) -> Shape:
        """Return the shape for tables that lack something. Raises SourceRejected where that is needed."""
        if self.shape.subnets and ("multi_subnet" in missing or "subnet_id" in missing):
            return self.shape._replace(subnets=False)
        if self.shape.nodes and ("node_table" in missing or "attached_node_id" in missing or "n." in missing):
            return self.shape._replace(nodes=False)
        raise SourceRejected(
            f"{self.where}: there is no table multi_interface",
            "create the tables with `multinic db init`, or correct the database name in database.url",
        )

    def _select(self, node: str) -> Answer:
        text = statement.select(self.shape, self.placeholder)
        names, rows, _ = self.execute(text, statement.parameters(self.shape, node))
        try:
            found = statement.answer(names, rows)
        except (ValueError, LookupError):
            words = f"{self.where}: what came is no answer to the question"
            raise SourceError(words, "look at what answers there") from None
        self._has_answered = True
        self.columns = frozenset(found.columns[: found.columns.index("_subnet")])
        if missing := NEEDED - self.columns:
            raise SourceRejected(
                f"{self.where}: table multi_interface has no column {', '.join(sorted(missing))}",
                "this is not the table of the MultiNIC controller; correct the database name in database.url",
            )
        if len(found.rows) > ROWS_MAX:
            raise SourceRejected(
                f"{self.where}: more than {ROWS_MAX} rows are of a node of this name",
                "remove those that were deleted long ago, and look at what writes so many",
            )
        return found

    def _report(self, success: Mapping[int, bool], read: AsRead) -> None:
        from multinic.database.compare_and_set import unchanged  # an idle pass needs none of it

        good = sorted(row_id for row_id, flag in success.items() if flag)
        with self.transaction():
            if bad := sorted(row_id for row_id, flag in success.items() if not flag):
                self._set_success(False, bad)
            if unread := [row_id for row_id in good if row_id not in read]:
                self._set_success(True, unread)
            rest = [row_id for row_id in good if row_id in read]
            for at in range(0, len(rest), _AT_ONCE):
                some = rest[at : at + _AT_ONCE]
                conditions = [unchanged(read[row_id], self.product, self.placeholder) for row_id in some]
                words = " OR ".join(
                    f"(id = {row_id} AND {text})" for row_id, (text, _) in zip(some, conditions, strict=True)
                )
                self._set_success(True, some, words, [value for _, values in conditions for value in values])

    def _set_success(
        self, value: bool, ids: list[int], condition: str = "", more: Sequence[Any] = ()
    ) -> None:
        modified = ", modified_at = CURRENT_TIMESTAMP" if "modified_at" in self.columns else ""
        marks = ", ".join([self.placeholder] * len(ids))
        also = f" AND ({condition})" if condition else ""
        self.execute(
            f"UPDATE multi_interface SET netplan_success = {int(value)}{modified} "  # noqa: S608
            f"WHERE id IN ({marks}){also}",
            [*ids, *more],
        )


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
