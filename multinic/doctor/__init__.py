"""What an operator would look at first: database, backend, interfaces, neighbours, our own files.

Changes nothing. A check is a generator of findings; one that cannot look says so, and the rest goes on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from multinic import __version__
from multinic.doctor import database, interfaces, neighbours, own, timer
from multinic.doctor.finding import Finding, Level, Seen
from multinic.errors import ConfigError, Exit, HostError, MultinicError
from multinic.host import Host
from multinic.settings import Settings

VERSION = 1
"""Of the document: it changes when a field changes its meaning or goes away."""

Check = Callable[[Seen], Iterator[Finding]]
_CHECKS: tuple[tuple[str, Check], ...] = (
    ("database", database.reachable),
    ("schema", database.schema),
    ("privileges", database.privileges),
    ("index", database.index),
    ("node", database.node),
    ("backend", interfaces.backend),
    ("leftovers", interfaces.leftovers),
    ("interfaces", interfaces.plan),
    ("cloud-init", neighbours.cloud_init),
    ("owners", neighbours.owners),
    ("patterns", neighbours.patterns),
    ("foreign-routes", neighbours.foreign_routes),
    ("files", own.files),
    ("state", own.state),
    ("timer", timer.timer),
)


def examine(load: Callable[[], Settings], root: str) -> dict[str, Any]:
    """Return what was found on the host below `root`, as a JSON document; never raises.

    `load` may raise ConfigError. `exit` is 4 where something must be corrected.
    """
    try:
        settings, problem = load(), None
    except ConfigError as e:
        settings, problem = None, Finding("settings", Level.PROBLEM, str(e), e.hint)
    findings = [problem] if problem else []
    findings += _examine(settings, root)
    bad = any(finding.level is Level.PROBLEM for finding in findings)
    return {
        "version": VERSION,
        "multinic": __version__,
        "node": settings.node or os.uname().nodename if settings else None,
        "findings": [
            {"check": f.check, "level": str(f.level), "message": f.message, "hint": f.hint} for f in findings
        ],
        "summary": dict(sorted(Counter(str(finding.level) for finding in findings).items())),
        "exit": int(Exit.PARTIAL if bad else Exit.OK),
    }


def _examine(settings: Settings | None, root: str) -> Iterator[Finding]:
    if settings is not None:
        yield from _settings(settings)
    if os.geteuid() != 0:
        yield Finding("privileges", Level.NOTE, "not run as root: not everything can be looked at")
    host = Host(root, command_timeout=settings.command_timeout) if settings else Host(root)
    seen = Seen(settings, host)
    try:
        for name, check in _CHECKS:
            yield from _guarded(name, check, seen)
    finally:
        if seen.database is not None:
            seen.database.close()


def _settings(settings: Settings) -> Iterator[Finding]:
    for warning in settings.warnings:
        yield Finding("settings", Level.WARNING, warning)
    if not settings.warnings:
        yield Finding(
            "settings", Level.OK, "settings and password file are readable by the right people only"
        )


def _guarded(name: str, check: Check, seen: Seen) -> Iterator[Finding]:
    """Yield what a check finds; an error is a finding, too."""
    try:
        yield from check(seen)
    except HostError as e:
        if isinstance(e.__cause__, PermissionError):
            yield Finding(name, Level.NOTE, f"not looked at: {e}", e.hint)
        else:
            yield Finding(name, Level.PROBLEM, str(e), e.hint)
    except MultinicError as e:
        yield Finding(name, Level.PROBLEM, str(e), e.hint)
    except Exception as e:  # noqa: BLE001 - one check that trips over an odd host must not hide the others
        yield Finding(name, Level.WARNING, f"not looked at: {type(e).__name__}: {e}", "please report this")
