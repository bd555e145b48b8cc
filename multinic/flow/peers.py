"""How other nodes fared just now is asked before a working interface is changed or removed (rule 11)."""

from __future__ import annotations

from collections.abc import Mapping

from multinic.database import peers
from multinic.database.session import Session
from multinic.decide import brake
from multinic.decide.safety import Block
from multinic.values.plan import Plan
from multinic.values.settings import Settings


def braked(settings: Settings, database: Session, plan: Plan) -> Mapping[str, Block]:
    """Return why interfaces of a plan must wait, by key. One statement. Raises SourceError."""
    wanted = {brake.attempt_of(interface) for interface in brake.at_risk(plan)}
    if settings.fleet_brake is None or not wanted:
        return {}
    found = database.carry_out(lambda: peers.attempts(database, plan.node, wanted))
    return brake.held(plan, found, settings.fleet_brake)
