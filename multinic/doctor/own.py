"""Our own side: files and their modes, what the last pass came to, and what runs the next one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from multinic import checkpoint, record, units
from multinic.doctor.finding import Finding, Level, Seen
from multinic.errors import CommandFailed, Exit
from multinic.health import SILENT
from multinic.paths import CHECKPOINT, LAST_CHECKPOINT, OWN, RECORD
from multinic.record import Memory
from multinic.report import statefile
from multinic.units import HOTPLUG, RULES, SERVICE, TIMER, WANTED

_LATE = "a NIC that is plugged in waits for the next pass"


def files(seen: Seen) -> Iterator[Finding]:
    """Look at what is remembered, and at changes that were not finished."""
    text = seen.host.read(RECORD)
    if text is not None and record.load(seen.host) == Memory() and not _is_blank(text):
        words = f"{RECORD} is damaged: names and MTUs that links had before us are forgotten"
        hint = "slots are read off files and links instead; the next pass writes it anew"
        yield Finding("files", Level.WARNING, words, hint)
    elif seen.host.present(next(iter(OWN))):
        yield Finding("files", Level.OK, f"{', '.join(OWN)} are as they shall be")
    if checkpoint.load(seen.host, CHECKPOINT) is not None:
        words = "a change was not finished: another run is busy with it now, or one was interrupted"
        hint = "the next pass puts it back, or `multinic rollback --interrupted`"
        yield Finding("files", Level.WARNING, words, hint)
    checkpoint.load(seen.host, LAST_CHECKPOINT)  # a damaged one is an error, which is told


def _is_blank(text: str) -> bool:
    """Return whether a memory that holds nothing is a good one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("links") == {} and document.get("version") == 1


def state(seen: Seen) -> Iterator[Finding]:
    """Look at what the last pass came to, and when that was."""
    last = statefile.load(seen.host)
    if not last:
        yield Finding("state", Level.NOTE, "no pass has finished since boot", "`multinic reconcile` does one")
        return
    age = time.time() - last["time"]
    if age > SILENT:
        words = f"the last sign of life of a pass is {age / 60:.0f} minutes old"
        yield Finding("state", Level.WARNING, words, "look at what runs `multinic reconcile` here")
    for item in last["interfaces"]:
        if item["state"] == "failed":
            words = f"{item['name'] or item['mac']} failed: {item['message']}"
            yield Finding("state", Level.PROBLEM, words, "`multinic apply` tries again at once")
    status = last.get("exit")
    if status == Exit.RETRY:
        words = "the last pass had no database and kept to the last known good state"
        yield Finding("state", Level.WARNING, words)
    elif status == Exit.OK and age <= SILENT:
        yield Finding("state", Level.OK, "the last pass left nothing to be desired")


def timer(seen: Seen) -> Iterator[Finding]:
    """Look for the timer that runs the passes, and for what belongs to it."""
    if units.find(seen.host, TIMER) is None:
        words = f"{TIMER} is not installed: passes must be run by something else"
        yield Finding("timer", Level.NOTE, words, "`multinic install-units` installs it")
        return
    for name, use in ((SERVICE, "no pass runs"), (HOTPLUG, _LATE), (RULES, _LATE)):
        if units.find(seen.host, name) is None:
            level = Level.PROBLEM if name == SERVICE else Level.WARNING
            hint = "install the package again, or `multinic install-units`"
            yield Finding("timer", level, f"{name} is not installed: {use}", hint)
    if seen.host.root == "/":
        try:
            seen.host.run("systemctl", "is-active", TIMER, changes=False, timeout=5)
        except CommandFailed as e:
            words = f"{TIMER} is not active ({e.stdout.strip() or e})"
            yield Finding("timer", Level.PROBLEM, words, f"systemctl enable --now {TIMER}")
            return
        yield from _last_run(seen)
    if seen.host.present(WANTED[0]):
        yield Finding(
            "timer", Level.OK, f"{TIMER} is enabled" + (" and active" if seen.host.root == "/" else "")
        )
    else:
        words = f"{TIMER} is not enabled: after the next boot no pass runs"
        yield Finding("timer", Level.WARNING, words, f"systemctl enable --now {TIMER}")


def _last_run(seen: Seen) -> Iterator[Finding]:
    """Look at how the last pass of the timer ended."""
    shown = ("systemctl", "show", "--property=Result,ExecMainStatus", SERVICE)
    found = dict(line.split("=", 1) for line in seen.host.run(*shown, changes=False, timeout=5).splitlines())
    result, status = found.get("Result", "success"), found.get("ExecMainStatus", "0")
    if result != "success":
        words = f"the last run of {SERVICE} failed ({result}, status {status})"
        yield Finding("timer", Level.PROBLEM, words, f"journalctl --unit={SERVICE} says why")
