"""What this host remembers between passes: slots, how links were before us, the last rendering.

One file, /var/lib/multinic/record.json (0600), replaced atomically and only when it changes. A
damaged or missing one costs nothing but memory: slots are then read off files and links.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from multinic import options
from multinic.fields import FIELDS
from multinic.host import Host
from multinic.model import DesiredLink, Failure, Held, Mac, Record, Route, Rule
from multinic.naming import name_of, slot_of
from multinic.paths import RECORD

_VERSION = 1


@dataclass(frozen=True)
class Memory:
    """Everything that is remembered. `rendered`: name → (key of its inputs, path → text)."""

    links: Record = field(default_factory=dict)
    rendered: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    mass_deletion: int = 0
    """In how many consecutive reads a mass deletion has been seen (safety rule 3)."""


def load(host: Host) -> Memory:
    """Return what was remembered; an unreadable file counts as none."""
    text = host.read(RECORD)
    if not text:
        return Memory()
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            return Memory()
        return Memory(
            links={Mac(mac): held_from(item) for mac, item in document["links"].items()},
            rendered={
                name: (str(item["key"]), {str(path): str(text) for path, text in item["files"].items()})
                for name, item in document["rendered"].items()
            },
            mass_deletion=int(document.get("mass_deletion", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Memory()


def save(host: Host, memory: Memory) -> None:
    """Write what is to be remembered."""
    document = {
        "version": _VERSION,
        "links": {str(mac): held_document(held) for mac, held in sorted(memory.links.items())},
        "rendered": {
            name: {"key": key, "files": dict(files)} for name, (key, files) in sorted(memory.rendered.items())
        },
        "mass_deletion": memory.mass_deletion,
    }
    host.write(RECORD, json.dumps(document, indent=1) + "\n", 0o600)


def link_document(link: DesiredLink) -> dict[str, Any]:
    """Return a desired link as JSON can hold it."""
    return {
        "mac": str(link.mac),
        "port_id": link.port_id,
        "row_id": link.row_id,
        "addresses": [str(address) for address in link.addresses],
        "mtu": link.mtu,
        "options": options.document(link.options),
        "routes": [
            [str(r.to), str(r.via) if r.via else None, r.metric, r.table, r.on_link] for r in link.routes
        ],
        "rules": [rule_document(rule) for rule in link.rules],
    }


def link_from(document: Mapping[str, Any]) -> DesiredLink:
    """Return the desired link of `link_document`. Raises ValueError, KeyError or TypeError."""
    return DesiredLink(
        mac=Mac(document["mac"]),
        port_id=str(document["port_id"]),
        row_id=int(document["row_id"]),
        addresses=tuple(ip_interface(address) for address in document["addresses"]),
        mtu=None if document["mtu"] is None else int(document["mtu"]),
        options=options.parse(document.get("options", {})),
        routes=tuple(
            Route(ip_network(to), ip_address(via) if via else None, metric, table, on_link)
            for to, via, metric, table, on_link in document["routes"]
        ),
        rules=tuple(rule_from(*rule) for rule in document["rules"]),
    )


def rule_document(rule: Rule) -> list[Any]:
    """Return a rule as JSON can hold it."""
    source, destination = (str(network) if network else None for network in (rule.source, rule.destination))
    return [source, destination, rule.table, rule.priority]


def rule_from(source: str | None, destination: str | None, table: int, priority: int) -> Rule:
    """Return the rule of `rule_document`. Raises ValueError."""
    from_, to = (None if text is None else ip_network(text) for text in (source, destination))
    return Rule(from_, to, table, priority)


def held_document(held: Held) -> dict[str, Any]:
    """Return what is remembered of one link as JSON can hold it."""
    return {
        "slot": held.slot,
        "port_id": held.port_id,
        "name_before": held.name_before,
        "mtu_before": held.mtu_before,
        "tuning_before": dict(held.tuning_before),
        "applied": link_document(held.applied) if held.applied else None,
        "failure": _failure_document(held.failure) if held.failure else None,
    }


def _slot(number: int) -> int:
    if slot_of(name_of(number)) != number:
        raise ValueError(f"no link can have slot {number}")
    return number


def held_from(item: Mapping[str, Any]) -> Held:
    """Return the memory of `held_document`. Raises ValueError, KeyError or TypeError."""
    return Held(
        slot=_slot(int(item["slot"])),
        port_id=str(item["port_id"]),
        name_before=str(item["name_before"]),
        mtu_before=None if item["mtu_before"] is None else int(item["mtu_before"]),
        tuning_before=_tuning(item.get("tuning_before", {})),
        applied=None if item["applied"] is None else link_from(item["applied"]),
        failure=None if item.get("failure") is None else _failure(item["failure"]),
    )


def _tuning(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of tuning.py that this version knows; their names become paths."""
    return {str(field): str(value) for field, value in item.items() if field in FIELDS}


def _failure_document(failure: Failure) -> dict[str, Any]:
    return {
        "count": failure.count,
        "retry_at": failure.retry_at,
        "wish": link_document(failure.wish) if failure.wish else None,
        "link": failure.link,
        "message": failure.message,
        "suspect": failure.suspect,
    }


def _failure(item: Mapping[str, Any]) -> Failure:
    return Failure(
        count=int(item["count"]),
        retry_at=float(item["retry_at"]),
        wish=None if item["wish"] is None else link_from(item["wish"]),
        link=int(item["link"]),
        message=str(item["message"]),
        suspect=bool(item.get("suspect")),
    )
