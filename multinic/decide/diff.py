"""The diff: a pure function from desired and observed to a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from multinic import routing, safety, tuning
from multinic.compare import Policy, blocked, compare, stale_changes
from multinic.model import (
    Desired,
    DesiredLink,
    Held,
    InvalidRow,
    Mac,
    Observed,
    ObservedLink,
    Record,
    Rule,
)
from multinic.naming import assign, held_slots, name_of, slot_of
from multinic.plan import Change, FileChange, Interface, Plan, State
from multinic.restraint import back_off, fuse, is_mass_deletion, one_suspect


@dataclass(frozen=True, slots=True)
class _Orphan:
    slot: int
    mac: Mac | None
    link: ObservedLink | None
    held: Held | None
    has_files: bool = True
    """Whether the files of the slot are this one's; two orphans may share a slot."""


def diff(desired: Desired, observed: Observed, record: Record, policy: Policy) -> Plan:
    """Return the actions that turn `observed` into `desired`; nothing pending means converged."""
    working = _Diff(desired, observed, record, policy)
    return Plan(desired.node, policy.backend, tuple(working.interfaces()), working.mass_deletion)


class _Diff:
    """The working state of one diff; nothing of it outlives the call."""

    def __init__(self, desired: Desired, observed: Observed, record: Record, policy: Policy) -> None:
        self.desired, self.observed, self.record, self.policy = desired, observed, record, policy
        self.wanted = {link.mac: link for link in desired.links}
        self.kept = self._macs_of_invalid_rows()
        self.spoken = self.wanted.keys() | self.kept
        self.held = held_slots(observed, record, self.spoken, policy.slot_of_file)
        self.carriers = {mac: self._resolve(mac) for mac in self.spoken}
        self.names_in_use = {name for link in observed.links for name in (link.name, *link.altnames)}
        self.mass_deletion = False

    def interfaces(self) -> Iterator[Interface]:
        orphans = self._restrained([self._orphan(orphan) for orphan in self._orphans()])
        reserved = {
            *(slot for mac, slot in self.held.items() if mac in self.kept),
            *(slot_of(orphan.name) for orphan in orphans if orphan.state is not State.DELETE),
        }
        slots = assign(
            self.wanted, self.held, (s for s in reserved if s is not None), self.policy.max_interfaces
        )
        # What is held back moves nowhere: whoever wants its name waits with it.
        wanted = [
            back_off(self._wanted(self.wanted[mac], slots.get(mac)), self.policy.past)
            for mac in sorted(self.wanted, key=lambda mac: (slots.get(mac, 1 << 30), mac))
        ]
        orphans, wanted = self._one_by_one(orphans, wanted)
        written = {change.path for interface in wanted for change in interface.files}
        rendered = {
            path for i in wanted if i.desired and i.name for path in self.policy.files(i.name, i.desired)
        }
        rules = {rule for interface in wanted if interface.desired for rule in interface.desired.rules}
        for orphan in orphans:  # what its slot's next owner takes over is not removed
            files = tuple(change for change in orphan.files if change.path not in written | rendered)
            yield _without_rules(replace(orphan, files=files), rules)
        yield from wanted
        for row in self.desired.invalid:
            yield self._invalid(row)

    def _one_by_one(
        self, orphans: list[Interface], wanted: list[Interface]
    ) -> tuple[list[Interface], list[Interface]]:
        """Hold back all suspects but one, unless that one can do nothing without the others."""
        chosen = one_suspect([*orphans, *wanted], self.policy.past)
        some_orphans, some = chosen[: len(orphans)], chosen[len(orphans) :]
        some = self._without_taken_names(some_orphans, some)
        if any(interface.pending for interface in (*some_orphans, *some)):
            return some_orphans, some
        return orphans, self._without_taken_names(orphans, wanted)

    def _restrained(self, orphans: list[Interface]) -> list[Interface]:
        # What is only remembered is held back like the rest: it keeps its slot while the read is in doubt.
        orphans = [o for o in orphans if o.files or o.changes or o.held or o.state is State.BLOCKED]
        if self.policy.past.from_memory:
            return []
        managed = len(orphans) + sum(1 for mac in self.spoken if mac in self.held)
        no_rows = not (self.desired.rows_read or self.wanted or self.desired.invalid)
        self.mass_deletion = is_mass_deletion(orphans, managed, no_rows=no_rows)
        if self.mass_deletion:
            orphans = fuse(orphans, self.policy.past)
        return [back_off(orphan, self.policy.past) for orphan in orphans]

    def _macs_of_invalid_rows(self) -> set[Mac]:
        """Return the MACs that invalid rows speak of: what these have stays as it is."""
        by_port = {held.port_id: mac for mac, held in self.record.items() if held.port_id}
        macs = {row.mac or by_port.get(row.port_id) for row in self.desired.invalid}
        return {mac for mac in macs if mac is not None}

    @property
    def _unattributed(self) -> InvalidRow | None:
        """The first row of which nobody can say whose link it means."""
        ports = {held.port_id for held in self.record.values() if held.port_id}
        for row in self.desired.invalid:
            if row.mac is None and row.port_id not in ports:
                return row
        return None

    def _resolve(self, mac: Mac) -> ObservedLink | safety.Block | None:
        """Return the link of a MAC that a row speaks of; one that only wears it may be another row's."""
        link = safety.resolve(mac, self.observed)
        if isinstance(link, ObservedLink) and link.permanent_mac != mac and link.permanent_mac in self.spoken:
            return None
        return link

    def _without_taken_names(self, orphans: list[Interface], wanted: list[Interface]) -> list[Interface]:
        """Block every interface whose new name is that of a link which keeps it; the kernel would refuse."""
        while True:
            moving = {i.link.index for i in (*orphans, *wanted) if i.link and i.target_name != i.link.name}
            staying = {link.name: link for link in self.observed.links if link.index not in moving}
            taken = [
                i for i in wanted if i.link and i.target_name != i.link.name and i.target_name in staying
            ]
            if not taken:
                return wanted
            wanted = [
                blocked(replace(i, changes=(), files=()), _name_taken(i, staying[i.target_name]))
                if i in taken
                else i
                for i in wanted
            ]

    def _orphans(self) -> Iterator[_Orphan]:
        """Yield everything managed that no row speaks of, by slot."""
        slots_spoken = {slot for mac, slot in self.held.items() if mac in self.spoken}
        known = {link.index for link in self.carriers.values() if isinstance(link, ObservedLink)}
        found: dict[int, _Orphan] = {}
        for mac, slot in self.held.items():
            if mac not in self.spoken:
                link = safety.resolve(mac, self.observed)
                real = link if isinstance(link, ObservedLink) and link.index not in known else None
                known |= {real.index} if real else set()
                found[slot] = _Orphan(slot, mac, real, self.record.get(mac))
        for path in self.observed.files:  # a file without a MAC, or of a slot that nobody holds
            slot_or_none = self.policy.slot_of_file(path)
            if slot_or_none is not None and slot_or_none not in found and slot_or_none not in slots_spoken:
                found[slot_or_none] = _Orphan(slot_or_none, None, None, None)
        bearers: list[_Orphan] = []  # links that merely bear one of our names
        for link in self.observed.links:
            slot_or_none = slot_of(link.name)
            mac_of_link = link.permanent_mac or link.mac
            if slot_or_none is not None and link.index not in known and mac_of_link not in self.spoken:
                previous = found.get(slot_or_none)
                if previous is not None and previous.mac in (None, mac_of_link):  # one and the same
                    del found[slot_or_none]
                held = self.record.get(mac_of_link) if mac_of_link else None
                bearers.append(_Orphan(slot_or_none, mac_of_link, link, held, slot_or_none not in found))
        yield from sorted((*found.values(), *bearers), key=lambda orphan: orphan.slot)

    def _orphan(self, orphan: _Orphan) -> Interface:
        name, link, observed = name_of(orphan.slot), orphan.link, self.observed
        files = tuple(
            FileChange(path, text, None, self.policy.mode(path), observed.modes.get(path))
            for path, text in sorted(observed.files.items())
            if orphan.has_files and self.policy.slot_of_file(path) == orphan.slot
        )
        interface = Interface(
            name=name,
            mac=orphan.mac,
            mac_text=str(orphan.mac or ""),
            port_id=orphan.held.port_id if orphan.held else "",
            row_id=None,
            state=State.DELETE,
            reason="orphan",
            message="no row of the database speaks of it any more",
            files=files,
            link=link,
            held=orphan.held,
        )
        if row := self._unattributed:
            return replace(
                interface,
                state=State.BLOCKED,
                reason="incomplete-read",
                message=f"not removed while {row.message.split(':')[0]} cannot be attributed to a link",
                files=(),
            )
        applied, table = orphan.held.applied if orphan.held else None, self.policy.table_base + orphan.slot
        interface = replace(
            interface,
            stale_routes=routing.stale_routes(link, None, applied, table, observed) if link else (),
            stale_rules=routing.stale_rules(orphan.slot, None, applied, table, observed),
        )
        if link is None:
            return replace(interface, changes=tuple(stale_changes(interface)))
        if block := safety.vital(link, observed, self.desired.database_address, applied):
            return replace(
                interface,
                state=State.BLOCKED,
                reason=block.rule,
                message=f"not removed: {block.message}",
                files=(),
            )
        return replace(interface, changes=tuple(self._freeing(interface, link, orphan.held)))

    def _freeing(self, interface: Interface, link: ObservedLink, held: Held | None) -> Iterator[Change]:
        """Yield what gives a link back as it was before us."""
        yield from stale_changes(interface)
        if slot_of(link.name) is not None:
            name = safety.free_name(link, held.name_before if held else "", self.names_in_use)
            self.names_in_use.add(name)
            yield Change("name", link.name, name)
        elif held is None or held.applied is None:
            return  # renamed away already, and nothing known to be ours on it
        for found in link.addresses:
            if not found.kernel:
                yield Change("address", str(found.address), "")
        if link.up:
            yield Change("state", "up", "down")
        if held and held.mtu_before and held.mtu_before != link.mtu:
            yield Change("mtu", str(link.mtu), str(held.mtu_before))
        present = self.observed.tuning.get(link.index, {})
        yield from tuning.changes({}, {}, present, held.tuning_before if held else {})

    def _wanted(self, desired: DesiredLink, slot: int | None) -> Interface:
        if slot is not None:
            desired = routing.resolved(desired, slot, self.policy.table_base)
        interface = Interface(
            name="" if slot is None else name_of(slot),
            mac=desired.mac,
            mac_text=str(desired.mac),
            port_id=desired.port_id,
            row_id=desired.row_id,
            state=State.UNCHANGED,
            reason="converged",
            message="as desired",
            desired=desired,
            held=self.record.get(desired.mac),
        )
        if slot is None:
            message = (
                f"row {desired.row_id}: no slot is left for {desired.mac}: "
                f"{len(self.wanted)} rows, max_interfaces is {self.policy.max_interfaces}"
            )
            return replace(interface, state=State.INVALID, reason="no-free-slot", message=message)
        link = self.carriers[desired.mac]
        if isinstance(link, safety.Block):
            return blocked(interface, link)
        return compare(replace(interface, link=link), self.desired, self.observed, self.policy)

    def _invalid(self, row: InvalidRow) -> Interface:
        by_port = {held.port_id: mac for mac, held in self.record.items() if held.port_id}
        mac = row.mac or by_port.get(row.port_id)
        return Interface(
            name=name_of(self.held[mac]) if mac in self.held else "",
            mac=mac,
            mac_text=row.mac_text,
            port_id=row.port_id,
            row_id=row.row_id,
            state=State.INVALID,
            reason=row.reason,
            message=row.message,
            held=self.record.get(mac) if mac else None,
        )


def _without_rules(orphan: Interface, rules: Collection[Rule]) -> Interface:
    taken = tuple(found for found in orphan.stale_rules if found.rule in rules)
    if not taken:
        return orphan
    words = {routing.rule_words(found.rule) for found in taken}
    changes = (c for c in orphan.changes if c.field != "rule" or c.old not in words)
    left = tuple(found for found in orphan.stale_rules if found not in taken)
    return replace(orphan, changes=tuple(changes), stale_rules=left)


def _name_taken(interface: Interface, link: ObservedLink) -> safety.Block:
    who = f"{link.name} ({link.mac})" if link.mac else link.name
    return safety.Block("name-taken", f"the name {interface.name} is taken by link {who}, which keeps it")
