"""The result of a pass as the state document: for `multinic status`, health and monitoring."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from multinic import __version__
from multinic.host.host import Host
from multinic.report.report import Report
from multinic.state.statefile import VERSION, load_state, save_state
from multinic.values.errors import Exit
from multinic.values.hold import HELD
from multinic.values.plan import Result, State


def write(host: Host, report: Report) -> None:
    """Write the state document of a pass. Raises HostError."""
    save_state(host, document(report, load_state(host)))


def write_error(host: Host, node: str, error: str, status: Exit) -> None:
    """Write why a pass could not be finished, beside the results of the last one that was.

    Raises HostError.
    """
    now = time.time()
    last = load_state(host) or document(Report(__version__, node, "", now, ()))
    save_state(host, last | {"time": int(now), "exit": int(status), "error": error})


def write_outage(
    host: Host, node: str, error: str, met_by: Exit | None, *, from_memory: bool = False
) -> None:
    """Write that the database cannot be read, beside the results of the last pass. Raises HostError.

    `met_by`: the exit status of the pass that met it; None: somebody who only looks did. `from_memory`: that
    pass uses the last known good state.
    """
    now = time.time()
    last = load_state(host) or document(Report(__version__, node, "", now, ()))
    pass_too = {} if met_by is None else {"time": int(now), "exit": int(met_by)}
    save_state(host, last | pass_too | {"database_error": error, "from_memory": from_memory})


def end_outage(host: Host) -> None:
    """Write that the database can be read again, whatever becomes of this pass. Raises HostError."""
    last = load_state(host)
    if last.get("database_error"):
        save_state(host, last | {"database_error": "", "from_memory": False})


def trouble(state: Mapping[str, Any]) -> str:
    """Return what a state document says was wrong with the pass as a whole; "" for nothing."""
    found = []
    if state.get("error"):
        found.append(f"the last pass could not be finished: {state['error']}")
    if state.get("database_error"):
        from_memory = state.get("from_memory")
        how = (
            "the last pass had no database, and used the last known good state"
            if from_memory
            else "the database could not be read"
        )
        found.append(f"{how}: {state['database_error']}")
    elif state.get("report_error"):
        found.append(f"the last pass could not write its result to the database: {state['report_error']}")
    if state.get("tables_error"):
        found.append(f"the status tables could not be written: {state['tables_error']}")
    return "; ".join(found)


def document(report: Report, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the state document; it goes on with the counts of `before`, the document of the last pass."""
    before = before or {}
    results = [result for result in report.results if result.state is not State.DELETE]
    known = {str(item.get("key")): item for item in before.get("interfaces", ())}
    return {
        "version": VERSION,
        "multinic": report.version,
        "node": report.node,
        "backend": report.backend,
        "time": int(report.time),
        "exit": int(report.status),
        "error": "",
        "from_memory": report.from_memory,
        "database_error": report.database_error,
        "report_error": report.report_error,
        "tables_error": report.tables_error,
        "since": before.get("since", int(report.time)),
        "totals": _totals(report, before.get("totals", {})),
        "summary": dict(sorted(Counter(str(lasting(result.state)) for result in results).items())),
        "interfaces": [
            _item(result, report) | {"since": _since(result, report, known)} for result in results
        ],
    }


def _totals(report: Report, before: Mapping[str, int]) -> dict[str, int]:
    """Return how often interfaces were configured, failed and were removed, with the counts in `before`."""
    found = [result for result in report.results if result.interface.pending]
    counts = {
        "configured": sum(result.state is State.CONVERGED for result in found),
        "failed": sum(result.state is State.FAILED and result.reason != "backing-off" for result in found),
        "removed": sum(result.state is State.DELETE for result in found),
    }
    return {word: before.get(word, 0) + count for word, count in counts.items()}


def _item(result: Result, report: Report) -> dict[str, Any]:
    interface = result.interface
    desired = interface.desired
    good = result.state in (State.CONVERGED, State.UNCHANGED)
    # Without a database nobody knows what is desired now.
    words = "as it was configured last" if report.from_memory else "as desired"
    return {
        "key": interface.key,
        "name": interface.name,
        "mac": interface.mac_text,
        "port_id": interface.port_id,
        "row_id": interface.row_id,
        "state": str(lasting(result.state)),
        "reason": "converged" if result.state is State.CONVERGED else result.reason,
        "message": words if good and result.reason != HELD else result.message,
        "addresses": [str(address) for address in desired.addresses] if desired else [],
        "mtu": desired.mtu if desired else None,
    }


def _since(result: Result, report: Report, known: Mapping[str, Mapping[str, Any]]) -> int:
    """Return since when an interface is in its state; one that was just configured is since now."""
    before = known.get(result.interface.key, {})
    same = before.get("state") == str(lasting(result.state)) and result.state is not State.CONVERGED
    since = before.get("since")
    return since if same and isinstance(since, int) else int(report.time)


def lasting(state: State) -> State:
    """Return the state from now on: an unchanged interface is converged."""
    return State.CONVERGED if state is State.UNCHANGED else state
