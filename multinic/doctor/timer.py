"""Checks of the units that run the passes: whether they fit this version, and their state in systemd."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from multinic.doctor.finding import Examination, Finding, Level
from multinic.host.host import Host
from multinic.install import units
from multinic.install.units import AGENT, HOTPLUG, RULES, SERVICE, TIMER, WANTED
from multinic.report.agent import agent
from multinic.values.errors import ConfigError

_LATE = "a NIC that is plugged in waits for the next pass"
_SOCKET = "multinic-health.socket"
_SHOWN = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,NeedDaemonReload,DropInPaths"
_RUNNING = ("activating", "active", "deactivating")
_AGAIN = "install the package again, or `multinic install-units`"


def timer(seen: Examination) -> Iterator[Finding]:
    """Check the timer that runs the passes, and the units and the udev rule beside it."""
    host = seen.host
    runs = agent(host)
    if runs:
        yield from _agent(runs)
    if units.find(host, TIMER) is None:
        words = f"{TIMER} is not installed: passes must be run by something else"
        if not runs:
            yield _finding(Level.NOTE, words, "`multinic install-units` installs it")
        return
    yield from _installed(host)
    if host.root != "/" and not runs:
        yield from _starts_at_boot(host)
    elif host.root == "/" and not host.present("/run/systemd/system") and not runs:
        yield _finding(Level.NOTE, "systemd does not run here: passes must be run by something else")
    elif host.root == "/" and host.present("/run/systemd/system"):
        shown = _show(host)
        yield from _switch(host, shown, agent_runs=runs is not None)
        yield from _service(shown[SERVICE])
        if found := _unusable(HOTPLUG, shown[HOTPLUG], Level.WARNING, _LATE):
            yield found
        yield from _socket(host, shown[_SOCKET])
        yield from _changes(shown)


def _agent(runs: dict[str, Any]) -> Iterator[Finding]:
    words = f"an agent runs the passes: {runs['process']}"
    if runs["next_pass_in"] is not None:
        then = f"its last pass: {runs['last_pass']}, the next is in {runs['next_pass_in']:.0f} s"
        words = f"{words}; {then}"
    yield _finding(Level.OK, words)
    if runs["answers"] is False:
        words = f"the agent does not answer on {runs['listen']}"
        yield _finding(Level.WARNING, words, f"journalctl --unit={AGENT}; `multinic status`")


def _starts_at_boot(host: Host) -> Iterator[Finding]:
    """Check on another root whether the timer or the agent is enabled."""
    if host.present(WANTED[2]) and not host.present(WANTED[0]):
        yield _finding(Level.OK, f"{AGENT} is enabled")
    else:
        yield from _enabled(host.present(WANTED[0]), active=False)


def _switch(host: Host, shown: dict[str, dict[str, str]], *, agent_runs: bool) -> Iterator[Finding]:
    """Check that one of the two runs the passes: the timer or the agent."""
    timer_runs = shown[TIMER].get("ActiveState") == "active"
    if agent_runs and timer_runs:
        words = f"{TIMER} is active beside the agent: its passes end at once"
        yield _finding(Level.WARNING, words, f"systemctl disable --now {TIMER}, or {AGENT}")
    elif shown[AGENT].get("UnitFileState") == "enabled" and not agent_runs:
        state = shown[AGENT].get("ActiveState", "unknown")
        words = f"{AGENT} is enabled, but no agent runs (the unit is {state})"
        hint = f"journalctl --unit={AGENT} says why; then systemctl restart {AGENT}"
        yield _finding(Level.WARNING if timer_runs else Level.PROBLEM, words, hint)
    elif not agent_runs:
        yield from _timer(host, shown[TIMER], runs=shown[SERVICE].get("ActiveState") in _RUNNING)


def _finding(level: Level, words: str, hint: str = "") -> Finding:
    return Finding("timer", level, words, hint)


def _installed(host: Host) -> Iterator[Finding]:
    """Check the files of the units: whether they exist, fit this version, and run a program that exists."""
    for name, use in ((SERVICE, "no pass runs"), (HOTPLUG, _LATE), (RULES, _LATE)):
        if units.find(host, name) is None:
            level = Level.PROBLEM if name == SERVICE else Level.WARNING
            yield _finding(level, f"{name} is not installed: {use}", _AGAIN)
    rules = units.find(host, RULES)
    if rules and rules.startswith("/etc/") and not (host.read(rules, follow=True) or "").strip():
        yield _finding(Level.NOTE, f"{RULES} is switched off by {rules}: {_LATE}")
    program = units.program(host)
    if program and not host.present(program):
        words = f"{SERVICE} runs {program}, which does not exist: no pass runs"
        yield _finding(Level.PROBLEM, words, f"{_AGAIN}, with the multinic that shall run")
        return
    if program and host.root == "/":
        yield from _program(program)
    shadows = dict(units.hidden(host))
    if shadows:
        words = f"the units of the package are hidden by {', '.join(shadows)}"
        hint = "`multinic install-units --remove` && systemctl daemon-reload; changes belong into drop-ins"
        yield _finding(Level.WARNING, words, hint)
    try:
        old = [path for path in units.stale(host) if path not in shadows]
    except ConfigError:  # this installation has no units to compare with
        old = []
    if old:
        hint = "install the package again" if old[0].startswith("/usr/lib/") else "`multinic install-units`"
        words = f"different from the units of this version: {', '.join(old)}"
        yield _finding(Level.WARNING, words, f"{hint}, then systemctl daemon-reload")


def _program(program: str) -> Iterator[Finding]:
    """Check the program that the units run as root: who may change it, and whether it is this one."""
    with suppress(OSError):  # a part of it is missing: then its last run has failed, which _service reports
        if found := units.exposed(program):
            path, owner = found
            who = f"user {owner}" if owner else "any user"
            words = f"{SERVICE} runs {program} as root, and {who} may change {path}"
            yield _finding(Level.WARNING, words, f"chown --recursive root: {path}; chmod o-w {path}")
    if other := _other_than(program):
        yield _finding(Level.NOTE, f"{SERVICE} runs {program}, not this program, which is {other}")


def _other_than(program: str) -> str:
    """Return the path of the program that runs now if that is not `program`, else ""."""
    found = shutil.which(units.started_as())
    same = found is None or os.path.realpath(found) == os.path.realpath(program)
    return "" if same or os.path.basename(found or "") != "multinic" else str(found)


def _show(host: Host) -> dict[str, dict[str, str]]:
    """Return the properties that systemd shows of each of our units, by the name of the unit."""
    names = (TIMER, SERVICE, HOTPLUG, AGENT, "multinic-health.service", _SOCKET)
    command = ("systemctl", "show", f"--property={_SHOWN}", *names)
    blocks = host.run(*command, changes=False, timeout=5).strip().split("\n\n")
    found = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
    return {name: {} for name in names} | {shown["Id"]: shown for shown in found if "Id" in shown}


def _unusable(name: str, shown: dict[str, str], level: Level, so: str) -> Finding | None:
    """Return a finding about a unit that exists, but that systemd does not start; None if it does."""
    if shown.get("LoadState") == "masked":
        return _finding(level, f"{name} is masked: {so}", f"systemctl unmask {name}")
    if shown.get("LoadState") in ("error", "bad-setting"):
        return _finding(level, f"systemd cannot use {name}: {so}", f"systemd-analyze verify {name} says why")
    return None


def _timer(host: Host, shown: dict[str, str], *, runs: bool) -> Iterator[Finding]:
    """Check the timer; while a pass `runs`, it is right that it waits only for the end of that pass."""
    state = shown.get("ActiveState", "unknown")
    if found := _unusable(TIMER, shown, Level.PROBLEM, "no pass runs"):
        yield found
    elif state != "active":
        words = f"{TIMER} is not active ({state}): no pass runs"
        yield _finding(Level.PROBLEM, words, f"systemctl enable --now {TIMER}")
    elif shown.get("SubState") == "elapsed" and not runs:
        words = f"{TIMER} is active, but has nothing to wait for any more: no pass runs"
        yield _finding(Level.PROBLEM, words, f"look at its drop-ins: systemctl cat {TIMER}")
    else:
        yield from _enabled(_is_enabled(host, shown, WANTED[0]), active=True)


def _is_enabled(host: Host, shown: dict[str, str], wanted: str) -> bool:
    """Return whether a unit starts at boot: by the symlink that we ship, or by one of a drop-in."""
    return host.present(wanted) or shown.get("UnitFileState") == "enabled"


def _enabled(enabled: bool, *, active: bool) -> Iterator[Finding]:
    if enabled:
        yield _finding(Level.OK, f"{TIMER} is enabled and active" if active else f"{TIMER} is enabled")
    else:
        words = f"{TIMER} is not enabled: after the next boot no pass runs"
        yield _finding(Level.WARNING, words, f"systemctl enable --now {TIMER}")


def _service(shown: dict[str, str]) -> Iterator[Finding]:
    """Report a last run of the service that failed."""
    result, status = shown.get("Result", "success"), shown.get("ExecMainStatus", "0")
    if found := _unusable(SERVICE, shown, Level.PROBLEM, "no pass runs"):
        yield found
    elif result != "success":
        words = f"the last run of {SERVICE} failed ({result}, status {status})"
        yield _finding(Level.PROBLEM, words, f"journalctl --unit={SERVICE} says why")


def _socket(host: Host, shown: dict[str, str]) -> Iterator[Finding]:
    """Check the health socket, if it is enabled or active."""
    state, enabled = shown.get("ActiveState", ""), _is_enabled(host, shown, WANTED[1])
    if state == "failed":
        words = f"{_SOCKET} failed ({shown.get('Result', 'unknown')}): is its port taken?"
        yield _finding(Level.PROBLEM, words, f"journalctl --unit={_SOCKET}; ss --listening --tcp --processes")
    elif enabled and state != "active":
        words = f"{_SOCKET} is enabled, but not active"
        yield _finding(Level.WARNING, words, f"systemctl start {_SOCKET}")
    elif state == "active" and not enabled:
        words = f"{_SOCKET} is not enabled: after the next boot it does not answer"
        yield _finding(Level.WARNING, words, f"systemctl enable {_SOCKET}")


def _changes(shown: dict[str, dict[str, str]]) -> Iterator[Finding]:
    """Report drop-ins, and files that systemd has not read yet."""
    late = [name for name, values in shown.items() if values.get("NeedDaemonReload") == "yes"]
    if late:
        words = f"changed on disk since systemd read them: {', '.join(late)}"
        yield _finding(Level.WARNING, words, "systemctl daemon-reload")
    for name, values in shown.items():
        paths = values.get("DropInPaths", "").split()
        # Some distributions ship a few lines for all units of a kind.
        if local := [path for path in paths if not path.startswith("/usr/lib/")]:
            yield _finding(Level.NOTE, f"{name} is changed by {', '.join(local)}")
