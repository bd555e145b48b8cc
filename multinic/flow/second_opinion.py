"""A removal of most or all interfaces is asked of the other hosts of the database before it is believed.

The host that answered may be one that was just made anew and has no rows yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from multinic.database import rows
from multinic.database.session import Session
from multinic.decide.safety import Block
from multinic.host.config import node_name
from multinic.values.addresses import Mac
from multinic.values.errors import MultinicError
from multinic.values.plan import Plan
from multinic.values.settings import Settings
from multinic.values.text import counted

HOSTS_DISAGREE, ONE_HOST_ONLY = "hosts-disagree", "one-host-only"
_ALLOW = "if they shall go: `multinic apply --allow-mass-delete`"


def contradiction(settings: Settings, database: Session, plan: Plan) -> Block | None:
    """Return why a plan that removes so much is not believed; None if every host that answers agrees."""
    kept = {interface.mac for interface in plan.interfaces if interface.desired}
    doomed = {interface.mac for interface in plan.interfaces if interface.mac} - kept
    asked = 0
    for where, named in _named_elsewhere(settings, database):
        asked += 1
        if still := named & doomed:
            of = counted(len(doomed), "interface")
            words = f"{database.where} has no rows of {of}, but {where} has {len(still)}"
            return Block(HOSTS_DISAGREE, f"{words}; look at what these hosts have; {_ALLOW}")
    if not asked:
        words = f"only {database.where} has no rows for them, and no other host of database.url answers"
        return Block(ONE_HOST_ONLY, f"{words}; {_ALLOW}")
    return None


def _named_elsewhere(settings: Settings, database: Session) -> Iterator[tuple[str, set[Mac | None]]]:
    """Yield each other host that answers, with the MAC addresses that its rows of this node name."""
    node = node_name(settings)
    ignore = settings.database.ignore_deleted_at
    for where, answer in database.ask_others(node):
        with suppress(MultinicError):
            found = rows.desired(node, answer, ignore_deleted_at=ignore, database="")
            yield where, {*(link.mac for link in found.links), *(row.mac for row in found.invalid)}
