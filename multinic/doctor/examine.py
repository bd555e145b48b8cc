"""Run all checks: database, backend, interfaces, neighbours, our own files.

Changes nothing. A check is a generator of findings. An error of a check is a finding, and the others go on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from multinic import __version__
from multinic.doctor import database, interfaces, neighbours, remembered, tables, timer
from multinic.doctor.finding import Examination, Finding, Level
from multinic.host.host import Host
from multinic.values.errors import ConfigError, Exit, HostError, MultinicError
from multinic.values.settings import Settings

VERSION = 1
"""The version of the document: it changes when a field changes its meaning or is removed."""

Check = Callable[[Examination], Iterator[Finding]]
_CHECKS: tuple[tuple[str, Check], ...] = (
    ("database", database.reachable),
    ("schema", database.schema),
    ("tables", tables.tables),
    ("privileges", database.privileges),
    ("index", database.index),
    ("node", database.node),
    ("backend", interfaces.backend),
    ("leftovers", interfaces.leftovers),
    ("configuration", interfaces.configuration),
    ("interfaces", interfaces.plan),
    ("cloud-init", neighbours.cloud_init),
    ("owners", neighbours.owners),
    ("patterns", neighbours.patterns),
    ("foreign-routes", neighbours.foreign_routes),
    ("files", remembered.files),
    ("holds", remembered.holds),
    ("state", remembered.state),
    ("metrics", remembered.metrics),
    ("timer", timer.timer),
)


def examine(load: Callable[[], Settings], host_of: Callable[[Settings | None], Host]) -> dict[str, Any]:
    """Return the findings on a host as a JSON document; never raises.

    `load` may raise ConfigError; then `host_of` gets no settings. `exit` is 4 if something must be corrected.
    """
    try:
        settings, problem = load(), None
    except ConfigError as e:
        settings, problem = None, Finding("settings", Level.PROBLEM, str(e), e.hint)
    findings = [problem] if problem else []
    findings += _examine(settings, host_of(settings))
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


def _examine(settings: Settings | None, host: Host) -> Iterator[Finding]:
    if settings is not None:
        yield from _settings(settings)
    if os.geteuid() != 0:
        yield Finding("privileges", Level.NOTE, "not run as root: not everything can be looked at")
    seen = Examination(settings, host)
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
        yield Finding("settings", Level.OK, "only the right users can read settings and password file")


def _guarded(name: str, check: Check, seen: Examination) -> Iterator[Finding]:
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
    except Exception as e:  # noqa: BLE001 - a check that fails on an odd host must not hide the others
        yield Finding(name, Level.WARNING, f"not looked at: {type(e).__name__}: {e}", "please report this")
