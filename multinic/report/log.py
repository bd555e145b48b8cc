"""The result of a pass in the log: a line for each new decision, and none if nothing happened."""

from __future__ import annotations

from multinic.decide.brake import FLEET_BRAKE
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.report.report import Report
from multinic.report.statefile import lasting
from multinic.state.statefile import load_state
from multinic.values.plan import State

_LEVELS = {State.FAILED: "error", State.INVALID: "error", State.BLOCKED: "warning"}


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
        if (same and not did) or quiet or result.reason == "backing-off":  # it was logged when it failed
            continue
        level = _LEVELS.get(result.state, "info")
        getattr(log, level)(
            f"{_word(result.state)}: {result.message}",
            interface_name=interface.name or interface.mac_text,
            mac_address=interface.mac_text,
            interface_id=interface.row_id,
            reason=result.reason,
        )


def _word(state: State) -> str:
    """Return the word for a state in the log."""
    return "removed" if state is State.DELETE else str(state)
