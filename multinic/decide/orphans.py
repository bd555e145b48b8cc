"""What no row names any more, and what removing it changes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from multinic.decide import properties, safety
from multinic.decide.differences import mtu_before, stale_changes
from multinic.decide.naming import name_of, slot_of_link
from multinic.decide.policy import Policy
from multinic.values.addresses import Mac
from multinic.values.desired import Rule
from multinic.values.observed import Observed, ObservedLink, ObservedRule
from multinic.values.plan import Change, FileChange, Interface, State
from multinic.values.record import Entry


@dataclass(frozen=True, slots=True)
class Orphan:
    """A slot without a row, or a link with one of our names without a row."""

    slot: int
    mac: Mac | None
    link: ObservedLink | None
    entry: Entry | None
    has_files: bool = True
    """Whether the files of the slot belong to this orphan; two orphans may share a slot."""


def removed(orphan: Orphan, observed: Observed, policy: Policy) -> Interface:
    """Return an orphan as an interface that is removed; what is done to its link is not in it yet."""
    files = tuple(
        FileChange(path, text, None, policy.mode(path), observed.modes.get(path))
        for path, text in sorted(observed.files.items())
        if orphan.has_files and policy.slot_of_file(path) == orphan.slot
    )
    return Interface(
        name=name_of(orphan.slot),
        mac=orphan.mac,
        mac_text=str(orphan.mac or ""),
        port_id=orphan.entry.port_id if orphan.entry else "",
        row_id=None,
        state=State.DELETE,
        reason="orphan",
        message="no row of the database names it any more",
        files=files,
        link=orphan.link,
        entry=orphan.entry,
    )


def freeing(
    interface: Interface, link: ObservedLink, observed: Observed, policy: Policy, names_in_use: set[str]
) -> Iterator[Change]:
    """Yield the changes that make a link as it was before us."""
    entry = interface.entry
    yield from stale_changes(interface, observed, policy.table_base)
    if slot_of_link(link) is not None:
        name = safety.free_name(link, entry.name_before if entry else "", names_in_use)
        names_in_use.add(name)
        yield Change("name", link.name, name)
    for found in link.addresses:
        if not found.kernel:
            yield Change("address", found.address, None)
    if link.up:
        yield Change("state", True, False)
    mtu = mtu_before(entry, link)
    if mtu and mtu != link.mtu:
        yield Change("mtu", link.mtu, mtu)
    present = observed.properties.get(link.index, {})
    yield from properties.changes({}, {}, present, entry.properties_before if entry else {})


def not_removed(orphan: Interface, reason: str, message: str) -> Interface:
    """Return an orphan that stays as it is."""
    return replace(orphan, state=State.BLOCKED, reason=reason, message=message, files=())


def without_rules(orphan: Interface, rules: Collection[Rule]) -> Interface:
    """Return an orphan without the removal of rules that another interface needs."""
    changes = (c for c in orphan.changes if not (isinstance(c.old, ObservedRule) and c.old.rule in rules))
    return replace(orphan, changes=tuple(changes))
