"""The document of `multinic status`: the last result beside the present state of the managed links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multinic.backend.detect import detect
from multinic.decide.naming import name_of, slot_of, slot_of_link
from multinic.decide.safety import resolve
from multinic.decide.selection import Called, select
from multinic.host.host import Host
from multinic.kernel.observe import links as current_links
from multinic.report.agent import agent
from multinic.report.statefile import trouble
from multinic.state.record import load_record
from multinic.state.statefile import load_state
from multinic.values.addresses import Mac
from multinic.values.observed import Observed, ObservedLink


def status(host: Host, only: Sequence[str] = ()) -> dict[str, Any]:
    """Return the status document: the last pass, and every managed interface with its link as it is now.

    `only`: the interfaces to show, by name, MAC address, port or row; () for all. Raises ConfigError.
    """
    last = load_state(host)
    observed = Observed(links=current_links())
    known = {str(item["key"]): dict(item) for item in last.get("interfaces", ())}
    for mac, entry in load_record(host).entries.items():
        known.setdefault(str(mac), _unknown(name_of(entry.slot), str(mac)))
    known_macs = set(known)
    for link in observed.links:
        carried = str(link.permanent_mac or link.mac or "")
        if slot_of_link(link) is not None and carried not in known_macs:
            known[carried] = _unknown(link.name, carried)
    interfaces = [_with_live(item, observed) for item in known.values()]
    interfaces.sort(key=lambda item: (slot_of(item["name"] or "") is None, slot_of(item["name"] or "") or 0))
    found = detect(host)
    if only:
        interfaces = select(only, interfaces, of_status)
    return {
        "version": 1,
        "node": last.get("node"),
        "backend": last.get("backend"),
        "time": last.get("time"),
        "exit": last.get("exit"),
        "error": trouble(last),
        "agent": agent(host),
        "detected": {"backend": found.name, "why": found.why},
        "interfaces": interfaces,
    }


def of_status(item: dict[str, Any]) -> Called:
    """Return by what an interface of the document can be meant."""
    row_id = item["row_id"] if isinstance(item["row_id"], int) else None
    name, mac, port_id, link = (str(item[key] or "") for key in ("name", "mac", "port_id", "link"))
    return Called(name, mac, port_id, row_id, link)


def _unknown(name: str, mac: str) -> dict[str, Any]:
    unknown = {"state": "unknown", "reason": "unknown", "message": "not part of the last pass"}
    return {"name": name, "mac": mac, "port_id": "", "row_id": None, **unknown}


def _with_live(item: dict[str, Any], observed: Observed) -> dict[str, Any]:
    link = _link(str(item["mac"]), observed)
    return {
        "name": item["name"],
        "mac": item["mac"],
        "port_id": item["port_id"],
        "row_id": item["row_id"],
        "state": item["state"],
        "reason": item.get("reason", ""),
        "message": item["message"],
        "link": link.name if link else None,
        "up": link.up if link else None,
        "carrier": link.carrier if link else None,
        "mtu": link.mtu if link else None,
        "addresses": [str(found.address) for found in link.addresses] if link else [],
    }


def _link(text: str, observed: Observed) -> ObservedLink | None:
    try:
        found = resolve(Mac(text), observed)
    except ValueError:
        return None
    return found if isinstance(found, ObservedLink) else None
