"""Checks of our own files: the record, checkpoints, and the result of the last pass."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.util import find_spec

from multinic.doctor.finding import Examination, Finding, Level
from multinic.report.health import SILENT
from multinic.report.metrics import LIBRARY
from multinic.report.statefile import trouble
from multinic.state import checkpoint
from multinic.state.counts import load_counts
from multinic.state.holds import load_holds
from multinic.state.record import load_record
from multinic.state.statefile import load_state
from multinic.values.errors import Exit
from multinic.values.hold import HELD, damaged_words
from multinic.values.paths import CHECKPOINT, HOLDS, LAST_CHECKPOINT, OUR_DIRECTORIES, RECORD
from multinic.values.plan import State
from multinic.values.record import Record


def files(seen: Examination) -> Iterator[Finding]:
    """Look for a damaged record, and for a change that was not finished."""
    text, lost = seen.host.read(RECORD), list[str]()
    record = load_record(seen.host, lost)
    if text is not None and record == Record() and not _is_blank(text):
        words = f"{RECORD} is damaged: names and MTUs that links had before us are lost"
        hint = "slots follow from files and links instead; the next pass writes a new record"
        yield Finding("files", Level.WARNING, words, hint)
    elif lost:
        words = f"a part of {RECORD} cannot be read: {'; '.join(lost)}"
        hint = "the next pass makes it anew; a name or an MTU from before multinic may be lost with it"
        yield Finding("files", Level.WARNING, words, hint)
    elif seen.host.present(next(iter(OUR_DIRECTORIES))):
        yield Finding("files", Level.OK, f"{', '.join(OUR_DIRECTORIES)} are as they should be")
    if checkpoint.load(seen.host, CHECKPOINT) is not None:
        words = "a change was not finished: another run is busy with it now, or one was interrupted"
        hint = "the next pass restores it, or `multinic rollback --interrupted`"
        yield Finding("files", Level.WARNING, words, hint)
    checkpoint.load(seen.host, LAST_CHECKPOINT)  # if it is damaged, the error is a finding


def holds(seen: Examination) -> Iterator[Finding]:
    """Report what is held, and holds that cannot be read."""
    found, now = load_holds(seen.host), time.time()
    if words := damaged_words(found, now):
        hint = "find out who held what, then drop it: `multinic release --all`"
        yield Finding("holds", Level.PROBLEM, words, hint)
    elif seen.host.present(HOLDS) and not (found.all or found.unknown(now)):
        yield Finding("holds", Level.NOTE, f"{HOLDS} is damaged, and too old to count any more", "remove it")
    plan = seen.view.plan.interfaces if seen.view else ()
    told = {i.mac for i in plan if i.reason == HELD and i.state is State.BLOCKED}
    for hold in found.active(now):
        if told & {hold.mac, hold.card}:
            continue
        words = f"{hold.name or hold.mac} is {hold.words}"
        yield Finding("holds", Level.NOTE, words, f"`multinic release {hold.name or hold.mac}` ends it")


def _is_blank(text: str) -> bool:
    """Return whether the text of a record is valid, and has no entries."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("links") == {} and document.get("version") == 1


def state(seen: Examination) -> Iterator[Finding]:
    """Report the result of the last pass, and when that was."""
    last = load_state(seen.host)
    if not last:
        yield Finding("state", Level.NOTE, "no pass has finished since boot", "`multinic reconcile` does one")
        return
    age = time.time() - last["time"]
    if abs(age) > SILENT:
        when = f"{age / 60:.0f} minutes old" if age > 0 else "in the future: the clock was set back"
        words = f"the last sign of life of a pass is {when}"
        yield Finding("state", Level.WARNING, words, "look at what runs `multinic reconcile` here")
    for item in last["interfaces"]:
        if item["state"] == "failed":
            words = f"{item['name'] or item['mac']} failed: {item['message']}"
            yield Finding("state", Level.PROBLEM, words, "`multinic apply` tries again at once")
    status = last.get("exit")
    if words := trouble(last):
        yield Finding("state", Level.PROBLEM if last.get("error") else Level.WARNING, words)
    elif status == Exit.OK and abs(age) <= SILENT:
        waiting = [item["name"] for item in last["interfaces"] if item["state"] == "waiting"]
        rest = f", but for what waits: {', '.join(waiting)}" if waiting else ""
        yield Finding("state", Level.OK, f"after the last pass everything was as desired{rest}")


def metrics(seen: Examination) -> Iterator[Finding]:
    """Report why the metrics for node_exporter are missing or old, if they are wanted."""
    path = seen.settings.metrics_textfile if seen.settings else ""
    if not path:
        return
    hint = "look at what runs `multinic reconcile` here"
    if find_spec("prometheus_client") is None:
        words, hint = "metrics.textfile is set, but the library prometheus_client is not installed", LIBRARY
        yield Finding("metrics", Level.WARNING, words, hint)
    elif why := load_counts(seen.host).trouble:
        words, hint = f"the last full pass could not write the metrics: {why}", "`multinic apply` tries again"
        yield Finding("metrics", Level.WARNING, words, hint)
    elif (written := seen.host.written(path)) is None:
        words = f"{path} does not exist yet: the next full pass writes it, within five minutes"
        yield Finding("metrics", Level.NOTE, words, "`multinic apply` writes it at once")
    elif abs(time.time() - written) > SILENT:
        minutes = (time.time() - written) / 60
        yield Finding("metrics", Level.WARNING, f"{path} is {minutes:.0f} minutes old", hint)
    else:
        yield Finding("metrics", Level.OK, f"{path} is up to date")
