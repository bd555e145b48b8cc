"""A host as plain values, on which a plan can be carried out as a kernel and a file system would do it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv6Interface

from multinic.decide.compare import Policy
from multinic.decide.diff import diff
from multinic.decide.naming import slot_of
from multinic.values.addresses import Mac
from multinic.values.desired import Desired
from multinic.values.observed import Observed, ObservedAddress, ObservedLink
from multinic.values.plan import Change, Interface, Plan, State
from multinic.values.record import Entries, Entry


@dataclass(frozen=True)
class ModelHost:
    """Links and files, and what the host remembers of them."""

    observed: Observed
    entries: Entries = field(default_factory=dict)

    def plan(self, desired: Desired, policy: Policy) -> Plan:
        """Return what would change."""
        return diff(desired, self.observed, self.entries, policy)

    def carry_out(self, plan: Plan) -> ModelHost:
        """Return the host after a plan. Fails where a kernel would refuse what the plan says."""
        files, modes = dict(self.observed.files), dict(self.observed.modes)
        links = {link.index: link for link in self.observed.links}
        for interface in plan.pending:
            for file in interface.files:
                assert files.get(file.path) == file.old, f"{file.path} is not what the plan says"
                if file.new is None:
                    del files[file.path], modes[file.path]
                else:
                    files[file.path], modes[file.path] = file.new, file.mode
            for change in interface.changes:
                assert interface.link is not None
                links[interface.link.index] = _changed(links[interface.link.index], change)
        names = [link.name for link in links.values()]
        assert len(set(names)) == len(names), f"two links of one name: {names}"
        after = replace(self.observed, links=tuple(links.values()), files=files, modes=modes)
        return ModelHost(after, self._remembered(plan))

    def _remembered(self, plan: Plan) -> Entries:
        """Return what a host knows after a pass in which everything went well."""
        known: dict[Mac, Entry] = {}
        for interface in plan.interfaces:
            if interface.mac is None or not interface.name:
                continue
            before = self.entries.get(interface.mac)
            if interface.desired is not None:
                known[interface.mac] = _entry(interface, before)
            elif before is not None and interface.state is not State.DELETE:
                known[interface.mac] = before
        return known


def _entry(interface: Interface, before: Entry | None) -> Entry:
    slot = slot_of(interface.name)
    assert slot is not None
    entry, link = before or Entry(slot), interface.link
    if link is not None and (
        interface.state is State.CREATE or (before is None and slot_of(link.name) is None)
    ):
        entry = replace(entry, name_before=link.name, mtu_before=link.mtu)
    done = interface.state in (State.CREATE, State.UPDATE, State.UNCHANGED)
    applied = interface.desired if done else entry.applied
    return replace(entry, slot=slot, port_id=interface.port_id, applied=applied)


def _changed(link: ObservedLink, change: Change) -> ObservedLink:
    if change.field == "name":
        assert link.name == change.old
        assert isinstance(change.new, str)
        return replace(link, name=change.new)
    if change.field == "state":
        assert link.up is change.old
        return replace(link, up=change.new is True, carrier=change.new is True)
    if change.field == "mtu":
        assert link.mtu == change.old
        assert isinstance(change.new, int)
        assert link.min_mtu <= change.new <= (link.max_mtu or 65535)
        return replace(link, mtu=change.new)
    assert change.field == "address"
    present = [found.address for found in link.addresses]
    if isinstance(change.new, IPv4Interface | IPv6Interface):
        found = (*link.addresses, ObservedAddress(change.new))
        return link if change.new in present else replace(link, addresses=found)
    assert change.old in present, f"{change.old} is not on {link.name}"
    kept = tuple(found for found in link.addresses if found.address != change.old)
    return replace(link, addresses=kept)
