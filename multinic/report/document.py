"""A plan as a JSON document: `--output json` and `plan --out` write it, and `apply PLAN.json` reads it.

docs/reference.md describes it. VERSION changes when a field changes its meaning or is removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from multinic.report.report import Report
from multinic.values.errors import ConfigError, Refused
from multinic.values.plan import Interface, Plan
from multinic.values.text import shown

VERSION = 1


def document(plan: Plan, only: Collection[str] | None = None) -> dict[str, Any]:
    """Return the document of a plan; `only`: the keys of the interfaces that were selected, None for all."""
    return {
        "version": VERSION,
        "node": plan.node,
        "backend": plan.backend,
        "only": None if only is None else sorted(only),
        "interfaces": [_interface(interface) for interface in plan.interfaces],
        "summary": dict(sorted(Counter(str(i.state) for i in plan.interfaces).items())),
        "converged": plan.empty,
    }


def _interface(interface: Interface) -> dict[str, Any]:
    return {
        "name": interface.name or None,
        "mac": interface.mac_text or None,
        "port_id": interface.port_id or None,
        "row_id": interface.row_id,
        "link": interface.link.name if interface.link else None,
        "state": str(interface.state),
        "reason": interface.reason,
        "message": interface.message,
        "changes": [
            {"field": c.field, "from": c.before or None, "to": c.after or None} for c in interface.changes
        ],
        "files": [
            {"path": c.path, "action": c.action, "mode": f"{c.mode:04o}", "from": c.old, "to": c.new}
            for c in interface.files
        ],
    }


def results(report: Report) -> dict[str, Any]:
    """Return the document of what became of the interfaces of a purge."""
    return {
        "version": VERSION,
        "node": report.node,
        "interfaces": [
            {
                "name": result.interface.name,
                "mac": result.interface.mac_text,
                "state": str(result.state),
                "reason": result.reason,
                "message": result.message,
            }
            for result in report.results
        ],
        "exit": int(report.exit),
    }


def selection(saved: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of the interfaces that a saved plan is for; () for all. Raises ConfigError."""
    only = saved.get("only")
    if only is None:
        return ()
    if not isinstance(only, list) or not only or not all(isinstance(key, str) for key in only):
        raise ConfigError(
            "this is not a plan: `only` has no keys", "make one with `multinic plan --out FILE`"
        )
    return tuple(only)


def check_fresh(saved: Mapping[str, Any], plan: Plan, *, which: str = "saved plan") -> None:
    """Compare a plan that was saved, or shown, with a new one.

    Raises Refused if they differ, ConfigError if it is not a plan.
    """
    if saved.get("version") != VERSION or not isinstance(saved.get("interfaces"), list):
        raise ConfigError(
            "this is not a plan of this version of multinic", "make a new one with `multinic plan --out FILE`"
        )
    now = document(plan)
    for field, what in (("node", "node"), ("backend", "backend")):
        if saved.get(field) != now[field]:
            there = shown(saved.get(field))
            raise Refused(f"the {which} is for {what} {there}, this is {now[field]}; it was not carried out")
    if saved["interfaces"] != now["interfaces"]:
        what = _difference(saved["interfaces"], now["interfaces"])
        raise Refused(
            f"the {which} is stale: {what}; it was not carried out",
            "look at a new one with `multinic plan`",
        )


def _difference(saved: list[Any], now: list[Any]) -> str:
    before = {str(i.get("name") or i.get("mac")): i for i in saved if isinstance(i, dict)}
    after = {str(i["name"] or i["mac"]): i for i in now}
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return f"the database or the host changed for {', '.join(names)}" if names else "its order changed"
