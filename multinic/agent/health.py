"""What the agent answers over HTTP: from a value in memory that the loop replaces after every pass."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from multinic import __version__
from multinic.agent.heart import Heart
from multinic.host.serve import Answer, Content
from multinic.report.health import SILENT, Status, duration, held
from multinic.values.errors import ConfigError, Exit
from multinic.values.passed import Passed

_FIELDS = ("name", "mac", "port_id", "row_id", "state", "reason", "message", "addresses", "mtu")
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_NO_METRICS = "this multinic has no metrics: its extra `metrics` is not installed"
Metrics = Callable[[], bytes]
"""Returns the metrics in Prometheus' text format. Raises ConfigError where they cannot be had."""


@dataclass(frozen=True)
class Snapshot:
    """What the loop knows. Times are those of time.monotonic."""

    begun: float
    """When the agent began."""
    last: Passed | None = None
    """The last pass that did not find another run at work; None: there was none yet."""
    at: float = -math.inf
    """When that pass ended."""
    next_at: float = -math.inf
    """When the next one is due."""
    passes: int = 0
    broken_off: int = 0
    """How many passes there were, and how many of them an error broke off."""
    database: bool = False
    """Whether the last pass that needed the database could use it."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """The state document."""


def status(seen: Snapshot, now: float) -> Status:
    """Return the health of the host in one word."""
    if seen.last is None or not seen.last.finished or now > max(seen.at, seen.next_at) + SILENT:
        return Status.UNHEALTHY
    return Status.HEALTHY if seen.last.exit is Exit.OK else Status.DEGRADED


def document(seen: Snapshot) -> dict[str, Any]:
    """Return the health document; nothing in it is for root alone."""
    now = time.monotonic()
    totals = seen.state.get("totals", {})
    return {
        "status": str(status(seen, now)),
        "uptime": duration(now - seen.begun),
        "processed_vms": totals.get("configured", 0),
        "failed_configs": totals.get("failed", 0),
        "database_connected": seen.database,
        "deleted_interfaces": totals.get("removed", 0),
        "held": held(seen.state),
        "version": __version__,
        "node": seen.state.get("node"),
        "passes": seen.passes,
        "passes_broken_off": seen.broken_off,
        "last_pass": _last(seen, now),
        "next_pass_in": max(0.0, round(seen.next_at - now, 1)) if seen.last else None,
        "interfaces": [
            {name: item.get(name) for name in _FIELDS} for item in seen.state.get("interfaces", ())
        ],
    }


def _last(seen: Snapshot, now: float) -> dict[str, Any] | None:
    if seen.last is None:
        return None
    return {
        "result": seen.last.reason,
        "exit": int(seen.last.exit),
        "seconds": round(seen.last.seconds, 4),
        "seconds_ago": round(now - seen.at, 1),
    }


def health(seen: Callable[[], Snapshot], heart: Heart, metrics: Metrics | None) -> Answer:
    """Return the answers for probes.

    `/livez` fails only if the loop hangs, `/readyz` also before the first pass has decided; neither depends
    on the database. The status of `/` is that of the document.
    """

    def answer(path: str) -> tuple[HTTPStatus, Any]:
        now = seen()
        found = {
            "/": status(now, time.monotonic()) is not Status.UNHEALTHY,
            "/livez": heart.alive,
            "/readyz": heart.alive and now.last is not None,
        }.get(path)
        if found is None:
            return only_metrics(metrics)(path)
        return (HTTPStatus.OK if found else HTTPStatus.SERVICE_UNAVAILABLE), document(now)

    return answer


def only_metrics(metrics: Metrics | None) -> Answer:
    """Return the answers of the listener for metrics, which says nothing else of the host."""

    def answer(path: str) -> tuple[HTTPStatus, Any]:
        if path != "/metrics":
            return HTTPStatus.NOT_FOUND, None
        if metrics is None:
            return HTTPStatus.NOT_FOUND, {"error": _NO_METRICS}
        try:
            return HTTPStatus.OK, Content(metrics(), _METRICS)
        except ConfigError as e:
            return HTTPStatus.NOT_FOUND, {"error": str(e)}

    return answer
