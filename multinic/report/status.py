"""The document of `multinic status`: the last result beside the present state of the managed links."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multinic.backend.detect import detect
from multinic.decide.naming import name_of, slot_of, slot_of_link
from multinic.decide.safety import resolve
from multinic.decide.selection import Called, select
from multinic.host.host import Host
from multinic.kernel.observe import links as current_links
from multinic.report.agent import agent
from multinic.report.schedule import Schedule, schedule
from multinic.report.statefile import trouble
from multinic.state import history
from multinic.state.holds import load_holds
from multinic.state.record import load_record
from multinic.state.statefile import load_state
from multinic.values.addresses import Mac
from multinic.values.errors import Exit, HostError
from multinic.values.history import Kind
from multinic.values.hold import HELD, Hold, Holds, damaged_words
from multinic.values.observed import Observed, ObservedLink
from multinic.values.record import Record

_READ = (Exit.OK, Exit.PARTIAL, Exit.REFUSED)


def status(host: Host, only: Sequence[str] = ()) -> dict[str, Any]:
    """Return the status document: the last pass, and every managed interface with its link as it is now.

    `only`: the interfaces to show, by name, MAC address, port or row; () for all. Raises ConfigError.
    """
    last = load_state(host)
    observed = Observed(links=current_links())
    known = [dict(item) for item in last.get("interfaces", ())]
    known += _besides(known, load_record(host), observed)
    holds, now = load_holds(host), time.time()
    interfaces = _with_holds([_with_live(item, observed) for item in known], observed, holds, now)
    interfaces.sort(key=lambda item: (slot_of(item["name"] or "") is None, slot_of(item["name"] or "") or 0))
    found, runs = detect(host), agent(host)
    passes = schedule(host, runs)
    if only:
        interfaces = select(only, interfaces, of_status)
    return {
        "version": 1,
        "node": last.get("node"),
        "backend": last.get("backend"),
        "time": last.get("time"),
        "exit": last.get("exit"),
        "error": "; ".join(filter(None, (trouble(last), damaged_words(holds, now)))),
        "agent": runs,
        "passes": {
            **passes._asdict(),
            "last": _whole(passes.last),
            "next": _whole(passes.next),
        },
        "database": _database(host, last, passes),
        "detected": {"backend": found.name, "why": found.why},
        "interfaces": interfaces,
    }


def _with_holds(
    items: list[dict[str, Any]], observed: Observed, holds: Holds, now: float
) -> list[dict[str, Any]]:
    """Return the interfaces with their holds of now, and what is held besides."""
    held = {str(mac): hold for hold in holds.active(now) for mac in (hold.card, hold.mac)}
    seen = {str(item["mac"]) for item in items}
    besides = [
        _with_live(_unknown(hold.name, str(hold.mac)), observed)
        for hold in holds.active(now)
        if not seen & {str(hold.mac), str(hold.card)}
    ]
    unknown = holds.unknown(now)
    return [_with_hold(item, held.get(str(item["mac"])), unknown=unknown) for item in (*items, *besides)]


def _with_hold(item: dict[str, Any], hold: Hold | None, *, unknown: bool) -> dict[str, Any]:
    """Return an interface with its hold of now; the last pass may have seen another one, or none."""
    message = item["message"]
    if hold and hold.words not in message:
        before = "" if item["reason"] == HELD else f"{message}; "
        message = f"{before}{hold.words}"
    elif hold is None and item["reason"] == HELD and not unknown:
        message = "it was held; the next pass looks at it"
    said = {"until": int(hold.until), "why": hold.why, "by": hold.by} if hold else None
    return {**item, "message": message, "held": said}


def of_status(item: dict[str, Any]) -> Called:
    """Return by what an interface of the document can be meant."""
    row_id = item["row_id"] if isinstance(item["row_id"], int) else None
    name, mac, port_id, link = (str(item[key] or "") for key in ("name", "mac", "port_id", "link"))
    return Called(name, mac, port_id, row_id, link)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _database(host: Host, last: Mapping[str, Any], passes: Schedule) -> dict[str, Any]:
    """Return whether the database could be read, when that was seen last, and since when it cannot be."""
    if last.get("database_error"):
        return {"read": False, "time": last["time"], "since": _outage(host), "error": last["database_error"]}
    if not last or last.get("error"):  # such a pass may have ended before it asked
        return {"read": None, "time": None, "since": None, "error": ""}
    later = passes.last if passes.exit in _READ and passes.last else 0
    seen = max(int(last["time"]), int(later))
    return {"read": True, "time": seen, "since": None, "error": last.get("report_error", "")}


def _outage(host: Host) -> int | None:
    """Return when the present outage began; None if the history does not know it."""
    try:
        kinds = [event for event in history.load(host) if event.reason == "no-database"]
    except HostError:
        return None
    return int(kinds[-1].time) if kinds and kinds[-1].kind is Kind.OUTAGE else None


def _besides(known: list[dict[str, Any]], record: Record, observed: Observed) -> Iterator[dict[str, Any]]:
    """Yield what is managed, or has one of our names, and was not part of the last pass."""
    seen = {str(item[field]) for item in known for field in ("key", "mac", "name") if item[field]}
    links = (link for link in observed.links if slot_of_link(link) is not None)
    carried = ((link.name, str(link.permanent_mac or link.mac or "")) for link in links)
    for name, mac in (*((name_of(e.slot), str(mac)) for mac, e in record.entries.items()), *carried):
        if not {name, mac} & seen:
            seen |= {name, mac}
            yield _unknown(name, mac)


def _unknown(name: str, mac: str) -> dict[str, Any]:
    unknown = {"state": "unknown", "reason": "unknown", "message": "not part of the last pass"}
    return {"name": name, "mac": mac, "port_id": "", "row_id": None, **unknown}


def _with_live(item: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
    link = _link(str(item["mac"]), observed)
    found = {
        "name": item["name"],
        "mac": item["mac"],
        "port_id": item["port_id"],
        "row_id": item["row_id"],
        "state": item["state"],
        "reason": item.get("reason", ""),
        "message": item["message"],
        "since": since if isinstance(since := item.get("since"), int) and 0 <= since < 1 << 40 else None,
        "link": link.name if link else None,
        "up": link.up if link else None,
        "carrier": link.carrier if link else None,
        "mtu": link.mtu if link else None,
        "addresses": [str(found.address) for found in link.addresses] if link else [],
    }
    differences = list(_differences(item, link, observed)) if item["state"] == "converged" else []
    if differences:
        words = f"changed since the last pass: {'; '.join(differences)}"
        found |= {"state": "drifted", "reason": "drift", "message": words, "since": None}
    return found


def _differences(item: Mapping[str, Any], link: ObservedLink | None, observed: Observed) -> Iterator[str]:
    """Yield in what a link that the last pass found as desired is not so now."""
    name = str(item["name"])
    if link is None:
        yield f"no link has the MAC address {item['mac']}"
        if other := next((found for found in observed.links if found.name == name), None):
            yield f"{name} has the MAC address {other.mac}" if other.mac else f"{name} has no MAC address"
        return
    if link.name != name:
        yield f"the link has the name {link.name}"
    if not link.up:
        yield "the link is down"
    if item.get("mtu") not in (None, link.mtu):
        yield f"mtu {link.mtu} instead of {item['mtu']}"
    present = {str(found.address) for found in link.addresses}
    missing = [address for address in item.get("addresses", ()) if address not in present]
    yield from (f"the address {address} is missing" for address in missing)


def _link(text: str, observed: Observed) -> ObservedLink | None:
    try:
        found = resolve(Mac(text), observed)
    except ValueError:
        return None
    return found if isinstance(found, ObservedLink) else None
