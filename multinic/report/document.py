"""A plan as a JSON document: what `--output json` and `plan --out` give, and `apply PLAN.json` takes.

docs/reference.md describes it to its readers; VERSION changes when a field changes its meaning or goes away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from multinic.errors import ConfigError, Refused
from multinic.plan import Interface, Plan
from multinic.text import shown

VERSION = 1


def document(plan: Plan) -> dict[str, Any]:
    """Return the document of a plan."""
    return {
        "version": VERSION,
        "node": plan.node,
        "backend": plan.backend,
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
            {"field": c.field, "from": c.old or None, "to": c.new or None} for c in interface.changes
        ],
        "files": [
            {"path": c.path, "action": c.action, "mode": f"{c.mode:04o}", "from": c.old, "to": c.new}
            for c in interface.files
        ],
    }


def check_fresh(saved: Mapping[str, Any], plan: Plan) -> None:
    """Compare a saved plan with what would be done now. Raises ConfigError or Refused."""
    if saved.get("version") != VERSION or not isinstance(saved.get("interfaces"), list):
        raise ConfigError(
            "this is not a plan of this version of multinic", "make a new one with `multinic plan --out FILE`"
        )
    now = document(plan)
    for field, what in (("node", "node"), ("backend", "backend")):
        if saved.get(field) != now[field]:
            there = shown(saved.get(field))
            raise Refused(f"the saved plan is for {what} {there}, this is {now[field]}; nothing was changed")
    if saved["interfaces"] != now["interfaces"]:
        what = _difference(saved["interfaces"], now["interfaces"])
        raise Refused(
            f"the saved plan is stale: {what}; nothing was changed",
            "look at a new one with `multinic plan --out FILE`",
        )


def _difference(saved: list[Any], now: list[Any]) -> str:
    before = {str(i.get("name") or i.get("mac")): i for i in saved if isinstance(i, dict)}
    after = {str(i["name"] or i["mac"]): i for i in now}
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return f"the database or the host changed for {', '.join(names)}" if names else "its order changed"
