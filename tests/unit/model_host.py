"""A host as plain values, on which a plan can be carried out as a kernel and a file system would do it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_interface

from multinic.compare import Policy
from multinic.diff import diff
from multinic.model import Desired, Held, Mac, Observed, ObservedAddress, ObservedLink, Record
from multinic.naming import slot_of
from multinic.plan import Change, Interface, Plan, State


@dataclass(frozen=True)
class ModelHost:
    """Links and files, and what the host remembers of them."""

    observed: Observed
    record: Record = field(default_factory=dict)

    def plan(self, desired: Desired, policy: Policy) -> Plan:
        """Return what would change."""
        return diff(desired, self.observed, self.record, policy)

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

    def _remembered(self, plan: Plan) -> Record:
        """Return what a host knows after a pass in which everything went well."""
        known: dict[Mac, Held] = {}
        for interface in plan.interfaces:
            if interface.mac is None or not interface.name:
                continue
            before = self.record.get(interface.mac)
            if interface.desired is not None:
                known[interface.mac] = _held(interface, before)
            elif before is not None and interface.state is not State.DELETE:
                known[interface.mac] = before
        return known


def _held(interface: Interface, before: Held | None) -> Held:
    slot = slot_of(interface.name)
    assert slot is not None
    held, link = before or Held(slot), interface.link
    if link is not None and (
        interface.state is State.CREATE or (before is None and slot_of(link.name) is None)
    ):
        held = replace(held, name_before=link.name, mtu_before=link.mtu)
    done = interface.state in (State.CREATE, State.UPDATE, State.UNCHANGED)
    applied = interface.desired if done else held.applied
    return replace(held, slot=slot, port_id=interface.port_id, applied=applied)


def _changed(link: ObservedLink, change: Change) -> ObservedLink:
    if change.field == "name":
        assert link.name == change.old
        return replace(link, name=change.new)
    if change.field == "state":
        assert link.up is (change.old == "up")
        return replace(link, up=change.new == "up")
    if change.field == "mtu":
        assert str(link.mtu) == change.old
        assert link.min_mtu <= int(change.new) <= (link.max_mtu or 65535)
        return replace(link, mtu=int(change.new))
    assert change.field == "address"
    present = [str(found.address) for found in link.addresses]
    if change.new:
        found = (*link.addresses, ObservedAddress(ip_interface(change.new)))
        return link if change.new in present else replace(link, addresses=found)
    assert change.old in present, f"{change.old} is not on {link.name}"
    kept = tuple(found for found in link.addresses if str(found.address) != change.old)
    return replace(link, addresses=kept)
