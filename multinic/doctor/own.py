"""Our own side: files and their modes, and what the last pass came to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from multinic import checkpoint, record
from multinic.doctor.finding import Finding, Level, Seen
from multinic.errors import Exit
from multinic.health import SILENT
from multinic.paths import CHECKPOINT, LAST_CHECKPOINT, OWN, RECORD
from multinic.record import Memory
from multinic.report import statefile


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
    if abs(age) > SILENT:
        when = f"{age / 60:.0f} minutes old" if age > 0 else "of the future: the clock was set back"
        words = f"the last sign of life of a pass is {when}"
        yield Finding("state", Level.WARNING, words, "look at what runs `multinic reconcile` here")
    for item in last["interfaces"]:
        if item["state"] == "failed":
            words = f"{item['name'] or item['mac']} failed: {item['message']}"
            yield Finding("state", Level.PROBLEM, words, "`multinic apply` tries again at once")
    status = last.get("exit")
    if last.get("report_error"):
        words = f"the last pass could not write its result to the database: {last['report_error']}"
        yield Finding("state", Level.WARNING, words)
    elif status == Exit.RETRY:
        words = "the last pass had no database and kept to the last known good state"
        if last.get("database_error"):
            words += f": {last['database_error']}"
        yield Finding("state", Level.WARNING, words)
    elif status == Exit.OK and abs(age) <= SILENT:
        yield Finding("state", Level.OK, "the last pass left nothing to be desired")
