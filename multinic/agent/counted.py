"""The metrics of the agent: what full passes keep on disk, and passes without anything to do in memory."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from multinic.host.host import Host
from multinic.report.counting import of_exit
from multinic.report.metrics import exposition
from multinic.report.passes import Passes
from multinic.state.counts import load_counts
from multinic.values.passed import LOCKED, Passed


def available() -> bool:
    """Return whether the library for metrics is installed."""
    return importlib.util.find_spec("prometheus_client") is not None


class Counted:
    """Counts passes, and says so as metrics; nothing is read from disk when somebody asks."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._passes = Passes()
        self._counts = load_counts(host)

    def after_pass(self, passed: Passed) -> None:
        """Count a pass: a full one has counted itself, on disk."""
        if passed.reason == LOCKED:
            self._passes.observe_pass("locked", passed.seconds)
        elif passed.idle:
            self._passes.observe_pass(of_exit(passed.exit), passed.seconds)
        else:
            self._counts = load_counts(self._host)

    def exposition(self, state: Mapping[str, Any]) -> bytes:
        """Return the metrics as text; `state` is the state document."""
        return exposition(state, self._counts, self._passes)
