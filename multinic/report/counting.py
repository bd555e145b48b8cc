"""What a full pass adds to the counts of its host. Pure, but for the types that it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from multinic.report.report import Report
from multinic.values.asked import REQUEST_BUCKETS, Asked
from multinic.values.counts import (
    DRIFTING,
    FAILURES,
    INTERRUPTED,
    RESTORED,
    THINGS,
    TOTALS,
    Counts,
    Totals,
    bucket_of,
    host_of,
)
from multinic.values.errors import Exit, Refused, SourceError
from multinic.values.plan import Result, State

_OUTCOMES = {Exit.OK: "ok", Exit.PARTIAL: "partial", Exit.REFUSED: "refused"}
_KINDS = {State.CREATE: "create", State.UPDATE: "update", State.DELETE: "delete", State.WAITING: "prepare"}


def after_pass(
    before: Counts,
    report: Report | None,
    error: Exception | None,
    *,
    recovered: int,
    now: float,
    seconds: float,
) -> Counts:
    """Return the counts with those of one more pass: what it reports, and the error that ended it, if any.

    `recovered`: how many interfaces of an interrupted run it restored first; `now`: Unix time.
    """
    how = outcome(report, error)
    asked = report.asked if report else error.asked if isinstance(error, SourceError) else {}
    news: dict[str, Mapping[str, float]] = {
        "passes": {how: 1},
        "durations": {bucket_of(seconds): 1, "sum": seconds},
        **(_of_results(report) if report else {}),
    }
    if recovered:
        more = Counter(news.get("rollbacks", {}))
        news["rollbacks"] = more + Counter({INTERRUPTED: recovered})
    reached = how in ("ok", "partial", "refused", "not_reported") and report is not None
    times = {"pass": now, **({"look": now} if reached else {}), **({"success": now} if how == "ok" else {})}
    totals = _sum(_known_hosts(before.totals, asked), news | _of_hosts(asked))
    return Counts(totals, {**before.times, **times}, before.trouble)


def outcome(report: Report | None, error: Exception | None) -> str:
    """Return how a pass ended, as one of OUTCOMES."""
    if isinstance(error, SourceError) or (report and report.from_memory):
        return "no_database"
    if error is not None or report is None:
        return "refused" if isinstance(error, Refused) else "error"
    return "not_reported" if report.report_error else of_exit(report.exit)


def of_exit(status: Exit) -> str:
    """Return how a pass without an error ended, from its exit status, as one of OUTCOMES."""
    return _OUTCOMES.get(status, "error")


def _of_results(report: Report) -> dict[str, Mapping[str, float]]:
    results = report.results
    return {
        "changes": Counter(_KINDS[r.interface.state] for r in results if _was_carried_out(r)),
        "failures": _among(FAILURES, (r.reason for r in results if r.state is State.FAILED)),
        "rollbacks": _among(RESTORED, (r.reason for r in results if r.restored)),
        "drift": _among(DRIFTING, (field for r in results for field in _drifted(r))),
        "given_back": _among(THINGS, iter(report.given_back)),
    }


def _was_carried_out(result: Result) -> bool:
    return result.interface.pending and result.state is not State.FAILED


def _drifted(result: Result) -> set[str]:
    """Return in what an interface differed from its row although the row had not changed."""
    interface = result.interface
    if interface.reason != "drift":
        return set()
    return {change.field for change in interface.changes} | ({"file"} if interface.files else set())


def _among(words: tuple[str, ...], found: Iterator[str]) -> Counter[str]:
    return Counter(word for word in found if word in words)


def _of_hosts(asked: Asked) -> dict[str, Mapping[str, float]]:
    return {
        "request_errors": {host: found.errors for host, found in asked.items()},
        "request_seconds": {host: found.seconds for host, found in asked.items()},
        "request_durations": {
            f"{bucket} {host}": found.durations.get(bucket, 0)
            for host, found in asked.items()
            for bucket in REQUEST_BUCKETS
        },
    }


def _known_hosts(before: Totals, asked: Asked) -> Totals:
    """Return the totals without hosts that are not in database.url any more."""
    if not asked:
        return before
    return {
        name: {label: number for label, number in found.items() if host_of(name, label) in asked}
        if TOTALS[name] is None
        else found
        for name, found in before.items()
    }


def _sum(before: Totals, news: Totals) -> dict[str, dict[str, float]]:
    return {
        name: {
            label: before.get(name, {}).get(label, 0) + news.get(name, {}).get(label, 0)
            for label in {**before.get(name, {}), **news.get(name, {})}
        }
        for name in TOTALS
    }
