"""The result of a pass in the log: a line for each new decision, and none if nothing happened."""

from __future__ import annotations

from multinic.decide.brake import FLEET_BRAKE, attempt_of
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.report.report import Report
from multinic.report.statefile import lasting, trouble
from multinic.state.statefile import load_state
from multinic.values.hold import HELD
from multinic.values.plan import Result, State

_LEVELS = {State.FAILED: "error", State.INVALID: "error", State.BLOCKED: "warning"}
_DONE = {
    "create": "created",
    "update": "changed by its row",
    "adopt": "adopted",
    "repair": "repaired drift",
}
"""What was done, by what was tried: whether the row or the host had changed."""
_BAD = (State.FAILED, State.INVALID, State.BLOCKED, State.WAITING)


def log_outage(host: Host, log: Log, error: str, hint: str = "") -> None:
    """Log that the database cannot be read, or that it can be read again (`error` is "").

    What only a person has met so far, with `apply` or `plan`, is not in the log yet.
    """
    met_by_person = bool(error) and not load_state(host).get("from_memory")
    if met_by_person or _is_news("database_error", error, host, log):
        if error:
            log.error(error, hint=hint)
        else:
            log.info("the database can be read again")


def log_error(host: Host, log: Log, error: str, hint: str = "") -> None:
    """Log why a pass could not be finished, or that passes are finished again (`error` is "")."""
    if _is_news("error", error, host, log):
        if error:
            log.error(error, hint=hint)
        else:
            log.info("passes are finished again")


def log_report_error(host: Host, log: Log, report: Report) -> None:
    """Log that the result could not be written to the database, or that it can be written again."""
    error = report.report_error
    if _is_news("report_error", error, host, log):
        if error:
            log.error(f"the result could not be written to the database: {error}", hint=report.report_hint)
        else:
            log.info("results can be written to the database again")


def log_tables_error(host: Host, log: Log, report: Report) -> None:
    """Log that the result could not be written to our own tables, or that it can be written again."""
    error = report.tables_error
    if _is_news("tables_error", error, host, log):
        if error:
            log.warning(f"the status tables could not be written: {error}", hint=report.tables_hint)
        else:
            log.info("the status tables can be written again")


def _is_news(key: str, error: str, host: Host, log: Log) -> bool:
    """Return whether the last pass did not have this error; a person who reads the log sees it every time."""
    return error != str(load_state(host).get(key, "")) or bool(error and log.watched)


def log_decisions(host: Host, log: Log, report: Report) -> None:
    """Log every decision that is new since the last pass; on a converged host there is none."""
    known = {str(item.get("key")): item for item in load_state(host).get("interfaces", ())}
    for result in report.results:
        interface = result.interface
        before = known.get(interface.key, {})
        same = (before.get("state"), before.get("reason")) == (str(lasting(result.state)), result.reason)
        # The figures in the message of the brake change with every pass of every other node.
        same = same and (before.get("message") == result.message or result.reason == FLEET_BRAKE)
        did = interface.pending and result.state is not State.FAILED
        quiet = result.state is State.UNCHANGED and before.get("state") in (None, str(State.CONVERGED))
        quiet = quiet and result.reason != HELD
        again = same or result.reason == "backing-off"  # it was logged when it failed
        if quiet or (again and not did and not (log.watched and result.state in _BAD)):
            continue
        level = _LEVELS.get(result.state, "info")
        getattr(log, level)(
            f"{_word(result)}: {result.message}",
            interface_name=interface.name or interface.mac_text,
            mac_address=interface.mac_text,
            interface_id=interface.row_id,
            reason=result.reason,
        )


def _word(result: Result) -> str:
    """Return the word for what was done or found, in the log."""
    if result.state is State.DELETE:
        return "removed" if result.interface.pending else "forgotten"  # nothing of it was on the host
    if result.state is State.CONVERGED:
        return _DONE.get(attempt_of(result.interface), str(result.state))
    return str(result.state)


def log_bad(host: Host, log: Log) -> None:
    """Log what is not as desired, for a person who watches a pass that has found nothing new."""
    for item in load_state(host).get("interfaces", ()):
        state = next((state for state in _BAD if str(state) == item["state"]), None)
        if state is not None:
            getattr(log, _LEVELS.get(state, "info"))(
                f"{state}: {item['message']}", interface_name=item["name"] or item["mac"]
            )


def log_cause(host: Host, log: Log, error: str) -> None:
    """Log why a pass has failed, in one line, if it has not: an earlier one had the same error.

    systemd logs a line for every unit that fails, and what it did not do is looked for beside these.
    """
    if not log.complained:
        log.error(f"as before: {error or trouble(load_state(host))}")
