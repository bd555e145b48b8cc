"""The idle passes of an agent, counted in its memory: unlike full passes they leave nothing on disk."""

from __future__ import annotations

import time

from multinic.values.counts import BUCKET_NAMES, OUTCOMES, bucket_of


class Passes:
    """Counts of the passes of one process, beside those that full passes keep on disk."""

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        self.durations: dict[str, float] = dict.fromkeys((*BUCKET_NAMES, "sum"), 0.0)
        self.times: dict[str, float] = {}

    def observe_pass(self, outcome: str, seconds: float) -> None:
        """Count a pass that was not a full one. An outcome that is none of OUTCOMES counts as an error."""
        outcome = outcome if outcome in self.outcomes else "error"
        self.outcomes[outcome] += 1
        self.durations[bucket_of(seconds)] += 1
        self.durations["sum"] += seconds
        now = time.time()
        looked = outcome in ("ok", "partial", "refused")
        self.times |= {"pass": now, **({"look": now} if looked else {})}
        if outcome == "ok":
            self.times["success"] = now
