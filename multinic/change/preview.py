"""What a rollback would restore, as a plan: nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator

from multinic.change import recovery
from multinic.change.restore import same_link
from multinic.host.host import Host
from multinic.kernel.observe import surroundings
from multinic.kernel.set_properties import properties_of
from multinic.state.checkpoint import Checkpoint, Saved, lasting_routes
from multinic.values.observed import ObservedLink, Surroundings
from multinic.values.plan import Change, FileChange, Interface, Plan, State


def rollback(host: Host, node: str, *, interrupted_only: bool = False) -> Plan | None:
    """Return what `multinic rollback` would change now; None if there is nothing. Raises HostError."""
    found = recovery.to_undo(host, interrupted_only=interrupted_only)
    return _plan(host, node, found) if found else None


def _plan(host: Host, node: str, found: Checkpoint) -> Plan:
    around = surroundings()
    return Plan(node, found.backend, tuple(_interface(host, saved, around) for saved in found.interfaces))


def _interface(host: Host, saved: Saved, around: Surroundings) -> Interface:
    link = same_link(saved.link, {link.index: link for link in around.links})
    changes = (*_of_link(saved, link, around), *_rules(saved, around))
    files = tuple(_files(host, saved))
    words = "as before the change" if changes or files else "as before the change already"
    return Interface(
        name=saved.name,
        mac=saved.mac,
        mac_text=str(saved.mac or ""),
        port_id="",
        row_id=None,
        state=State.UPDATE if changes or files else State.UNCHANGED,
        reason="rollback",
        message=words,
        changes=changes,
        files=files,
        link=link,
    )


def _of_link(saved: Saved, now: ObservedLink | None, around: Surroundings) -> Iterator[Change]:
    before = saved.link
    if before is None or now is None:
        return
    pairs = (("name", now.name, before.name), ("state", now.up, before.up), ("mtu", now.mtu, before.mtu))
    for field, new, old in pairs:
        if new != old:
            yield Change(field, new, old)
    has, had = ({one.address for one in link.addresses if not one.kernel} for link in (now, before))
    for address in sorted(has - had, key=str):
        yield Change("address", address, None)
    for address in sorted(had - has, key=str):
        yield Change("address", None, address)
    present = lasting_routes(now, around.routes)
    for route in present:
        if route not in saved.routes:
            yield Change("route", route, None)
    for route in saved.routes:
        if route not in present:
            yield Change("route", None, route)
    for field, value in properties_of(now, saved.properties).items():
        if value != saved.properties[field]:
            yield Change(field, value, saved.properties[field])


def _rules(saved: Saved, around: Surroundings) -> Iterator[Change]:
    for rule in around.rules:
        if rule.rule in saved.our_rules and rule not in saved.rules:
            yield Change("rule", rule, None)
    for rule in saved.rules:
        if rule not in around.rules:
            yield Change("rule", None, rule)


def _files(host: Host, saved: Saved) -> Iterator[FileChange]:
    for path, before in saved.files.items():
        now = host.file(path)
        if now != before:
            old, new = (file.content.decode("utf-8", "replace") if file else None for file in (now, before))
            mode = before.mode if before else 0o600
            yield FileChange(path, old, new, mode, now.mode if now else None)
