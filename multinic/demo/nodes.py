"""The nodes of the fleet that does not exist: what they have, and what they would write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from multinic.values.counts import NOT_AS_DESIRED, STATES
from multinic.values.errors import Exit
from multinic.values.history import Event, FieldChange, Kind


@dataclass
class Interface:
    """An interface of a node, and how it is now."""

    number: int
    row_id: int
    port_id: str
    mac: str
    address: str
    state: str = "converged"
    reason: str = "converged"
    message: str = "as desired"
    begun: bool = False
    """Whether its history has how it was made."""

    def become(self, state: str, reason: str, message: str) -> None:
        """Be in another state from now on."""
        self.state, self.reason, self.message = state, reason, message

    @property
    def bad(self) -> bool:
        """Whether it is not as desired."""
        return self.state in NOT_AS_DESIRED

    @property
    def values(self) -> Mapping[str, Any]:
        """Its row in the status tables."""
        here = self.state in ("converged", "failed", "blocked")
        return {
            "row_id": self.row_id,
            "port_id": self.port_id,
            "name": f"multinic{self.number}",
            "mac": self.mac,
            "state": self.state,
            "reason": self.reason,
            "message": self.message.format(address=self.address),
            "addresses": self.address if self.state == "converged" else "",
            "mtu": 1500 if here else None,
            "operational": "no-carrier" if self.reason == "no-carrier" else "up" if here else "absent",
        }


@dataclass
class Node:
    """A node with what it has not told the database yet."""

    name: str
    version: str
    backend: str
    interfaces: list[Interface]
    error: str = ""
    silent: bool = False
    events: int = 0
    changed: list[Interface] = field(default_factory=list)
    happened: list[Event] = field(default_factory=list)

    def happen(self, kind: Kind, now: float, one: Interface | None = None) -> None:
        """Let something have happened to an interface, or to a whole pass."""
        self.events += 1
        number = round(now * 1e6) + self.events
        if one is None:
            self.happened.append(Event(number, kind, "database", self.error or "the database answers again"))
            return
        tried = kind in (Kind.CREATED, Kind.REPAIRED, Kind.FAILED)
        changes = (FieldChange("address", "", one.address),) if tried else ()
        self.happened.append(
            Event(
                number=number,
                kind=kind,
                reason=one.reason,
                message=str(one.values["message"]),
                name=f"multinic{one.number}",
                mac=one.mac,
                port_id=one.port_id,
                row_id=one.row_id,
                changes=changes,
            )
        )

    @property
    def bad(self) -> list[Interface]:
        """The interfaces that are not as desired."""
        return [one for one in self.interfaces if one.bad]

    @property
    def values(self) -> Mapping[str, Any]:
        """Its row in the status tables."""
        counts = {state: sum(one.state == state for one in self.interfaces) for state in STATES}
        exit_status = (
            Exit.RETRY
            if self.error
            else Exit.PARTIAL
            if counts["failed"] + counts["invalid"]
            else Exit.REFUSED
            if counts["blocked"]
            else Exit.OK
        )
        words = {Exit.OK: "ok", Exit.PARTIAL: "partial", Exit.REFUSED: "blocked", Exit.RETRY: "error"}
        return {
            "version": self.version,
            "backend": self.backend,
            "boot_id": "",
            "last_result": words[exit_status],
            "exit_status": int(exit_status),
            "interfaces": len(self.interfaces),
            **counts,
            "error_code": "database" if self.error else "",
            "error": self.error,
        }
