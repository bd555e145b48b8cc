"""How a pass goes: what it has by now, for those who report and count it when it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multinic.database.session import Session
    from multinic.report.report import Report


class Course:
    """How a pass has gone so far."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.recovered = 0
        """How many interfaces were restored first, because a run was interrupted."""
        self.session: Session | None = None
        """That of the pass, once there is one. It connects again if it was closed meanwhile."""
        self.report: Report | None = None
        """The result; None of an idle pass, and of one that an error ended."""
        self.error: Exception | None = None
