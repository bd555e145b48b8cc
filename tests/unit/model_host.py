"""A host as plain values, on which a plan can be carried out as a kernel and a file system would do it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from types import SimpleNamespace
from typing import Any

from multinic import full
from multinic.apply import Result
from multinic.diff import Policy, diff
from multinic.model import Desired, Observed, ObservedAddress, ObservedLink, Record
from multinic.plan import Change, Plan, State
from multinic.record import Memory


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
        done = {State.CREATE: State.CONVERGED, State.UPDATE: State.CONVERGED}
        results = tuple(Result(i, done.get(i.state, i.state), i.reason, i.message) for i in plan.interfaces)
        view: Any = SimpleNamespace(plan=plan, memory=Memory(self.record), rendering=SimpleNamespace(used={}))
        return full._remembered(view, results).links


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
