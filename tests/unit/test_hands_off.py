"""Interfaces that a person keeps a pass away from: nothing happens to them, and others get what is theirs."""

from __future__ import annotations

from dataclasses import replace

from multinic.decide.diff import diff
from multinic.values.plan import Plan
from tests.unit.making import desired, entry, files, link, mac, observed, path, policy, ready, want


def states(plan: Plan) -> dict[str, tuple[str, str]]:
    return {i.mac_text: (str(i.state), i.reason) for i in plan.interfaces}


def test_an_orphan_takes_its_files_along_though_what_gets_its_slot_was_not_selected():
    """With its file left behind, the orphan would be configured again by the next boot."""
    old, new = want(1, "10.0.0.1/24"), want(2, "10.0.0.2/24")
    host = observed(ready(1, "multinic0", "10.0.0.1/24"), link(2, "eth2"), files=files((0, old)))
    alone = policy(max_interfaces=1)
    both = diff(desired(new), host, {mac(1): entry(0, old)}, alone)
    assert states(both) == {str(mac(1)): ("delete", "orphan"), str(mac(2)): ("create", "new")}
    alone = replace(alone, past=replace(alone.past, only=frozenset({str(mac(1))})))
    plan = diff(desired(new), host, {mac(1): entry(0, old)}, alone)
    assert states(plan) == {str(mac(1)): ("delete", "orphan"), str(mac(2)): ("waiting", "not-selected")}
    assert [change.path for change in plan.interfaces[0].files] == [path(0)]
    assert not plan.interfaces[1].pending
