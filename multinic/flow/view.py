"""One look at database and host, and the plan that follows from it. Changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from multinic.backend import choice
from multinic.backend.base import Backend
from multinic.database import rows, source
from multinic.database.session import Session
from multinic.database.statement import Answer
from multinic.decide.asking import Asked, asked_of_kernel
from multinic.decide.brake import at_risk
from multinic.decide.diff import diff
from multinic.decide.identity import Identity, doubt
from multinic.decide.policy import Policy
from multinic.decide.restraint import Allowed, Past
from multinic.decide.selection import of_plan, select
from multinic.decide.witness import Loss
from multinic.flow.observe import observe
from multinic.flow.rendering import Rendering
from multinic.host.config import node_name
from multinic.host.host import Host
from multinic.state.holds import load_holds
from multinic.state.record import load_record
from multinic.values.addresses import IPAddress
from multinic.values.desired import Desired
from multinic.values.errors import Refused
from multinic.values.hold import NOT_KNOWN
from multinic.values.observed import Observed
from multinic.values.paths import HOLDS
from multinic.values.plan import Plan
from multinic.values.record import Record
from multinic.values.settings import Settings


@dataclass
class View:
    """What was seen, and what follows from it."""

    settings: Settings
    host: Host
    backend: Backend
    why_backend: str
    answer: Answer
    desired: Desired
    record: Record
    """What the host remembers."""
    lost: list[str]
    """What could not be read of the record, in words; without a database nobody asks."""
    past: Past
    rendering: Rendering
    asked: Asked
    """What of the kernel was looked at besides the usual."""
    observed: Observed
    plan: Plan
    given_back: list[Loss] = field(default_factory=list)
    """What others lost by carrying the plan out, and got back."""

    @property
    def selected(self) -> Plan:
        """The plan of the interfaces that a person selected; all others stay as they are."""
        only = self.past.only
        if only is None:
            return self.plan
        return replace(self.plan, interfaces=tuple(i for i in self.plan.interfaces if i.key in only))

    def replan(self) -> Plan:
        """Plan anew from what the host is now; the database is not asked again."""
        observed = observe(self.host, self.backend, self.asked)
        policy = _policy(self.settings, self.host, self.backend, self.rendering, self.past)
        return diff(self.desired, observed, self.record.entries, policy)


def _policy(settings: Settings, host: Host, chosen: Backend, rendering: Rendering, past: Past) -> Policy:
    return Policy(
        backend=chosen.name,
        max_interfaces=settings.max_interfaces,
        mode=chosen.mode,
        files=rendering,
        slot_of_file=chosen.slot_of_file,
        past=past,
        table_base=settings.routing_table_base,
        lacks=chosen.lacks(host),
        alone=chosen.alone,
        needs_carrier=chosen.needs_carrier,
        properties=chosen.properties,
        without_lldp=chosen.without_lldp,
        by_permanent_mac=chosen.by_permanent_mac,
        connected_metric=chosen.connected_metric,
        databases=source.addresses(settings.database),
    )


def look(
    settings: Settings,
    host: Host,
    database: Session,
    answer: Answer | None = None,
    *,
    unattended: bool = False,
    allowed: Allowed | None = None,
) -> View:
    """Read database (unless it has answered already) and host once, and plan.

    `unattended`: nobody looks at the plan, so what failed before is not attempted on every pass.
    """
    lost: list[str] = []
    record = load_record(host, lost)
    if answer is None:
        answer = database.ask(node_name(settings))
    desired = desired_by(settings, database, answer)
    now, allowed = time.time(), allowed or Allowed()
    identity = identity_of(settings)
    past = Past(
        now if unattended else 0.0,
        record.mass_deletion,
        now - record.mass_deletion_since if record.mass_deletion else 0.0,
        allow_mass_delete=allowed.mass_delete,
        ask_for_mass_deletion=settings.ask_for_mass_deletion,
        said_by=database.where,
        doubt=None if allowed.identity else doubt(record, identity),
    )
    view = _view(settings, host, answer, desired, record, past, lost=lost)
    if allowed.only:
        meant = select(allowed.only, view.plan.interfaces, of_plan)
        past = replace(past, only=frozenset(interface.key for interface in meant))
        view = _view(settings, host, answer, desired, record, past, lost=lost)
    if view.plan.mass_deletion and database.has_others and not allowed.mass_delete:
        from multinic.flow.second_opinion import contradiction  # seldom needed

        if block := contradiction(settings, database, view.plan):
            past = replace(past, doubt=block)
            view = _view(settings, host, answer, desired, record, past, lost=lost)
    if not allowed.braked and settings.fleet_brake and at_risk(view.plan):
        from multinic.flow.peers import braked  # only then

        if blocks := braked(settings, database, view.plan):
            view = _view(settings, host, answer, desired, record, replace(past, braked=blocks), lost=lost)
    return view


def identity_of(settings: Settings) -> Identity:
    """Return the name of this node and of its database. Raises ConfigError."""
    return Identity(node_name(settings), source.identity(settings.database), bool(settings.node))


def desired_by(settings: Settings, database: Session, answer: Answer) -> Desired:
    """Return what an answer of the database asks for on this node. Raises ConfigError and SourceRejected."""
    return rows.desired(
        node_name(settings),
        answer,
        ignore_deleted_at=settings.database.ignore_deleted_at,
        database=database.address,
    )


def look_without_database(settings: Settings, host: Host) -> View:
    """Plan from the last known good state on disk, for when the database cannot be read."""
    record = load_record(host)
    known = tuple(entry.applied for _, entry in sorted(record.entries.items()) if entry.applied is not None)
    desired = Desired(node_name(settings), known)
    past = Past(time.time(), record.mass_deletion, from_memory=True)
    return _view(settings, host, Answer(("_subnet",), ()), desired, record, past)


def look_for_nothing(settings: Settings, host: Host, chosen: Backend, database: IPAddress | None) -> View:
    """Plan as if nothing were desired: all that is managed is to go. `database` is where one was reached."""
    record = load_record(host)
    desired = Desired(node_name(settings), database_address=database)
    past = Past(allow_mass_delete=True)
    answer = Answer(("_subnet",), ())
    return _view(settings, host, answer, desired, record, past, (chosen, "it has files here"))


def _view(
    settings: Settings,
    host: Host,
    answer: Answer,
    desired: Desired,
    record: Record,
    past: Past,
    with_backend: tuple[Backend, str] | None = None,
    lost: list[str] | None = None,
) -> View:
    past = _with_holds(host, past)
    chosen, why = with_backend or _without_leftovers(settings, host)
    rendering = Rendering(host, chosen, record.rendered)
    asked = asked_of_kernel(desired, record.entries, chosen.properties)
    observed = observe(host, chosen, asked)
    plan = diff(desired, observed, record.entries, _policy(settings, host, chosen, rendering, past))
    return View(
        settings=settings,
        host=host,
        backend=chosen,
        why_backend=why,
        answer=answer,
        desired=desired,
        record=record,
        lost=lost or [],
        past=past,
        rendering=rendering,
        asked=asked,
        observed=observed,
        plan=plan,
    )


def _with_holds(host: Host, past: Past) -> Past:
    """Return what earlier passes saw, with what a person holds now. Raises HostError."""
    if not host.present(HOLDS):
        return past
    holds, now = load_holds(host), time.time()
    return replace(past, held=holds.words(now), held_unknown=NOT_KNOWN if holds.unknown(now) else "")


def _without_leftovers(settings: Settings, host: Host) -> tuple[Backend, str]:
    """Return the backend of this host, and why. Raises Refused while another one has files of ours."""
    chosen, why = choice.choose(settings.backend, host)
    for other, paths in choice.leftovers(host, chosen).items():
        raise Refused(
            f"backend is {chosen.name} ({why}), but {paths[0]} is a file of backend {other}: "
            "two would configure one link, so no plan is made",
            f"if {other} shall go on, see to it that it runs; else `multinic purge`, then `multinic apply`",
        )
    return chosen, why
