"""Count a full pass, and write the metrics for node_exporter; what goes wrong here ends no pass."""

from __future__ import annotations

import time
from dataclasses import replace

from multinic.flow.course import Course
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.host.textfile import publish
from multinic.report.counting import after_pass
from multinic.report.metrics import exposition
from multinic.state.counts import load_counts, save_counts
from multinic.state.statefile import load_state
from multinic.values.counts import Counts
from multinic.values.errors import HostError, MultinicError
from multinic.values.settings import Settings


def write(settings: Settings, host: Host, log: Log, course: Course) -> None:
    """Add a pass to the counts of this host, and write the textfile, if there shall be one.

    An error is logged when it begins, and its end when it ends.
    """
    before = load_counts(host)
    counts = after_pass(
        before,
        course.report,
        course.error,
        recovered=course.recovered,
        now=time.time(),
        seconds=time.monotonic() - course.begun,
    )
    path = settings.metrics_textfile
    trouble, hint = _publish(path, host, counts) if path else ("", "")
    try:
        save_counts(host, replace(counts, trouble=trouble))
    except HostError as e:
        if course.error is not None:
            return  # a host that refuses everything has said so already
        trouble, hint = trouble or str(e), hint or e.hint
    if trouble and (trouble != before.trouble or log.watched):
        log.warning(f"metrics: {trouble}", hint=hint)
    elif before.trouble and not trouble:
        log.info("metrics are written again")


def _publish(path: str, host: Host, counts: Counts) -> tuple[str, str]:
    """Write the textfile; return what went wrong, and what to do about it ("" for nothing)."""
    try:
        publish(host, path, exposition(load_state(host), counts))
    except MultinicError as e:
        return str(e), e.hint
    except Exception as e:  # noqa: BLE001 - the pass itself has succeeded
        return f"unexpected error: {type(e).__name__}: {e}", "this is a bug of multinic's; report it"
    return "", ""
