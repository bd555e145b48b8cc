"""The fleet brake (rule 11): what fails on many peers waits here before it touches what works. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from multinic.decide.restraint import same_attempt
from multinic.decide.safety import Block
from multinic.values.history import BAD, Peer
from multinic.values.plan import Interface, Plan, State
from multinic.values.settings import Brake
from multinic.values.text import counted, shown

FLEET_BRAKE = "fleet-brake"
UPDATE, DELETE = "update", "delete"
_NAMED = 5  # nodes in a message; the status tables have all of them


def attempt_of(interface: Interface) -> str:
    """Return what a plan tries with an interface, in one word; "" for nothing."""
    if not interface.pending:
        return ""
    if interface.state is State.UPDATE:
        return {"drift": "repair", "adopt": "adopt"}.get(interface.reason, UPDATE)
    return {State.CREATE: "create", State.DELETE: DELETE}.get(interface.state, "")


def fields_of(interface: Interface) -> frozenset[str]:
    """Return the fields that a plan changes on an interface; "file" where it changes only files."""
    return frozenset(change.field for change in interface.changes) or frozenset({"file"})


def at_risk(plan: Plan) -> list[Interface]:
    """Return the working interfaces that a plan changes because their row changed, or removes.

    One that failed with this change before is not among them: it waits for its own next attempt, and that
    attempt is how the others learn that the change works by now.
    """
    return [
        interface
        for interface in plan.interfaces
        if attempt_of(interface) in (UPDATE, DELETE) and interface.link is not None and not _tried(interface)
    ]


def _tried(interface: Interface) -> bool:
    failure = interface.entry.failure if interface.entry else None
    return failure is not None and same_attempt(failure, interface)


def held(plan: Plan, peers: Iterable[Peer], brake: Brake) -> Mapping[str, Block]:
    """Return why interfaces of a plan must wait, by key: too many peers failed with the same kind of change.

    Of each interface of a peer, the newest attempt comes first in `peers`. A change is of the same kind if it
    is an update of a field that this one changes, too; or a removal.
    """
    peers = list(peers)
    found = {}
    for interface in at_risk(plan):
        attempt, fields = attempt_of(interface), fields_of(interface)
        tried, failed = _fared(peers, attempt, fields)
        if len(failed) > brake.nodes and len(failed) * 100 > brake.percent * len(tried):
            what = f"an update of {', '.join(sorted(fields))}" if attempt == UPDATE else "a removal"
            found[interface.key] = Block(FLEET_BRAKE, _words(what, sorted(failed), len(tried)))
    return found


def _fared(peers: Iterable[Peer], attempt: str, fields: frozenset[str]) -> tuple[set[str], set[str]]:
    """Return the nodes that tried the same kind of change, and those of them on which it failed last."""
    latest: dict[tuple[str, str], Peer] = {}
    for peer in peers:
        if peer.attempt == attempt and (attempt == DELETE or peer.fields & fields):
            latest.setdefault((peer.node, peer.mac), peer)
    failed = {peer.node for peer in latest.values() if peer.kind in BAD}
    return {peer.node for peer in latest.values()}, failed


def _words(what: str, failed: list[str], tried: int) -> str:
    names = ", ".join(shown(name) for name in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    others = counted(tried, "other node")
    return (
        f"{what} failed or was rolled back in the last 10 minutes on {len(failed)} of {others} "
        f"({names}{more}); correct the rows, or: `multinic apply --allow-braked` here, "
        "`multinic db release-brake` for all nodes"
    )


def brake(interfaces: Iterable[Interface], blocks: Mapping[str, Block]) -> Iterator[Interface]:
    """Yield interfaces, with those held back that must wait."""
    for interface in interfaces:
        block = blocks.get(interface.key) if attempt_of(interface) in (UPDATE, DELETE) else None
        if block is None:
            yield interface
        else:
            removes = interface.state is State.DELETE
            words = f"not removed yet: {block.message}" if removes else f"not changed yet: {block.message}"
            held_back = replace(interface, state=State.BLOCKED, reason=block.rule, message=words)
            yield replace(held_back, changes=(), files=())
