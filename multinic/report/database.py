"""Tell the database: `netplan_success` of each row, only where it changes."""

from __future__ import annotations

from multinic.model import Desired
from multinic.report import GOOD, Report
from multinic.source.database import Database


def write(database: Database, desired: Desired, report: Report) -> None:
    """Write what changed. Raises SourceError."""
    good = {result.interface.row_id for result in report.results if result.state in GOOD}
    changed = {
        flag.row_id: flag.row_id in good
        for flag in desired.flags
        if flag.success is not (flag.row_id in good)
    }
    if changed:
        database.report_success(changed)
