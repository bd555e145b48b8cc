"""The report: the result of a pass, as one value that every reporter takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from multinic.decide.verdict import verdict
from multinic.values.asked import Asked, Requests
from multinic.values.errors import Exit, SourceError
from multinic.values.plan import Result, State

GOOD = (State.CONVERGED, State.UNCHANGED)


@dataclass(frozen=True)
class Report:
    """The result of one pass. `time` is Unix time."""

    version: str
    node: str
    backend: str
    time: float
    results: tuple[Result, ...]
    database_error: str = ""
    """Why the database could not be read, so that the source was the last known good state; "" if it was."""
    report_error: str = ""
    """Why the result could not be written to the database; "" if it was, or if it was not read either."""
    report_hint: str = ""
    """What to do about `report_error`."""
    tables_error: str = ""
    """Why the result could not be written to our own tables; "" if it was, or if there are none."""
    tables_hint: str = ""
    """What to do about `tables_error`."""
    database_exit: Exit = Exit.RETRY
    """The exit status that either error of the database means."""
    given_back: tuple[str, ...] = ()
    """What others lost by the change and got back, each thing in one word (THINGS in values/counts.py)."""
    asked: Asked = field(default_factory=dict)
    """What was asked of each host of the database."""

    @property
    def from_memory(self) -> bool:
        """Whether the source was the last known good state."""
        return bool(self.database_error)

    @property
    def exit(self) -> Exit:
        """The exit status that follows from the results."""
        return verdict(result.state for result in self.results)

    @property
    def status(self) -> Exit:
        """The exit status of the pass."""
        return self.database_exit if self.from_memory or self.report_error else self.exit


Reporter = Callable[[Report], object]
"""Hands a report on, for example to the log. Raises SourceError, and HostError, which ends the pass."""


def deliver(report: Report, reporters: Iterable[Reporter]) -> Report:
    """Give the report to one reporter after the other, and return it as the last reporter got it.

    An error of the database does not stop the reporters that follow: the report that they get contains it.
    """
    for reporter in reporters:
        report = _delivered(report, reporter)
    return report


def _delivered(report: Report, reporter: Reporter) -> Report:
    try:
        reporter(report)
    except SourceError as e:
        report = with_asked(report, e.asked)
        return replace(report, report_error=str(e), report_hint=e.hint, database_exit=e.exit)
    return report


def with_asked(report: Report, asked: Asked) -> Report:
    """Return a report with more that was asked of hosts of the database."""
    added = dict(report.asked)
    for host, more in asked.items():
        added[host] = added.get(host, Requests()).and_more(more)
    return replace(report, asked=added)
