"""One look at database and host, and the plan that follows from it. Changes nothing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from multinic import __version__, backend, record, source, tuning
from multinic.backend import Backend
from multinic.compare import Policy
from multinic.config import node_name
from multinic.diff import diff
from multinic.errors import ConfigError, Exit, Refused
from multinic.fields import LEFT_BEHIND
from multinic.host import Host
from multinic.model import Desired, DesiredLink, IPAddress, Mac, Observed
from multinic.observe import Asked, observe
from multinic.paths import TEMPLATES
from multinic.plan import Plan, State
from multinic.record import Memory
from multinic.render import Renderer, fingerprint
from multinic.restraint import Past
from multinic.routing import uses_routing
from multinic.settings import Settings
from multinic.source import rows
from multinic.source.database import Answer, Database


@dataclass
class View:
    """What was seen, and what follows from it."""

    settings: Settings
    host: Host
    backend: Backend
    why_backend: str
    answer: Answer
    desired: Desired
    stored: Memory
    """What the host remembers on disk."""
    memory: Memory
    """The same, with what this look found out."""
    past: Past
    rendering: Rendering
    asked: Asked
    """What of the kernel was looked at besides the usual."""
    observed: Observed
    plan: Plan

    def again(self) -> Plan:
        """Plan anew from what the host is now; the database is not asked again."""
        observed = observe(self.host, self.backend, self.asked)
        policy = _policy(self.settings, self.host, self.backend, self.rendering, self.past)
        return diff(self.desired, observed, self.memory.links, policy)


class Rendering:
    """Files of interfaces, from the last rendering where nothing that goes into them has changed."""

    def __init__(
        self, host: Host, chosen: Backend, known: Mapping[str, tuple[str, Mapping[str, str]]]
    ) -> None:
        self._overrides = host.path(TEMPLATES)
        self._backend = chosen
        self._inputs = [__version__, chosen.NAME, fingerprint(self._overrides)]
        self._renderer: Renderer | None = None
        self._known = known
        self.used: dict[str, tuple[str, Mapping[str, str]]] = {}

    def __call__(self, name: str, link: DesiredLink) -> Mapping[str, str]:
        """Return the files of one interface: path → text."""
        wanted = record.link_document(replace(link, row_id=0, port_id=""))
        key = hashlib.sha256(json.dumps([self._inputs, name, wanted]).encode()).hexdigest()
        known = self.used.get(name) or self._known.get(name)
        if known is None or known[0] != key:
            known = (key, dict(self._backend.files(name, link, self._render)))
        self.used[name] = known
        return known[1]

    def _render(self, template: str, context: Mapping[str, object]) -> str:
        self._renderer = self._renderer or Renderer(self._overrides)
        return self._renderer(template, context)


def _policy(settings: Settings, host: Host, chosen: Backend, rendering: Rendering, past: Past) -> Policy:
    return Policy(
        backend=chosen.NAME,
        max_interfaces=settings.max_interfaces,
        mode=chosen.mode,
        files=rendering,
        slot_of_file=chosen.slot_of_file,
        past=past,
        table_base=settings.routing_table_base,
        lacks=chosen.lacks(host),
        tuning=chosen.tuning,
    )


def asked_of_kernel(desired: Desired, memory: Memory, chosen: Backend) -> Asked:
    """Return what must be looked at besides links and the main table: what rows ask for, or once did."""
    known = [*desired.links, *(held.applied for held in memory.links.values() if held.applied)]
    fields: dict[Mac, set[str]] = {}
    for link in known:
        fields.setdefault(link.mac, set()).update(tuning.wanted(link, chosen.tuning(link)))
    wanted = {link.mac for link in desired.links}
    for mac in wanted:
        if mac not in memory.links or memory.links[mac].applied is None:
            fields[mac].update(LEFT_BEHIND)
    for mac, held in memory.links.items():
        of_others = LEFT_BEHIND if mac in wanted else frozenset[str]()
        fields.setdefault(mac, set()).update(held.tuning_before.keys() - of_others)
    return Asked(
        routing=any(link.rules or link.routes or uses_routing(link.options) for link in known),
        fields={mac: frozenset(names) for mac, names in fields.items() if names},
    )


def look(
    settings: Settings,
    host: Host,
    database: Database,
    answer: Answer | None = None,
    *,
    unattended: bool = False,
    allow_mass_delete: bool = False,
) -> View:
    """Read database (unless it has answered already) and host once, and plan.

    `unattended`: nobody looks at the plan, so what failed before is not attempted on every pass.
    """
    stored = memory = record.load(host)
    if answer is None:
        with source.deadline(settings.database):
            answer = database.ask(node_name(settings))
    desired = rows.desired(
        node_name(settings),
        answer,
        ignore_deleted_at=settings.database.ignore_deleted_at,
        database=database.address,
    )
    now = time.time() if unattended else 0.0
    past = Past(now, memory.mass_deletion, allow_mass_delete=allow_mass_delete)
    return _view(settings, host, answer, desired, stored, memory, past)


def look_back(settings: Settings, host: Host) -> View:
    """Plan from the last known good state on disk, for when the database cannot be read."""
    memory = record.load(host)
    known = tuple(held.applied for _, held in sorted(memory.links.items()) if held.applied is not None)
    desired = Desired(node_name(settings), known)
    past = Past(time.time(), memory.mass_deletion, from_memory=True)
    return _view(settings, host, Answer(("_subnet",), ()), desired, memory, memory, past)


def look_for_nothing(settings: Settings, host: Host, chosen: Backend, database: IPAddress | None) -> View:
    """Plan as if nothing were desired: all that is managed is to go. `database` is where one was reached."""
    memory = record.load(host)
    desired = Desired(node_name(settings), database_address=database)
    past = Past(allow_mass_delete=True)
    answer = Answer(("_subnet",), ())
    return _view(settings, host, answer, desired, memory, memory, past, (chosen, "it has files here"))


def _view(
    settings: Settings,
    host: Host,
    answer: Answer,
    desired: Desired,
    stored: Memory,
    memory: Memory,
    past: Past,
    with_backend: tuple[Backend, str] | None = None,
) -> View:
    chosen, why = with_backend or _without_leftovers(settings, host)
    rendering = Rendering(host, chosen, memory.rendered)
    asked = asked_of_kernel(desired, memory, chosen)
    observed = observe(host, chosen, asked)
    plan = diff(desired, observed, memory.links, _policy(settings, host, chosen, rendering, past))
    return View(
        settings=settings,
        host=host,
        backend=chosen,
        why_backend=why,
        answer=answer,
        desired=desired,
        stored=stored,
        memory=memory,
        past=past,
        rendering=rendering,
        asked=asked,
        observed=observed,
        plan=plan,
    )


def _without_leftovers(settings: Settings, host: Host) -> tuple[Backend, str]:
    """Return the backend of this host, and why. Raises Refused while another one has files of ours."""
    chosen, why = backend.choose(settings.backend, host)
    for other, paths in backend.leftovers(host, chosen).items():
        raise Refused(
            f"backend is {chosen.NAME} ({why}), but {paths[0]} is a file of backend {other}: "
            "two would configure one link; nothing was changed",
            f"if {other} shall go on, see to it that it runs; else `multinic purge`, then `multinic apply`",
        )
    return chosen, why


def verdict(shown: Plan) -> Exit:
    """Return the exit status of looking at a plan: what no apply could put right."""
    states = {interface.state for interface in shown.interfaces}
    if states & {State.INVALID, State.FAILED}:
        return Exit.PARTIAL
    return Exit.REFUSED if State.BLOCKED in states else Exit.OK


def rendered(view: View, names: Sequence[str]) -> dict[str, str]:
    """Return the files of the named interfaces, or of all: path → text. Raises ConfigError."""
    wanted = {i.name: i.desired for i in view.plan.interfaces if i.desired and i.name}
    if unknown := [name for name in names if name not in wanted]:
        raise ConfigError(
            f"no interface {unknown[0]!r} on this node", f"there are {', '.join(wanted) or 'none'}"
        )
    files: dict[str, str] = {}
    for name, link in wanted.items():
        if not names or name in names:
            files.update(view.rendering(name, link))
    return files
