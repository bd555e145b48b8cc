"""What a pass has looked at, in two lines, for a person who asks with -v; and what is wrong all the same."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from multinic.database.statement import Answer
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.report.log import log_bad
from multinic.values.paths import CONVERGED
from multinic.values.text import counted

if TYPE_CHECKING:
    from multinic.flow.converged import Fingerprint
    from multinic.flow.view import View
    from multinic.report.report import Report


def idle(host: Host, log: Log, known: Fingerprint, answer: Answer, where: str) -> None:
    """Say what a pass looked at that found everything as the last full one left it."""
    if log.level == "debug":
        written = host.written(CONVERGED)
        age = f"{max(0, time.time() - written):.0f} s ago" if written else "before"
        log.info(f"{_rows(answer, where)}: as in the full pass {age}")
        macs = counted(len(known.macs), "MAC address", "MAC addresses")
        paths = counted(len(known.paths), "file or directory", "files and directories")
        log.info(
            f"looked at the links of {macs} and {paths}: nothing has changed, exit status {int(known.exit)}"
        )
    log_bad(host, log)


def full(log: Log, view: View, report: Report, where: str) -> None:
    """Say what a full pass looked at."""
    counts = Counter(str(result.state) for result in report.results)
    found = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no interfaces"
    log.info(_rows(view.answer, where))
    links, files = counted(len(view.observed.links), "link"), counted(len(view.observed.files), "file")
    what = f"{links} and {files} of ours"
    log.info(f"looked at {what}: {found}, exit status {int(report.status)}")


def _rows(answer: Answer, where: str) -> str:
    return f"read {counted(len(answer.rows), 'row')} of this node from {where}"
