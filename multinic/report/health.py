"""Whether the passes on this host work, from the state file alone: for monitoring and for probes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any

from multinic.host.host import Host
from multinic.state.statefile import load_state
from multinic.values.counts import NOT_AS_DESIRED
from multinic.values.errors import Exit
from multinic.values.hold import HELD

SILENT = 900.0
"""Seconds without a sign of life from any pass: three of them are missing then."""


class Status(str, Enum):
    """The health of a host in one word."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """Passes run and read the database; some interface is not as desired, or the result was not written."""
    UNHEALTHY = "unhealthy"
    """No pass has run for a while, or the last one had no database or could not be finished."""

    def __str__(self) -> str:
        return self.value


def answer(host: Host, path: str) -> tuple[HTTPStatus, dict[str, Any] | None]:
    """Return status and document for a path over HTTP; the document is the same for each path.

    The status of `/livez` says only whether passes run, that of `/` and `/readyz` also whether they reach the
    database and can be finished.
    """
    if path not in ("/", "/livez", "/readyz"):
        return HTTPStatus.NOT_FOUND, None
    found = document(host)
    alive = path == "/livez" and _fresh(load_state(host), time.time())
    good = alive or found["status"] != Status.UNHEALTHY
    return (HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE), found


def document(host: Host) -> dict[str, Any]:
    """Return the health document. Counts and `uptime` begin with the first pass since boot."""
    state, now = load_state(host), time.time()
    totals = state.get("totals", {})
    return {
        "status": str(_status(state, now)),
        "uptime": duration(_uptime(state, now)),
        "processed_vms": totals.get("configured", 0),
        "failed_configs": totals.get("failed", 0),
        "database_connected": _fresh(state, now) and not _without_database(state),
        "deleted_interfaces": totals.get("removed", 0),
        "held": held(state),
    }


def held(state: Mapping[str, Any]) -> int:
    """Return on how many interfaces a person lets nothing be changed, by the last pass."""
    return sum(item.get("reason") == HELD for item in state.get("interfaces", ()))


def duration(seconds: float) -> str:
    """Return a time such as 2h45m30s."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minute}m" if minutes else "") + f"{second}s"


def _status(state: dict[str, Any], now: float) -> Status:
    if not _fresh(state, now) or _without_database(state) or state.get("error"):
        return Status.UNHEALTHY
    if state.get("report_error") or any(item["state"] in NOT_AS_DESIRED for item in state["interfaces"]):
        return Status.DEGRADED
    return Status.HEALTHY


def _without_database(state: dict[str, Any]) -> bool:
    """Return whether the last pass met an outage; not, if only somebody who makes a plan did."""
    return bool(state.get("from_memory")) or (
        bool(state.get("database_error")) and state.get("exit") in (Exit.RETRY, Exit.USAGE)
    )


def _fresh(state: dict[str, Any], now: float) -> bool:
    return bool(state) and abs(now - state["time"]) <= SILENT


def _uptime(state: dict[str, Any], now: float) -> float:
    # The clock may have been wrong when the first pass ran, but no pass since boot is older than the boot.
    since: float = state.get("since", now)
    return max(0.0, min(now - since, time.clock_gettime(time.CLOCK_BOOTTIME)))
