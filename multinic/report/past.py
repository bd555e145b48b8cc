"""The document of `multinic history`: the events of this host, also of one interface."""

from __future__ import annotations

from typing import Any

from multinic.host.host import Host
from multinic.state import history
from multinic.values.history import Event

VERSION = 1


def document(host: Host, interface: str | None = None) -> dict[str, Any]:
    """Return the events, oldest first; all, or those of one name, MAC address or port. Raises HostError."""
    found = history.load(host)
    if interface is not None:
        found = tuple(event for event in found if _is_of(event, interface))
    return {"version": VERSION, "events": [history.document(event) for event in found]}


def _is_of(event: Event, interface: str) -> bool:
    folded = interface.casefold()
    return bool(folded) and (
        folded in (event.name.casefold(), event.port_id.casefold(), event.mac.casefold())
        or folded.replace("-", ":") == event.mac.casefold()
    )
