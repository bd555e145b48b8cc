"""The diff: a pure function from desired and observed to a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from multinic.decide import safety
from multinic.decide.brake import brake
from multinic.decide.compare import Facts, blocked, compare
from multinic.decide.differences import stale_changes
from multinic.decide.hands_off import hands_off
from multinic.decide.naming import assign, holders, name_of, slot_of, slot_of_link
from multinic.decide.orphans import Orphan, freeing, not_removed, removed, without_rules
from multinic.decide.policy import Policy
from multinic.decide.restraint import back_off, fuse, is_mass_deletion, one_suspect
from multinic.decide.routing import resolved, slot_of_rule
from multinic.values.addresses import Mac
from multinic.values.desired import Desired, DesiredLink, InvalidRow
from multinic.values.observed import Observed, ObservedLink
from multinic.values.plan import Interface, Plan, State
from multinic.values.record import Entries
from multinic.values.text import shown


def diff(desired: Desired, observed: Observed, entries: Entries, policy: Policy) -> Plan:
    """Return the actions that turn `observed` into `desired`; nothing pending means converged."""
    working = _Diff(desired, observed, entries, policy)
    return Plan(desired.node, policy.backend, tuple(working.interfaces()), working.mass_deletion)


class _Diff:
    """The working state of one call of `diff`."""

    def __init__(self, desired: Desired, observed: Observed, entries: Entries, policy: Policy) -> None:
        self.desired, self.observed, self.entries, self.policy = desired, observed, entries, policy
        self.by_port = {entry.port_id: mac for mac, entry in entries.items() if entry.port_id}
        self.wanted = {link.mac: link for link in desired.links}
        self.invalid_macs = self._macs_of_invalid_rows()
        """The MAC addresses of invalid rows: their interfaces stay as they are."""
        self.named_macs = self.wanted.keys() | self.invalid_macs
        """The MAC addresses that rows name, valid or not."""
        self.holders = holders(observed, entries, self.named_macs, policy.slot_of_file)
        """MAC address → the slot that it holds."""
        self.carriers = {mac: self._resolve(mac) for mac in self.named_macs}
        """MAC address that a row names → its link."""
        self.names_in_use = {name for link in observed.links for name in (link.name, *link.altnames)}
        self.mass_deletion = False

    def interfaces(self) -> Iterator[Interface]:
        """Yield the interfaces of the plan: removals, rows by slot, invalid rows."""
        orphans = self._restrained([self._orphan(orphan) for orphan in self._orphans()])
        wanted = self._wanted_by_slot(self._slots(orphans))
        orphans, wanted = self._one_by_one(orphans, wanted)
        yield from self._without_inherited(orphans, wanted)
        yield from wanted
        yield from map(self._invalid, self.desired.invalid)

    # Slots and rows.

    def _macs_of_invalid_rows(self) -> set[Mac]:
        """Return the MAC addresses of invalid rows, and those that their ports had: either may be meant."""
        macs = {mac for row in self.desired.invalid for mac in (row.mac, self.by_port.get(row.port_id))}
        return {mac for mac in macs if mac is not None}

    def _mac_of(self, row: InvalidRow) -> Mac | None:
        """Return the MAC address of an invalid row: its own, else the one that its port had before."""
        return row.mac or self.by_port.get(row.port_id)

    def _resolve(self, mac: Mac) -> ObservedLink | safety.Block | None:
        """Return the link of a MAC address that a row names.

        A link whose permanent address is in another row belongs to that row, even if it has this address now.
        """
        link = safety.resolve(mac, self.observed)
        if (
            isinstance(link, ObservedLink)
            and link.permanent_mac != mac
            and link.permanent_mac in self.named_macs
        ):
            return None
        return link

    def _slots(self, orphans: Collection[Interface]) -> Mapping[Mac, int]:
        """Return the slot of every row. Slots of invalid rows and of orphans that stay remain theirs."""
        reserved = {slot for mac, slot in self.holders.items() if mac in self.invalid_macs}
        staying = (slot_of(orphan.name) for orphan in orphans if orphan.state is not State.DELETE)
        reserved |= {slot for slot in staying if slot is not None}
        return assign(self.wanted, self.holders, reserved, self.policy.max_interfaces)

    def _wanted_by_slot(self, slots: Mapping[Mac, int]) -> list[Interface]:
        """Return the interfaces of all rows, by slot; one that failed before waits for its next attempt."""
        macs = sorted(self.wanted, key=lambda mac: (slots.get(mac, 1 << 30), mac))
        past = self.policy.past
        found = [back_off(hands_off(self._wanted(self.wanted[m], slots.get(m)), past), past) for m in macs]
        return list(brake(found, self.policy.past.braked))

    def _wanted(self, wish: DesiredLink, slot: int | None) -> Interface:
        if slot is not None:
            wish = resolved(wish, slot, self.policy.table_base)
        link = self.carriers[wish.mac]
        interface = Interface(
            name="" if slot is None else name_of(slot),
            mac=wish.mac,
            mac_text=str(wish.mac),
            port_id=wish.port_id,
            row_id=wish.row_id,
            state=State.UNCHANGED,
            reason="",
            message="",
            desired=wish,
            entry=self.entries.get(wish.mac),
            link=link if isinstance(link, ObservedLink) and slot is not None else None,
        )
        ambiguous = link if isinstance(link, safety.Block) else None
        return compare(Facts(interface, wish, ambiguous, self.desired, self.observed, self.policy))

    def _invalid(self, row: InvalidRow) -> Interface:
        mac = self._mac_of(row)
        return Interface(
            name=name_of(self.holders[mac]) if mac in self.holders else "",
            mac=mac,
            mac_text=row.mac_text,
            port_id=row.port_id,
            row_id=row.row_id,
            state=State.INVALID,
            reason=row.reason,
            message=row.message,
            entry=self.entries.get(mac) if mac else None,
        )

    # Interfaces that are held back.

    def _restrained(self, orphans: list[Interface]) -> list[Interface]:
        """Return the orphans with the deletion fuse and the back-off applied; none without a database."""
        # An orphan that has only an entry counts too: it keeps its slot while the read is in doubt.
        orphans = [o for o in orphans if o.files or o.changes or o.entry or o.state is State.BLOCKED]
        if self.policy.past.from_memory:
            return []
        managed = len(orphans) + sum(1 for mac in self.named_macs if mac in self.holders)
        no_rows = not (self.desired.rows_read or self.wanted or self.desired.invalid)
        self.mass_deletion = is_mass_deletion(orphans, managed, no_rows=no_rows)
        if self.mass_deletion:
            orphans = fuse(orphans, self.policy.past)
        orphans = [back_off(hands_off(o, self.policy.past), self.policy.past) for o in orphans]
        return list(brake(orphans, self.policy.past.braked))

    def _one_by_one(
        self, orphans: list[Interface], wanted: list[Interface]
    ) -> tuple[list[Interface], list[Interface]]:
        """Hold back all suspects except one, unless nothing can be changed without the others."""
        chosen = one_suspect([*orphans, *wanted], self.policy.past)
        some_orphans, some = chosen[: len(orphans)], chosen[len(orphans) :]
        some = self._without_taken_names(some_orphans, some)
        if any(interface.pending for interface in (*some_orphans, *some)):
            return some_orphans, some
        return orphans, self._without_taken_names(orphans, wanted)

    def _without_taken_names(self, orphans: list[Interface], wanted: list[Interface]) -> list[Interface]:
        """Block every interface whose new name belongs to a link that keeps it: the kernel would refuse.

        An interface that is held back keeps its name, so the interface that needs this name waits too.
        """
        while True:
            moving = {i.link.index for i in (*orphans, *wanted) if i.link and i.target_name != i.link.name}
            links = self.observed.links
            staying = {name: link for link in links for name in link.altnames}
            staying |= {link.name: link for link in links if link.index not in moving}
            taken = [
                i
                for i in wanted
                if i.link
                and i.target_name != i.link.name
                and i.target_name in staying
                and staying[i.target_name].index != i.link.index  # it gives up an alternative name of its own
            ]
            if not taken:
                return wanted
            wanted = [
                blocked(interface, _name_taken(interface, staying[interface.target_name]))
                if interface in taken
                else interface
                for interface in wanted
            ]

    def _without_inherited(self, orphans: list[Interface], wanted: list[Interface]) -> Iterator[Interface]:
        """Yield the orphans without those files and rules that the next owner of their slot needs."""
        files = {path for owner in wanted for path in self._needed(owner)}
        files |= {change.path for interface in wanted for change in interface.files}
        rules = {rule for interface in wanted if interface.desired for rule in interface.desired.rules}
        for orphan in orphans:
            removed = tuple(change for change in orphan.files if change.path not in files)
            yield without_rules(replace(orphan, files=removed), rules)

    def _needed(self, owner: Interface) -> Iterator[str]:
        """Yield the files that the owner of a slot has, or gets now; who gets it later needs none yet."""
        if not owner.desired or not owner.name:
            return
        has_slot = owner.mac is not None and self.holders.get(owner.mac) == slot_of(owner.name)
        for path, text in self.policy.files(owner.name, owner.desired).items():
            if owner.pending or has_slot or self.observed.files.get(path) == text:
                yield path

    # Orphans.

    def _orphans(self) -> list[Orphan]:
        """Return everything managed that no row names, by slot."""
        found = self._holders_without_row()
        found |= self._files_without_holder(found)
        with_our_names = self._links_with_our_names(found)
        return sorted((*found.values(), *with_our_names), key=lambda orphan: orphan.slot)

    def _holders_without_row(self) -> dict[int, Orphan]:
        """Return, by slot, the MAC addresses that hold one and that no row names, each with its link."""
        taken = {link.index for link in self.carriers.values() if isinstance(link, ObservedLink)}
        found: dict[int, Orphan] = {}
        for mac, slot in self.holders.items():
            if mac not in self.named_macs:
                link = safety.resolve(mac, self.observed)
                its_link = link if isinstance(link, ObservedLink) and link.index not in taken else None
                taken |= {its_link.index} if its_link else set()
                found[slot] = Orphan(slot, mac, its_link, self.entries.get(mac))
        return found

    def _files_without_holder(self, found: Mapping[int, Orphan]) -> dict[int, Orphan]:
        """Return, by slot, an orphan for managed files, and rules, whose slot no MAC address holds."""
        held = {slot for mac, slot in self.holders.items() if mac in self.named_macs}
        slots = {self.policy.slot_of_file(path) for path in self.observed.files}
        slots |= {slot_of_rule(rule, self.policy.table_base) for rule in self.observed.rules}
        slots -= held | found.keys()
        return {slot: Orphan(slot, None, None, None) for slot in slots if slot is not None}

    def _links_with_our_names(self, found: dict[int, Orphan]) -> list[Orphan]:
        """Return the links that are ours by name alone; an orphan of `found` for the same link is dropped."""
        links = [*self.carriers.values(), *(orphan.link for orphan in found.values())]
        known = {link.index for link in links if isinstance(link, ObservedLink)}
        with_our_names: list[Orphan] = []
        for link in self.observed.links:
            slot, mac = slot_of_link(link), link.permanent_mac or link.mac
            if slot is None or link.index in known or mac in self.named_macs:
                continue
            if slot in found and found[slot].mac in (None, mac):
                del found[slot]
            entry = self.entries.get(mac) if mac else None
            with_our_names.append(Orphan(slot, mac, link, entry, slot not in found))
        return with_our_names

    def _orphan(self, orphan: Orphan) -> Interface:
        """Return an orphan as an interface that is removed or blocked."""
        interface, link = removed(orphan, self.observed, self.policy), orphan.link
        if row := self._unattributed:
            words = f"not removed while {row.message.split(':')[0]} cannot be attributed to a link"
            return not_removed(interface, "incomplete-read", words)
        if block := self.policy.past.doubt or self._named_elsewhere(orphan):
            return not_removed(interface, block.rule, f"not removed: {block.message}")
        if interface.files and (block := safety.built_on(interface.name, self.observed)):
            return not_removed(interface, block.rule, f"not removed: {block.message}")
        applied = orphan.entry.applied if orphan.entry else None
        # Renamed away, or never configured; but a file of ours may have configured it, also one of an agent.
        not_ours = link is None or (applied is None and slot_of_link(link) is None)
        if link is not None and (interface.files or not not_ours):
            block = safety.vital(link, self.observed, self.desired.database_address, applied)
            if block := block or safety.carries(link, self.observed):
                return not_removed(interface, block.rule, f"not removed: {block.message}")
        if link is None or not_ours:  # only routes and rules are known to be ours
            stale = stale_changes(interface, self.observed, self.policy.table_base)
            return replace(interface, changes=tuple(stale))
        changes = freeing(interface, link, self.observed, self.policy, self.names_in_use)
        return replace(interface, changes=tuple(changes))

    def _named_elsewhere(self, orphan: Orphan) -> safety.Block | None:
        """Object to a removal while a row has the link or its port under another spelling of this node."""
        port = orphan.entry.port_id if orphan.entry else ""
        for row in self.desired.elsewhere:
            if (row.mac is not None and row.mac == orphan.mac) or (port and row.port_id == port):
                words = f"row {row.row_id} has it under the node name {shown(row.node)}"
                return safety.Block("ambiguous-node", words)
        return None

    @property
    def _unattributed(self) -> InvalidRow | None:
        """The first row of which it is not known which link it means."""
        unknown = (row for row in self.desired.invalid if row.mac is None and row.port_id not in self.by_port)
        return next(unknown, None)


def _name_taken(interface: Interface, link: ObservedLink) -> safety.Block:
    who = f"{link.name} ({link.mac})" if link.mac else link.name
    return safety.Block("name-taken", f"the name {interface.name} is taken by link {who}, which keeps it")
