"""The flow: config → source → desired · observe → observed · plan = diff(desired, observed) ·
apply(plan) inside a checkpoint · observe again: the plan must now be empty · report.

Everything is put together here, and time is read here.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from multinic import __version__, backend, checkpoint, record, source
from multinic.apply import Result, apply, current_links
from multinic.backend import Backend
from multinic.config import Settings, host_name
from multinic.diff import Policy, diff
from multinic.errors import ConfigError, Exit, Refused, SourceError
from multinic.host import Host
from multinic.lock import only_one
from multinic.log import Log
from multinic.model import Desired, DesiredLink, Held, Mac, Observed
from multinic.naming import slot_of
from multinic.observe import observe
from multinic.plan import Interface, Plan, State
from multinic.record import Memory
from multinic.render import OVERRIDES, Renderer, fingerprint
from multinic.report import Report, statefile
from multinic.report import database as database_report
from multinic.source.database import Database

_ASK_AGAIN = 3600.0  # seconds after which a table that was missing is looked for again


@dataclass
class View:
    """One look at database and host, and what follows from it."""

    settings: Settings
    host: Host
    backend: Backend
    why_backend: str
    desired: Desired
    stored: Memory
    """What the host remembers on disk."""
    memory: Memory
    """The same, with what this look found out."""
    rendering: Rendering
    observed: Observed
    plan: Plan

    def again(self) -> tuple[Plan, Observed]:
        """Plan anew from what the host is now; the database is not asked again."""
        observed = observe(self.host, self.backend)
        policy = _policy(self.settings, self.backend, self.rendering)
        return diff(self.desired, observed, self.memory.links, policy), observed


class Rendering:
    """Files of interfaces, from the last rendering where nothing that goes into them has changed."""

    def __init__(
        self, host: Host, chosen: Backend, known: Mapping[str, tuple[str, Mapping[str, str]]]
    ) -> None:
        self._overrides = host.path(OVERRIDES)
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


def _policy(settings: Settings, chosen: Backend, rendering: Rendering) -> Policy:
    return Policy(chosen.NAME, settings.max_interfaces, chosen.MODE, rendering, chosen.slot_of_file)


def look(settings: Settings, host: Host, database: Database) -> View:
    """Read database and host once and plan; nothing is changed."""
    stored = memory = record.load(host)
    database.subnets = time.time() - memory.without_subnets > _ASK_AGAIN
    desired = database.read(
        settings.node or host_name(), ignore_deleted_at=settings.database.ignore_deleted_at
    )
    if database.subnets:
        memory = replace(memory, without_subnets=0.0)
    elif not memory.without_subnets or time.time() - memory.without_subnets > _ASK_AGAIN:
        memory = replace(memory, without_subnets=float(int(time.time())))
    chosen, why = backend.choose(settings.backend, host)
    rendering = Rendering(host, chosen, memory.rendered)
    observed = observe(host, chosen)
    plan = diff(desired, observed, memory.links, _policy(settings, chosen, rendering))
    return View(settings, host, chosen, why, desired, stored, memory, rendering, observed, plan)


def plan(settings: Settings, host: Host) -> View:
    """Return what would change; nothing is changed."""
    with source.connect(settings.database) as database:
        return look(settings, host, database)


def verdict(shown: Plan) -> Exit:
    """Return the exit status of looking at a plan: what no apply could put right."""
    states = {interface.state for interface in shown.interfaces}
    if State.INVALID in states:
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


def reconcile(
    settings: Settings, host: Host, log: Log, *, confirm: Callable[[View], bool] | None = None
) -> Exit:
    """Do one full pass; `confirm` may look at the plan first and say no.

    Raises Locked, SourceError, ConfigError and HostError, each before anything is changed.
    """
    with only_one(host):
        recover(host, log)
        with source.connect(settings.database) as database:
            view = look(settings, host, database)
            log.node = view.desired.node
            if confirm is not None and not confirm(view):
                raise Refused("not confirmed; nothing was changed")
            results = _carry_out(view, log)
            report = Report(
                version=__version__,
                node=view.desired.node,
                backend=view.backend.NAME,
                time=time.time(),
                results=results,
            )
            statefile.tell(host, report, log)
            written = _report_to(database, view.desired, report, log)
        statefile.write(host, report)
    return report.exit if written else Exit.RETRY


def _carry_out(view: View, log: Log) -> tuple[Result, ...]:
    if view.plan.empty:
        results = tuple(Result(i, i.state, i.reason, i.message) for i in view.plan.interfaces)
    else:
        # Names and MTUs before us are remembered before they change, whatever happens then.
        begun = _remembered(view, ())
        if begun != view.stored:
            record.save(view.host, begun)
            view.stored = view.memory = begun
        results = apply(
            view.host,
            view.backend,
            view.plan,
            view.observed,
            look=view.again,
            timeout=view.settings.verify_timeout,
            log=log,
        )
    done = _remembered(view, results)
    if done != view.stored:
        record.save(view.host, done)
    return results


def _remembered(view: View, results: tuple[Result, ...]) -> Memory:
    """Return the memory after a pass; with no results yet, before it."""
    links: dict[Mac, Held] = {}
    states = {result.interface.key: result.state for result in results}
    for interface in view.plan.interfaces:
        if interface.mac is None or not interface.name:
            continue
        if interface.state is State.DELETE and states.get(interface.key) is State.DELETE:
            continue
        held = view.memory.links.get(interface.mac)
        slot = slot_of(interface.name)
        if interface.desired is None:
            if held is not None:
                links[interface.mac] = held
            continue
        if slot is not None:
            links[interface.mac] = _held(interface, held, slot, states.get(interface.key))
    names = {interface.name for interface in view.plan.interfaces if interface.desired is not None}
    rendered = {name: value for name, value in view.rendering.used.items() if name in names}
    return Memory(links, rendered, view.memory.without_subnets)


def _held(interface: Interface, held: Held | None, slot: int, state: State | None) -> Held:
    before = held or Held(slot)
    link = interface.link
    unknown = before.mtu_before is None and link is not None and slot_of(link.name) is None
    if link is not None and (interface.state is State.CREATE or unknown):
        before = replace(before, name_before=link.name, mtu_before=link.mtu)
    applied = before.applied
    if state in (State.CONVERGED, State.UNCHANGED):
        applied = interface.desired
    return replace(before, slot=slot, port_id=interface.port_id, applied=applied)


def _report_to(database: Database, desired: Desired, report: Report, log: Log) -> bool:
    try:
        database_report.write(database, desired, report)
    except SourceError as e:
        log.error(f"the result could not be written to the database: {e}", hint=e.hint)
        return False
    return True


def recover(host: Host, log: Log) -> bool:
    """Put back what an interrupted run left half done; return whether there was anything."""
    return _undo(
        host, checkpoint.PATH, log, "a change was interrupted; its interfaces are put back as they were"
    )


def rollback(settings: Settings, host: Host, log: Log) -> bool:  # noqa: ARG001
    """Put back how the interfaces were before the last change; return whether there was one."""
    with only_one(host):
        if recover(host, log):
            return True
        return _undo(host, checkpoint.LAST, log, "the last change is undone")


def _undo(host: Host, path: str, log: Log, what: str) -> bool:
    saved = checkpoint.load(host, path)
    if saved is None:
        return False
    from multinic.links import Links  # only after a crash, or by hand

    log.warning(what, reason="recovered")
    chosen, _ = backend.choose(saved.backend, host)
    with Links(host) as links:
        checkpoint.restore(
            host, links, saved.interfaces, reload=lambda: chosen.reload(host), observe=current_links
        )
    host.remove(path)
    return True
