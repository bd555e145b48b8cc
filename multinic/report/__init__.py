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
    from_memory: bool = False
    """The database could not be read; the desired state was the last known good one."""

    @property
    def exit(self) -> Exit:
        """The exit status this outcome deserves."""
        states = {result.state for result in self.results}
        if states & {State.FAILED, State.INVALID}:
            return Exit.PARTIAL
        return Exit.REFUSED if State.BLOCKED in states else Exit.OK
