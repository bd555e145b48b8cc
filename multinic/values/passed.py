"""What became of one pass of the agent, for those who count passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from multinic.values.errors import (
    ConfigError,
    Exit,
    HostError,
    Locked,
    Refused,
    SourceBusy,
    SourceError,
    SourceOutdated,
    SourceRejected,
)

ENDED = {
    Exit.OK: "converged",
    Exit.PARTIAL: "interfaces-failed",
    Exit.REFUSED: "interfaces-blocked",
    Exit.RETRY: "result-not-written",
    Exit.USAGE: "result-not-written",
}
"""The reason code of a pass that came to its end, by its exit status."""
NEEDS_A_PERSON = ("database-refused", "configuration", "host-error")
"""Reason codes of what no later pass gets over by itself: a password, a setting, a host that refuses."""
UNEXPECTED = "unexpected-error"
LOCKED = "locked"
"""Another run was at work; the pass did not begin."""
_BROKEN_OFF: dict[type[Exception], str] = {
    Locked: LOCKED,
    SourceRejected: "database-refused",
    SourceBusy: "database-busy",
    SourceOutdated: "database-outdated",
    SourceError: "database-unreachable",
    ConfigError: "configuration",
    Refused: "refused",
    HostError: "host-error",
}
PASS_REASONS = (*dict.fromkeys((*ENDED.values(), *_BROKEN_OFF.values())), UNEXPECTED)
"""All reason codes of passes."""


class Passed(NamedTuple):
    """One pass: how it ended, how long it took, and whether it had anything to do."""

    exit: Exit
    reason: str
    """One of PASS_REASONS."""
    seconds: float
    idle: bool
    """It ended early, because nothing had changed since the host converged."""
    finished: bool = True
    """It came to its end; otherwise an error broke it off, and there may be a repair without a database."""


AfterPass = Callable[[Passed], object]
"""Called after every pass; it must not raise, and not wait."""


def reason_of(error: Exception) -> str:
    """Return the reason code of an error that broke a pass off."""
    return next((reason for kind, reason in _BROKEN_OFF.items() if isinstance(error, kind)), UNEXPECTED)
