"""The result of a pass in the database: `netplan_success` of each row, written only if it changes."""

from __future__ import annotations

from collections.abc import Callable

from multinic.database.compare_and_set import as_read
from multinic.database.session import Session
from multinic.database.statement import Answer
from multinic.report.report import GOOD, Report
from multinic.values.desired import Desired, DesiredLink


def write(
    database: Session,
    desired: Desired,
    report: Report,
    read_again: Callable[[], Desired] | None = None,
    answer: Answer | None = None,
) -> list[int]:
    """Write `netplan_success` of the rows of which it changes, and return their ids. Raises SourceError.

    `read_again` returns what is desired by now, where the pass took its time: a row that asks for something
    else since has not succeeded. `answer` has the rows as they were read: one that changes even after that
    does not get a 1 either. The next pass sees it.
    """
    good = {result.interface.row_id for result in report.results if result.state in GOOD}
    changed = {
        flag.row_id: flag.row_id in good
        for flag in desired.flags
        if flag.success is not (flag.row_id in good)
    }
    if read_again is not None and any(changed.values()):
        now, before = _by_row(read_again()), _by_row(desired)
        changed = {row: ok for row, ok in changed.items() if not ok or now.get(row) == before.get(row)}
    if changed:
        database.report_success(changed, as_read(answer) if answer else None)
    return sorted(changed)


def _by_row(desired: Desired) -> dict[int, DesiredLink]:
    return {link.row_id: link for link in desired.links}
