"""What runs the passes: the units, whether they are those of this program, and what systemd says of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

from multinic import units
from multinic.doctor.finding import Finding, Level, Seen
from multinic.errors import ConfigError
from multinic.host import Host
from multinic.units import HOTPLUG, RULES, SERVICE, TIMER, WANTED

_LATE = "a NIC that is plugged in waits for the next pass"
_SOCKET = "multinic-health.socket"
_SHOWN = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,NeedDaemonReload,DropInPaths"
_RUNNING = ("activating", "active", "deactivating")
_AGAIN = "install the package again, or `multinic install-units`"


def timer(seen: Seen) -> Iterator[Finding]:
    """Look for the timer that runs the passes, and for what belongs to it."""
    host = seen.host
    if units.find(host, TIMER) is None:
        words = f"{TIMER} is not installed: passes must be run by something else"
        yield _finding(Level.NOTE, words, "`multinic install-units` installs it")
        return
    yield from _installed(host)
    if host.root != "/":
        yield from _enabled(host.present(WANTED[0]), active=False)
    elif not host.present("/run/systemd/system"):
        yield _finding(Level.NOTE, "systemd does not run here: passes must be run by something else")
    else:
        shown = _show(host)
        yield from _timer(host, shown[TIMER], runs=shown[SERVICE].get("ActiveState") in _RUNNING)
        yield from _service(shown[SERVICE])
        if found := _unusable(HOTPLUG, shown[HOTPLUG], Level.WARNING, _LATE):
            yield found
        yield from _socket(host, shown[_SOCKET])
        yield from _changes(shown)


def _finding(level: Level, words: str, hint: str = "") -> Finding:
    return Finding("timer", level, words, hint)


def _installed(host: Host) -> Iterator[Finding]:
    """Look at the files of the units: are they there, of this version, and does what they run exist."""
    for name, use in ((SERVICE, "no pass runs"), (HOTPLUG, _LATE), (RULES, _LATE)):
        if units.find(host, name) is None:
            level = Level.PROBLEM if name == SERVICE else Level.WARNING
            yield _finding(level, f"{name} is not installed: {use}", _AGAIN)
    rules = units.find(host, RULES)
    if rules and rules.startswith("/etc/") and not (host.read(rules, follow=True) or "").strip():
        yield _finding(Level.NOTE, f"{RULES} is switched off by {rules}: {_LATE}")
    program = units.program(host)
    if program and not host.present(program):
        words = f"{SERVICE} runs {program}, which is not there: no pass runs"
        yield _finding(Level.PROBLEM, words, f"{_AGAIN}, by the multinic that is to run")
        return
    if program and host.root == "/":
        yield from _program(program)
    shadows = dict(units.hidden(host))
    if shadows:
        words = f"{', '.join(shadows)} hide{'s' * (len(shadows) == 1)} what the package brings"
        hint = "`multinic install-units --remove` && systemctl daemon-reload; changes belong into drop-ins"
        yield _finding(Level.WARNING, words, hint)
    try:
        old = [path for path in units.stale(host) if path not in shadows]
    except ConfigError:  # this installation has none to compare with
        old = []
    if old:
        hint = "install the package again" if old[0].startswith("/usr/lib/") else "`multinic install-units`"
        words = f"not as this version has them: {', '.join(old)}"
        yield _finding(Level.WARNING, words, f"{hint}, then systemctl daemon-reload")


def _program(program: str) -> Iterator[Finding]:
    """Look at the program that the units run as root."""
    with suppress(OSError):  # a part of it is missing: then its last run has failed, which is told
        if found := units.exposed(program):
            path, owner = found
            who = f"user {owner}" if owner else "anybody"
            words = f"{SERVICE} runs {program} as root, and {who} may change {path}"
            yield _finding(Level.WARNING, words, f"chown --recursive root: {path}; chmod o-w {path}")
    if other := _other_than(program):
        yield _finding(Level.NOTE, f"{SERVICE} runs {program}; this is {other}, another one")


def _other_than(program: str) -> str:
    """Return the path of the program that runs now, where that is not `program`; else ""."""
    found = shutil.which(units.started())
    same = found is None or os.path.realpath(found) == os.path.realpath(program)
    return "" if same or os.path.basename(found or "") != "multinic" else str(found)


def _show(host: Host) -> dict[str, dict[str, str]]:
    """Return what systemd says of each of our units, by name."""
    names = (TIMER, SERVICE, HOTPLUG, "multinic-health.service", _SOCKET)
    command = ("systemctl", "show", f"--property={_SHOWN}", *names)
    blocks = host.run(*command, changes=False, timeout=5).strip().split("\n\n")
    found = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
    return {name: {} for name in names} | {shown["Id"]: shown for shown in found if "Id" in shown}


def _unusable(name: str, shown: dict[str, str], level: Level, so: str) -> Finding | None:
    """Tell of a unit that is there and that systemd does not start all the same."""
    if shown.get("LoadState") == "masked":
        return _finding(level, f"{name} is masked: {so}", f"systemctl unmask {name}")
    if shown.get("LoadState") in ("error", "bad-setting"):
        return _finding(level, f"systemd cannot use {name}: {so}", f"systemd-analyze verify {name} says why")
    return None


def _timer(host: Host, shown: dict[str, str], *, runs: bool) -> Iterator[Finding]:
    """Look at the timer; while a pass `runs` it may wait for the end of that alone."""
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
    """Return whether a unit starts at boot: as we ship it, or as a drop-in has it."""
    return host.present(wanted) or shown.get("UnitFileState") == "enabled"


def _enabled(enabled: bool, *, active: bool) -> Iterator[Finding]:
    if enabled:
        yield _finding(Level.OK, f"{TIMER} is enabled" + (" and active" if active else ""))
    else:
        words = f"{TIMER} is not enabled: after the next boot no pass runs"
        yield _finding(Level.WARNING, words, f"systemctl enable --now {TIMER}")


def _service(shown: dict[str, str]) -> Iterator[Finding]:
    """Look at how the last pass of the timer ended."""
    result, status = shown.get("Result", "success"), shown.get("ExecMainStatus", "0")
    if found := _unusable(SERVICE, shown, Level.PROBLEM, "no pass runs"):
        yield found
    elif result != "success":
        words = f"the last run of {SERVICE} failed ({result}, status {status})"
        yield _finding(Level.PROBLEM, words, f"journalctl --unit={SERVICE} says why")


def _socket(host: Host, shown: dict[str, str]) -> Iterator[Finding]:
    """Look at the health socket, where somebody wants it."""
    state, enabled = shown.get("ActiveState", ""), _is_enabled(host, shown, WANTED[1])
    if state == "failed":
        words = f"{_SOCKET} failed ({shown.get('Result', 'unknown')}): is its port taken?"
        yield _finding(Level.PROBLEM, words, f"journalctl --unit={_SOCKET}; ss --listening --tcp --processes")
    elif enabled and state != "active":
        words = f"{_SOCKET} is enabled, but not active"
        yield _finding(Level.WARNING, words, f"systemctl start {_SOCKET}")
    elif state == "active" and not enabled:
        words = f"{_SOCKET} is not enabled: after the next boot health is not answered"
        yield _finding(Level.WARNING, words, f"systemctl enable {_SOCKET}")


def _changes(shown: dict[str, dict[str, str]]) -> Iterator[Finding]:
    """Tell of drop-ins, and of files that systemd has not read yet."""
    late = [name for name, values in shown.items() if values.get("NeedDaemonReload") == "yes"]
    if late:
        words = f"changed on disk since systemd read them: {', '.join(late)}"
        yield _finding(Level.WARNING, words, "systemctl daemon-reload")
    for name, values in shown.items():
        paths = values.get("DropInPaths", "").split()
        # Some distributions ship a few lines for all units of a kind.
        if own := [path for path in paths if not path.startswith("/usr/lib/")]:
            yield _finding(Level.NOTE, f"{name} is changed by {', '.join(own)}")
