"""What a pass came to, as one value that every reporter takes."""

from __future__ import annotations

from dataclasses import dataclass

from multinic.apply import Result
from multinic.errors import Exit
from multinic.plan import State

GOOD = (State.CONVERGED, State.UNCHANGED)


@dataclass(frozen=True)
class Report:
    """The outcome of one pass. `time` is Unix time."""

    version: str
    node: str
    backend: str
    time: float
    results: tuple[Result, ...]
    database_error: str = ""
    """Why the database could not be read; "" if it was. The desired state was the last known good one."""
    report_error: str = ""
    """Why the database was not told of the outcome; "" if it was, or could not even be read."""

    @property
    def from_memory(self) -> bool:
        """Whether the desired state was the last known good one."""
        return bool(self.database_error)

    @property
    def exit(self) -> Exit:
        """The exit status this outcome deserves."""
        states = {result.state for result in self.results}
        if states & {State.FAILED, State.INVALID}:
            return Exit.PARTIAL
        return Exit.REFUSED if State.BLOCKED in states else Exit.OK
