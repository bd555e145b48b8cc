"""Tell the host: the log, and /run/multinic/state.json for `multinic status` and the health endpoint."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from multinic.apply import Result
from multinic.errors import Exit, TooLarge
from multinic.host import Host
from multinic.log import Log
from multinic.paths import STATE
from multinic.plan import State
from multinic.report import Report

_VERSION = 1
_HEARTBEAT = 300.0  # seconds: an unchanged state is written again then, as a sign of life
_FIELDS = {"key", "name", "mac", "port_id", "row_id", "state", "reason", "message"}
_LEVELS = {State.FAILED: "error", State.INVALID: "error", State.BLOCKED: "warning"}


def load(host: Host) -> dict[str, Any]:
    """Return the state of the last pass; {} if there is none that can be read."""
    try:
        document = json.loads(host.read(STATE) or "{}")
    except (TooLarge, ValueError, RecursionError):
        return {}
    return document if _is_state(document) else {}


def _is_state(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and document.get("version") == _VERSION
        and isinstance(document.get("time"), int)
        and 0 <= document["time"] < 1 << 40  # what a calendar can tell
        and isinstance(document.get("interfaces"), list)
        and all(isinstance(item, dict) and item.keys() >= _FIELDS for item in document["interfaces"])
        and isinstance(document.get("since", 0), int)
        and isinstance(totals := document.get("totals", {}), dict)
        and all(isinstance(count, int) for count in totals.values())
    )


def tell_of_database(host: Host, log: Log, error: str, hint: str = "") -> None:
    """Log that the database cannot be read, or can be again."""
    if _is_news("database_error", error, host, log):
        if error:
            log.error(error, hint=hint)
        else:
            log.info("the database can be read again")


def tell_of_report(host: Host, log: Log, error: str, hint: str = "") -> None:
    """Log that the result could not be written, or can be again."""
    if _is_news("report_error", error, host, log):
        if error:
            log.error(f"the result could not be written to the database: {error}", hint=hint)
        else:
            log.info("results can be written to the database again")


def _is_news(key: str, error: str, host: Host, log: Log) -> bool:
    """Return whether the last pass did not meet this error; whoever watches is told of one every time."""
    return error != str(load(host).get(key, "")) or bool(error and log.watched)


def tell(host: Host, report: Report, log: Log) -> None:
    """Log every decision that is new since the last pass; a converged host says nothing."""
    known = {str(item.get("key")): item for item in load(host).get("interfaces", ())}
    for result in report.results:
        interface = result.interface
        before = known.get(interface.key, {})
        same = (before.get("state"), before.get("reason"), before.get("message")) == (
            str(_lasting(result.state)),
            result.reason,
            result.message,
        )
        did = interface.pending and result.state is not State.FAILED
        quiet = result.state is State.UNCHANGED and before.get("state") in (None, str(State.CONVERGED))
        if (same and not did) or quiet or result.reason == "backing-off":  # told when it failed
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
    """Return how a finished action is called in the log."""
    return "removed" if state is State.DELETE else str(state)


def _lasting(state: State) -> State:
    """Return the state as it is from now on: what is unchanged had converged before."""
    return State.CONVERGED if state is State.UNCHANGED else state


def document(report: Report, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the state file's JSON document; `before` is the one of the pass before, of which it goes on."""
    before = before or {}
    results = [result for result in report.results if result.state is not State.DELETE]
    return {
        "version": _VERSION,
        "multinic": report.version,
        "node": report.node,
        "backend": report.backend,
        "time": int(report.time),
        "exit": int(Exit.RETRY if report.from_memory or report.report_error else report.exit),
        "from_memory": report.from_memory,
        "database_error": report.database_error,
        "report_error": report.report_error,
        "since": before.get("since", int(report.time)),
        "totals": _totals(report, before.get("totals", {})),
        "summary": dict(sorted(Counter(str(_lasting(result.state)) for result in results).items())),
        "interfaces": [_item(result) for result in results],
    }


def _totals(report: Report, before: Mapping[str, int]) -> dict[str, int]:
    """Return how often something was configured, failed and was removed, with what was counted before."""
    found = [result for result in report.results if result.interface.pending]
    counts = {
        "configured": sum(result.state is State.CONVERGED for result in found),
        "failed": sum(result.state is State.FAILED and result.reason != "backing-off" for result in found),
        "removed": sum(result.state is State.DELETE for result in found),
    }
    return {word: before.get(word, 0) + count for word, count in counts.items()}


def _item(result: Result) -> dict[str, Any]:
    interface = result.interface
    desired = interface.desired
    unchanged = result.state is State.UNCHANGED
    return {
        "key": interface.key,
        "name": interface.name,
        "mac": interface.mac_text,
        "port_id": interface.port_id,
        "row_id": interface.row_id,
        "state": str(_lasting(result.state)),
        "reason": "converged" if result.state is State.CONVERGED else result.reason,
        "message": "as desired" if result.state is State.CONVERGED or unchanged else result.message,
        "addresses": [str(address) for address in desired.addresses] if desired else [],
        "mtu": desired.mtu if desired else None,
    }


def write(host: Host, report: Report) -> None:
    """Write the state file where it differs from what is there, or as a sign of life."""
    old = load(host)
    new = document(report, old)
    fresh = 0 <= new["time"] - old.get("time", 0) < _HEARTBEAT
    if fresh and {**new, "time": 0} == {**old, "time": 0}:
        return
    host.write(STATE, json.dumps(new, indent=1) + "\n", 0o644)
