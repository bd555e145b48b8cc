"""Hold interfaces, and release them: `multinic hold`, `multinic release`. Needs no database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from multinic.decide.safety import resolve
from multinic.decide.selection import select
from multinic.host.host import Host
from multinic.host.lock import only_one
from multinic.kernel.observe import links as current_links
from multinic.report.status import of_status, status
from multinic.state.holds import load_holds, save_holds
from multinic.values.addresses import Mac
from multinic.values.errors import ConfigError, Locked, Refused
from multinic.values.hold import HOLDS_MAX, Hold, Holds, when
from multinic.values.observed import Observed, ObservedLink
from multinic.values.paths import CHECKPOINT, HOLDS

VERSION = 1
"""The version of the document: it changes when a field changes its meaning or is removed."""
_PATIENCE = 30.0  # seconds for another run to end
_RELEASE_ALL = "`multinic release --all` drops it, and with it every hold"

Done = TypeVar("Done")


def document(host: Host) -> dict[str, Any]:
    """Return what is held now. Raises HostError and Refused."""
    now = time.time()
    return {
        "version": VERSION,
        "holds": [
            {
                "name": hold.name,
                "mac": str(hold.mac),
                "port_id": hold.port_id,
                "since": int(hold.since),
                "until": int(hold.until),
                "why": hold.why,
                "by": hold.by,
            }
            for hold in _readable(host, now).active(now)
        ],
    }


def hold(host: Host, words: Sequence[str], seconds: float, why: str, by: str) -> list[str]:
    """Hold interfaces from now on, and return lines about each.

    A run that is at work is waited for: it may be changing them. Raises ConfigError, Locked, Refused and
    HostError.
    """

    def change() -> list[str]:
        if host.present(CHECKPOINT):
            said = "a change was interrupted, and is not restored yet; nothing is held"
            raise Refused(said, "restore it with `multinic rollback --interrupted`, then hold")
        now = time.time()
        held = list(_readable(host, now).active(now))
        lines: list[str] = []
        for item, mac, link in _meant(host, words):
            card = (link.permanent_mac if link else None) or mac
            name = str(item["name"] or item["link"] or "")
            one = Hold(mac, card, name, str(item["port_id"] or ""), now, now + seconds, why, by)
            before = next((other for other in held if other.of(mac)), None)
            held = [*(other for other in held if not other.of(mac)), one]
            lines += _lines(one, before)
        if len(held) > HOLDS_MAX:
            raise Refused(f"more than {HOLDS_MAX} interfaces would be held", "release some of them first")
        save_holds(host, held)
        return lines

    return _alone(host, change)


def release(host: Host, words: Sequence[str], *, everything: bool) -> list[str]:
    """End holds, and return a line about each interface. Raises ConfigError, Locked, Refused, HostError."""

    def change() -> list[str]:
        now = time.time()
        if everything:
            known = load_holds(host)
            lines = [_released(one) for one in known.active(now)]
            if known.unknown(now):
                lines.append(f"{HOLDS}, which could not be read, is gone: nothing is held")
            save_holds(host, ())
            return lines or ["nothing is held"]
        held = list(_readable(host, now).active(now))
        lines = []
        for item, mac, _ in _meant(host, words):
            found = next((one for one in held if one.of(mac)), None)
            held = [one for one in held if not one.of(mac)]
            lines.append(_released(found) if found else f"{item['name'] or mac} is not held")
        save_holds(host, held)
        return lines

    return _alone(host, change)


def _alone(host: Host, change: Callable[[], Done]) -> Done:
    """Do something while no other run is at work. Raises Locked if one does not end for long."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with only_one(host):
                return change()
        except Locked:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def _readable(host: Host, now: float) -> Holds:
    known = load_holds(host)
    if known.unknown(now):
        raise Refused(f"{HOLDS} is damaged: what is held is not known, so nothing was changed", _RELEASE_ALL)
    return known


def _meant(host: Host, words: Sequence[str]) -> Iterator[tuple[Mapping[str, Any], Mac, ObservedLink | None]]:
    """Yield the interfaces and other links that `words` mean, with their MAC address and their link.

    Raises ConfigError.
    """
    observed = Observed(links=current_links())
    items: list[dict[str, Any]] = status(host)["interfaces"]
    known = {item["mac"] for item in items} | {item["link"] for item in items}
    for link in observed.links:  # not managed yet, maybe: it can be held before a row comes
        mac = link.permanent_mac or link.mac
        if mac is not None and not link.stacked and not known & {str(mac), str(link.mac), link.name}:
            items.append({"name": "", "mac": str(mac), "port_id": "", "row_id": None, "link": link.name})
    for item in select(words, items, of_status):
        try:
            mac = Mac(str(item["mac"]))
        except ValueError:
            who = item["name"] or f"row {item['row_id']}"
            said = f"the MAC address of {who} is not known, so it cannot be held"
            raise ConfigError(said, "correct its row: until then it stays as it is") from None
        found = resolve(mac, observed)
        yield item, mac, found if isinstance(found, ObservedLink) else None


def _lines(now: Hold, before: Hold | None) -> Iterator[str]:
    """Yield what is said of a new hold; 80 columns hold most of it."""
    yield f"{_called(now)} is held until {when(now.until)}"
    yield f"    {now.why}"
    if before is not None:
        yield f"  it was held until {when(before.until)} by {before.by}"
        yield f"    {before.why}"


def _called(hold: Hold) -> str:
    return f"{hold.name} ({hold.mac})" if hold.name else str(hold.mac)


def _released(hold: Hold) -> str:
    return f"{_called(hold)} is released; the next pass carries out what waited"
