"""Filters about many hosts: the report of their plans, the report of a rollout, and both as tables."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

COUNTED = ("create", "update", "delete", "unchanged", "waiting", "blocked", "invalid")
BEGUN = ("started", "bad", "unreachable")
"""Results of hosts for which a rollout stops, if it finds them in its report."""


def planned(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run of `multinic --output json plan` came to: the plan, or why there is none."""
    try:
        document = json.loads(run["stdout"])
    except (ValueError, KeyError):
        document = {}
    if "interfaces" in document:
        return {"result": "planned", "message": "", "plan": document}
    words = [document.get("error", ""), document.get("hint", "")] if document else [_last_line(run)]
    return {"result": "error", "message": "; ".join(word for word in words if word), "plan": None}


def _last_line(run: Mapping[str, Any]) -> str:
    lines = f"{run.get('stderr', '')}".strip().splitlines() or [str(run.get("msg", "no answer"))]
    return lines[-1]


def plan_report(hosts: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of plan.yml: every host with its plan, or with the reason why it has none."""
    lost = {"result": "unreachable", "message": "the connection was lost", "plan": None}
    found = {str(host): hostvars[host].get("multinic_plan", lost) for host in hosts}
    states: Counter[str] = Counter()
    for host in found.values():
        states.update((host["plan"] or {}).get("summary", {}))
    return {
        "version": 1,
        "time": int(time.time()),
        "results": dict(Counter(host["result"] for host in found.values())),
        "summary": dict(states),
        "hosts": found,
    }


def plan_table(report: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of that document."""
    rows = [("host", "result", "backend", *COUNTED, "")]
    for host, found in report["hosts"].items():
        plan = found["plan"] or {}
        counts = [str(plan["summary"].get(state, "-") if plan else "-") for state in COUNTED]
        note = found["message"] or _note(plan)
        rows.append((host, found["result"], plan.get("backend", "-"), *counts, note))
    totals = [f"{count} {name}" for name, count in report["results"].items()]
    counts = [f"{count} {name}" for name, count in report["summary"].items()]
    return [*_aligned(rows), f"hosts: {', '.join(totals)}; interfaces: {', '.join(counts) or 'none'}"]


def _note(plan: Mapping[str, Any]) -> str:
    """Return the messages of a plan that a person should read."""
    return "; ".join(one["message"] for one in plan["interfaces"] if one["state"] in ("blocked", "invalid"))


def print_of(*parts: Any) -> str:
    """Return a name for what a rollout brings to a host: the same for the same package and settings."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def begin_rollout(text: str, hosts: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as a run begins: what an earlier one, whose report was `text`, had done stays.

    But not of a host that is to get something else now.

    Raises ValueError if that is no report.
    """
    try:
        before = json.loads(text) if text.strip() else {"version": 1, "hosts": {}}
        done = {name: host for name, host in before["hosts"].items() if host["result"] == "done"}
    except (ValueError, KeyError, TypeError):
        raise ValueError("the file of the report has something else in it; name another one") from None
    nothing = {"result": "not begun", "reason": "", "batch": None, "time": None, "print": ""}
    found = {}
    for host in map(str, hosts):
        same = host in done and done[host]["print"] == hostvars[host]["multinic_print"]
        found[host] = done[host] if same else nothing
    return {"version": 1, "began": int(time.time()), "stopped": "", "batches": 0, "hosts": done | found}


def next_batch(report: Mapping[str, Any], batch: Iterable[str]) -> dict[str, Any]:
    """Return what a batch has to do: its hosts that are not done; or why the rollout has stopped."""
    found = report["hosts"]
    stopped = report["stopped"] or "; ".join(
        f"{name} is {host['result']}" for name, host in found.items() if host["result"] in BEGUN
    )
    todo = [str(name) for name in batch if found[name]["result"] != "done"]
    left = [name for name, host in found.items() if host["result"] == "not begun" and name not in todo]
    return {"hosts": todo, "stopped": stopped, "last": not left, "number": report["batches"] + bool(todo)}


def noted(
    report: Mapping[str, Any], batch: Mapping[str, Any], hostvars: Mapping[str, Any], started: bool = False
) -> dict[str, Any]:
    """Return the report with what is known of the hosts of a batch: their verdicts, or that they began.

    A host without a verdict was lost on the way. With one that is bad or unreachable, the rollout stops.
    """
    hosts = dict(report["hosts"])
    for name in batch["hosts"]:
        verdict = {"result": "started", "reason": ""}
        if not started:
            lost = {"result": "unreachable", "reason": "the connection was lost during the change"}
            verdict = hostvars[name].get("multinic_verdict", lost)
        hosts[name] = {
            **verdict,
            "batch": batch["number"],
            "time": int(time.time()),
            "print": hostvars[name].get("multinic_print", ""),
        }
    bad = bad_hosts(batch, {name: {"multinic_verdict": hosts[name]} for name in batch["hosts"]})
    stopped = "" if started else "; ".join(f"{name}: {hosts[name]['reason']}" for name in bad)
    return {**report, "batches": batch["number"], "stopped": stopped, "hosts": hosts}


def bad_hosts(batch: Mapping[str, Any], hostvars: Mapping[str, Any]) -> list[str]:
    """Return the hosts of a batch for which a rollout stops."""
    lost = {"result": "unreachable"}
    return [
        name for name in batch["hosts"] if hostvars[name].get("multinic_verdict", lost)["result"] in BEGUN[1:]
    ]


def taken_back(
    report: Mapping[str, Any], batch: Mapping[str, Any], hostvars: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the report with what became of the hosts of a batch that were taken back."""
    hosts = dict(report["hosts"])
    for name in batch["hosts"]:
        if outcome := hostvars[name].get("multinic_taken_back"):
            host = hosts[name]
            result = "taken back" if host["result"] == "done" else host["result"]
            reason = "; ".join(word for word in (host["reason"], outcome) if word)
            hosts[name] = {**host, "result": result, "reason": reason}
    return {**report, "hosts": hosts}


def rollout_table(report: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of a rollout."""
    rows = [("host", "batch", "result", "time", "")]
    for name, host in report["hosts"].items():
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(host["time"])) if host["time"] else "-"
        rows.append((name, str(host["batch"] or "-"), host["result"], when, host["reason"]))
    counts = Counter(host["result"] for host in report["hosts"].values())
    end = f"stopped: {report['stopped']}" if report["stopped"] else ""
    return [
        *_aligned(rows),
        ", ".join(f"{count} {name}" for name, count in counts.items()),
        *filter(None, [end]),
    ]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    # Without strict=: a controller may run Python 3.9.
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]  # noqa: B905
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows)  # noqa: B905
    return [line.rstrip() for line in lines]


class FilterModule:
    """What Ansible takes from here."""

    def filters(self) -> dict[str, Any]:
        named = (planned, plan_report, plan_table, begin_rollout, next_batch, noted, bad_hosts, taken_back)
        return {"print_of": print_of} | {function.__name__: function for function in (*named, rollout_table)}
