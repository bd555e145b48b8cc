"""What `multinic status` tells: the last result beside what the managed links are now."""

from __future__ import annotations

from typing import Any

from multinic import record
from multinic.backend.detect import detect
from multinic.host import Host
from multinic.model import Mac, Observed, ObservedLink
from multinic.naming import name_of, slot_of
from multinic.observe import links as current_links
from multinic.report import statefile
from multinic.safety import resolve


def status(host: Host) -> dict[str, Any]:
    """Return the status document: the last pass, and every managed interface with its live link."""
    last = statefile.load(host)
    observed = Observed(links=current_links())
    known = {str(item["key"]): dict(item) for item in last.get("interfaces", ())}
    for mac, held in record.load(host).links.items():
        known.setdefault(str(mac), _unknown(name_of(held.slot), str(mac)))
    spoken = set(known)
    for link in observed.links:
        carried = str(link.permanent_mac or link.mac or "")
        if slot_of(link.name) is not None and carried not in spoken:
            known[carried] = _unknown(link.name, carried)
    interfaces = [_with_live(item, observed) for item in known.values()]
    interfaces.sort(key=lambda item: (slot_of(item["name"] or "") is None, slot_of(item["name"] or "") or 0))
    found = detect(host)
    return {
        "version": 1,
        "node": last.get("node"),
        "backend": last.get("backend"),
        "time": last.get("time"),
        "exit": last.get("exit"),
        "detected": {"backend": found.name, "why": found.why},
        "interfaces": interfaces,
    }


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
