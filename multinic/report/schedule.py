"""When the last pass was and when the next one comes: from the agent, or from systemd."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from multinic.host.host import Host
from multinic.values.errors import HostError

_TIMER, _SERVICE = "multinic.timer", "multinic.service"
_SHOWN = "Id,ActiveState,NextElapseUSecMonotonic,ExecMainExitTimestampMonotonic,ExecMainStatus"
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SPAN = re.compile(r"([\d.]+)(us|ms|s|min|h|d|w)\b")


class Schedule(NamedTuple):
    """The passes on this host, as what runs them sees them. Times are Unix time; None: not known."""

    by: str | None = None
    """What runs the passes: "agent" or "timer"; None if neither is seen."""
    running: bool = False
    """Whether a pass runs now; the agent does not say that."""
    last: float | None = None
    """When the last pass ended, also one that found nothing new."""
    exit: int | None = None
    """The exit status of that pass."""
    next: float | None = None


def schedule(host: Host, agent: Mapping[str, Any] | None) -> Schedule:
    """Return when passes run; `agent` is what is known of the agent (report/agent.py), if there is one."""
    if agent is not None:
        return _of_agent(agent)
    if host.root != "/" or not host.present("/run/systemd/system"):
        return Schedule()
    command = ("systemctl", "show", f"--property={_SHOWN}", _TIMER, _SERVICE)
    try:
        shown = host.run(*command, changes=False, timeout=5)
    except HostError:
        return Schedule()
    return of_systemd(shown, time.time(), time.monotonic())


def _of_agent(agent: Mapping[str, Any]) -> Schedule:
    now, ago, wait = time.time(), agent["last_pass_ago"], agent["next_pass_in"]
    return Schedule(
        by="agent",
        last=None if ago is None else now - ago,
        exit=agent["last_exit"],
        next=None if wait is None else now + wait,
    )


def of_systemd(shown: str, now: float, monotonic: float) -> Schedule:
    """Return what `systemctl show` says of timer and service, at Unix time `now`."""
    blocks = [dict(line.partition("=")[::2] for line in text.splitlines()) for text in shown.split("\n\n")]
    units = {found.get("Id", ""): found for found in blocks}
    timer, service = units.get(_TIMER, {}), units.get(_SERVICE, {})
    ended = service.get("ExecMainExitTimestampMonotonic", "")
    status = service.get("ExecMainStatus", "")
    since_boot = ended.isdecimal() and int(ended) > 0
    active = timer.get("ActiveState") == "active"
    due = seconds(timer.get("NextElapseUSecMonotonic", "")) if active else None
    return Schedule(
        by="timer" if active else None,
        running=service.get("ActiveState") in ("activating", "deactivating"),
        last=now - monotonic + int(ended) / 1e6 if since_boot else None,
        exit=int(status) if since_boot and status.isdecimal() else None,
        next=None if due is None else now - monotonic + due,
    )


def seconds(span: str) -> float | None:
    """Return a time as systemd writes it ("1min 2.5s") in seconds; None for none, and for "infinity"."""
    found = _SPAN.findall(span)
    try:
        return sum(float(number) * _UNITS[unit] for number, unit in found) if found else None
    except ValueError:
        return None
