"""The checkpoint: how interfaces were before a change. It is on disk from before the change to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from multinic.host.host import File, Host
from multinic.state.codec import decode, encode
from multinic.state.record import checked
from multinic.values.addresses import Mac
from multinic.values.desired import Rule
from multinic.values.errors import HostError
from multinic.values.fields import FIELDS
from multinic.values.observed import ObservedLink, ObservedRoute, ObservedRule, Surroundings
from multinic.values.paths import CHECKPOINT, LAST_CHECKPOINT
from multinic.values.plan import Interface
from multinic.values.record import Entry
from multinic.values.routes import of
from multinic.values.rtnetlink import PROTOCOL_KERNEL, RECEIVED

_VERSION = 1


@dataclass(frozen=True)
class Saved:
    """One interface before the change."""

    key: str
    name: str
    mac: Mac | None
    entry: Entry | None = field(metadata={"key": "held"})
    """Its entry in the record."""
    files: Mapping[str, File | None]
    link: ObservedLink | None
    routes: tuple[ObservedRoute, ...] = ()
    rules: tuple[ObservedRule, ...] = ()
    """Those of `our_rules` that the host had."""
    our_rules: tuple[Rule, ...] = ()
    """The rules that the change adds or removes."""
    properties: Mapping[str, str] = field(default_factory=dict, metadata={"key": "tuning"})
    """The properties that the change sets: field → text before it."""


@dataclass(frozen=True)
class Checkpoint:
    """All interfaces of one change, and the backend that made it."""

    backend: str
    interfaces: tuple[Saved, ...]
    rules: tuple[ObservedRule, ...] = ()
    """The rules of others: networkd removes them when it sets up any link."""


def take(
    host: Host,
    backend: str,
    interfaces: Iterable[Interface],
    around: Surroundings,
    runtime_paths: Callable[[str], Collection[str]],
) -> Checkpoint:
    """Save how the interfaces of a plan are now. The checkpoint is on disk when this returns.

    `runtime_paths`: the files that a backend's generator makes for an interface, by its name. Raises
    HostError.
    """
    saved = tuple(
        Saved(
            key=interface.key,
            name=interface.name,
            mac=interface.mac,
            entry=interface.entry,
            files={
                path: host.file(path)
                for path in sorted({c.path for c in interface.files} | set(runtime_paths(interface.name)))
            },
            link=interface.link,
            routes=lasting_routes(interface.link, around.routes),
            rules=tuple(rule for rule in around.rules if rule.rule in _rules(interface)),
            our_rules=_rules(interface),
            properties={**interface.noted_properties, **interface.changed_properties},
        )
        for interface in interfaces
    )
    ours = {rule for interface in saved for rule in interface.our_rules}
    others = (rule for rule in around.rules if rule.rule not in ours and rule.protocol != PROTOCOL_KERNEL)
    checkpoint = Checkpoint(backend, saved, tuple(others))
    document = {"version": _VERSION, "boot": host.boot_id(), **encode(checkpoint)}
    host.write(CHECKPOINT, json.dumps(document), 0o600)
    return checkpoint


def lasting_routes(link: ObservedLink | None, routes: Iterable[ObservedRoute]) -> tuple[ObservedRoute, ...]:
    """Return the routes of a link that do not follow from its addresses, from routers or from leases."""
    return tuple(
        route
        for route in (of(routes).through(link.index) if link is not None else ())
        if route.protocol not in RECEIVED
    )


def _rules(interface: Interface) -> tuple[Rule, ...]:
    wanted = interface.desired.rules if interface.desired else ()
    return tuple(dict.fromkeys([*wanted, *(found.rule for found in interface.removed_rules)]))


def commit(host: Host) -> None:
    """End the checkpoint of a change, and keep it for `multinic rollback`. Raises HostError."""
    host.rename(CHECKPOINT, LAST_CHECKPOINT)


def reopen(host: Host) -> None:
    """Open the checkpoint of the last change again: if its undoing is interrupted, the next run goes on."""
    host.rename(LAST_CHECKPOINT, CHECKPOINT)


def discard(host: Host) -> None:
    """Drop the checkpoint of a change that was undone. Raises HostError."""
    host.remove(CHECKPOINT)


def load(host: Host, path: str) -> Checkpoint | None:
    """Return the checkpoint at `path`; None if there is none. Raises HostError if it is damaged."""
    text = host.read(path)
    if text is None:
        return None
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise ValueError(f"unknown version {document['version']}")
        checkpoint: Checkpoint = decode(Checkpoint, document)
        same_boot = document["boot"] == host.boot_id()
        saved = tuple(_checked(interface, same_boot=same_boot) for interface in checkpoint.interfaces)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as e:
        raise HostError(
            f"the checkpoint {path} is damaged: {e}",
            f"look at the host's links and files, then remove {path}",
        ) from e
    return replace(checkpoint, interfaces=saved, rules=checkpoint.rules if same_boot else ())


def _checked(saved: Saved, *, same_boot: bool) -> Saved:
    """Return what can be restored: after a reboot only the files, because the boot configured the links."""
    entry = checked(saved.entry) if saved.entry else None
    if not same_boot:
        return Saved(saved.key, saved.name, saved.mac, entry, saved.files, None)
    known = {field: value for field, value in saved.properties.items() if field in FIELDS}
    return replace(saved, entry=entry, properties=known)
