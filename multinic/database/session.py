"""What a pass asks the database for: the rows of this node, and that it takes their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from multinic.database import statement
from multinic.database.connection import Incomparable, Missing
from multinic.database.dial import Allowed, anywhere
from multinic.database.hosts import Hosts, Open
from multinic.database.statement import ROWS_MAX, Answer, Shape
from multinic.values.errors import SourceError, SourceOutdated, SourceRejected

if TYPE_CHECKING:
    from multinic.database.compare_and_set import AsRead

NEEDED = frozenset({"id", "port_id", "macaddress", "netplan_success"})
"""Columns of multi_interface that every controller's table has."""

WhyNot = Callable[[Answer, str], str]
"""Returns why an answer of a host is not taken; "" if it is."""

_OUTDATED = (
    "if this host is a replica, let it catch up, or take it out of database.url; after a restore, "
    "`multinic apply` takes its answer at once, every pass after ten minutes"
)

_OTHERS_BY_NOW = "if somebody has just changed them, wait for the next pass: it looks again"


def _nothing_is_wrong(_: Answer, __: str) -> str:
    return ""


class Session(Hosts):
    """A conversation with the database, on the first of its hosts that can do what is asked."""

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
        super().__init__(hosts, allowed=allowed, names=names or [product] * len(hosts))

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

    def report_success(self, success: Mapping[int, bool], read: AsRead | None = None) -> None:
        """Write `netplan_success` (and `modified_at` where it exists) of rows, by row id.

        The id is the right key: a row that was replaced since it was read has a new one, and
        our word was not about that row. `read`: the rows as they were read; one that was changed since does
        not get a 1. Raises SourceError.
        """
        self.carry_out(lambda: self._report(success, read or {}))

    def _report(self, success: Mapping[int, bool], read: AsRead) -> None:
        from multinic.database.compare_and_set import updates  # an idle pass needs none of it

        statements = updates(
            success,
            read,
            product=self.product,
            mark=self.placeholder,
            shape=self.shape,
            dated="modified_at" in self.columns,
        )
        try:
            with self.transaction():
                for text, parameters in statements:
                    self.execute(text, parameters)
        except (Missing, Incomparable) as e:  # they answered the question of this pass
            raise SourceRejected(f"{self.where}: its tables are others by now: {e}", _OTHERS_BY_NOW) from None

    def modified(self, row_ids: Sequence[int]) -> Answer:
        """Return `id` and `modified_at` of rows, of the host that answered last. Raises SourceError."""
        if "modified_at" not in self.columns:
            return Answer(("id",), ())
        marks = ", ".join([self.placeholder] * len(row_ids))
        text = f"SELECT id, modified_at FROM multi_interface WHERE id IN ({marks})"  # noqa: S608
        names, rows, _ = self.execute(text, row_ids)
        return Answer(tuple(names), tuple(map(tuple, rows)))

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
            self.shape = self.without(str(e))
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

    def without(self, missing: str) -> Shape:
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
        found = self.read(names, rows)
        if len(found.rows) > ROWS_MAX:
            raise SourceRejected(
                f"{self.where}: more than {ROWS_MAX} rows are of a node of this name",
                "remove those that were deleted long ago, and look at what writes so many",
            )
        return found

    def read(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Answer:
        """Return what came as an answer. Raises SourceError, and SourceRejected for another table."""
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
        return found
