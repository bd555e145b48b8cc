"""What is saved of interfaces before a change, as values and as a JSON document."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from multinic.fields import FIELDS
from multinic.host import File
from multinic.model import Held, Mac, ObservedAddress, ObservedLink, ObservedRoute, ObservedRule, Rule
from multinic.record import held_document, held_from, rule_document, rule_from

_VERSION = 1


@dataclass(frozen=True)
class Saved:
    """One interface before the change."""

    key: str
    name: str
    mac: Mac | None
    held: Held | None
    """What the host remembered of it."""
    files: Mapping[str, File | None]
    link: ObservedLink | None
    routes: tuple[ObservedRoute, ...] = ()
    rules: tuple[ObservedRule, ...] = ()
    """Those of `our_rules` that the host had."""
    our_rules: tuple[Rule, ...] = ()
    """The rules that the change makes or removes."""
    tuning: Mapping[str, str] = field(default_factory=dict)
    """Those fields of tuning.py that the change is about."""


@dataclass(frozen=True)
class Checkpoint:
    """All interfaces of one change, and the backend that made it."""

    backend: str
    interfaces: tuple[Saved, ...]


def document(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return a checkpoint as JSON can hold it."""
    return {
        "version": _VERSION,
        "boot": _boot(),
        "backend": checkpoint.backend,
        "interfaces": [
            {
                "key": saved.key,
                "name": saved.name,
                "mac": str(saved.mac) if saved.mac else None,
                "held": held_document(saved.held) if saved.held else None,
                "files": {path: _file_document(file) for path, file in saved.files.items()},
                "link": _link_document(saved.link),
                "routes": [_route_document(route) for route in saved.routes],
                "rules": [
                    _rule_document(found.rule, found.family, found.protocol, found.raw)
                    for found in saved.rules
                ],
                "our_rules": [_rule_document(rule) for rule in saved.our_rules],
                "tuning": dict(saved.tuning),
            }
            for saved in checkpoint.interfaces
        ],
    }


def _boot() -> str:
    """Return what identifies the running kernel's boot."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _file_document(file: File | None) -> dict[str, Any] | None:
    if file is None:
        return None
    content = base64.b64encode(file.content).decode("ascii")
    return {"content": content, "mode": file.mode, "uid": file.uid, "gid": file.gid}


def _route_document(route: ObservedRoute) -> list[Any]:
    via = str(route.via) if route.via else None
    return [str(route.to), via, route.link, route.table, route.metric, route.protocol, route.raw.hex()]


def _rule_document(rule: Rule, family: int = 0, protocol: int = 0, raw: bytes = b"") -> list[Any]:
    return [*rule_document(rule), family, protocol, raw.hex()]


def _rule_from(*saved: Any) -> ObservedRule:
    *rule, family, protocol, raw = saved
    return ObservedRule(rule_from(*rule), family, protocol, bytes.fromhex(raw))


def _link_document(link: ObservedLink | None) -> dict[str, Any] | None:
    if link is None:
        return None
    return {
        "index": link.index,
        "name": link.name,
        "mac": str(link.mac) if link.mac else None,
        "up": link.up,
        "mtu": link.mtu,
        "altnames": list(link.altnames),
        "addresses": [[str(found.address), found.kernel, found.raw.hex()] for found in link.addresses],
    }


def from_document(saved: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint of `document`. Raises ValueError, KeyError, TypeError or AttributeError."""
    if saved["version"] != _VERSION:
        raise ValueError(f"unknown version {saved['version']}")
    # After a reboot links are as the boot made them of the files; then only the files are put back.
    same_boot = saved["boot"] == _boot()
    return Checkpoint(
        backend=str(saved["backend"]),
        interfaces=tuple(
            Saved(
                key=item["key"],
                name=item["name"],
                mac=Mac(item["mac"]) if item["mac"] else None,
                held=None if item["held"] is None else held_from(item["held"]),
                files={path: _file_from(file) for path, file in item["files"].items()},
                link=_link_from(item["link"]) if same_boot else None,
                routes=tuple(_route_from(*route) for route in item["routes"]),
                rules=tuple(_rule_from(*rule) for rule in item.get("rules", ()) if same_boot),
                our_rules=tuple(_rule_from(*rule).rule for rule in item.get("our_rules", ()) if same_boot),
                tuning={field: value for field, value in item.get("tuning", {}).items() if field in FIELDS},
            )
            for item in saved["interfaces"]
        ),
    )


def _file_from(item: Mapping[str, Any] | None) -> File | None:
    if item is None:
        return None
    return File(base64.b64decode(item["content"]), item["mode"], item["uid"], item["gid"])


def _route_from(
    to: str, via: str | None, link: int, table: int, metric: int, protocol: int, raw: str
) -> ObservedRoute:
    gateway = ip_address(via) if via else None
    return ObservedRoute(ip_network(to), gateway, link, table, metric, protocol, bytes.fromhex(raw))


def _link_from(item: Mapping[str, Any] | None) -> ObservedLink | None:
    if item is None:
        return None
    return ObservedLink(
        index=item["index"],
        name=item["name"],
        mac=Mac(item["mac"]) if item["mac"] else None,
        up=item["up"],
        mtu=item["mtu"],
        altnames=tuple(item["altnames"]),
        addresses=tuple(
            ObservedAddress(ip_interface(address), kernel=kernel, raw=bytes.fromhex(raw))
            for address, kernel, raw in item["addresses"]
        ),
    )
