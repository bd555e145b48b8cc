"""Nodes as values on one real database: each reads its rows, plans, and tells the result, as a pass does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from multinic.database import rows
from multinic.database.session import Session
from multinic.decide.diff import diff
from multinic.decide.restraint import Past
from multinic.flow.peers import braked
from multinic.host import config
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.report import events, statefile, tables
from multinic.report.report import Report
from multinic.state.statefile import load_state
from multinic.values.addresses import Mac
from multinic.values.desired import DesiredLink
from multinic.values.observed import ObservedAddress, ObservedLink
from multinic.values.plan import Interface, Plan, Result, State
from multinic.values.record import Entry
from multinic.values.settings import Settings
from tests.unit.making import observed, policy

DONE = {State.CREATE: State.CONVERGED, State.UPDATE: State.CONVERGED}


def settings(store, root: Path, **options: str) -> Settings:
    """Return the settings of a node."""
    options = {"database.url": store.url, "backend": "netlink"} | options
    return config.load(None, options, {}, default=str(root / "none"))


@dataclass
class Member:
    """One node: what is plugged in, what its record has, and its directories."""

    node: str
    root: Path
    settings: Settings
    links: dict[Mac, ObservedLink] = field(default_factory=dict)
    entries: dict[Mac, Entry] = field(default_factory=dict)
    clock: float = 1_000_000.0

    @property
    def host(self) -> Host:
        """Its files."""
        return Host(str(self.root))

    def plug(self, number: int, mac: str) -> None:
        """Plug a link in."""
        found = Mac(mac)
        name = f"eth{number}"
        self.links[found] = ObservedLink(10 + number, name, found, found, up=True, carrier=True)

    def configure(self, number: int, mac: str, mtu: int) -> None:
        """Plug a link in that has been configured before, as multinic0."""
        found = Mac(mac)
        self.links[found] = ObservedLink(
            10 + number, "multinic0", found, found, up=True, carrier=True, mtu=mtu
        )
        wish = DesiredLink(found, f"port-{mac}", 1, (), mtu)
        self.entries[found] = Entry(0, wish.port_id, f"eth{number}", 1500, wish)

    def plan(self, database: Session) -> Plan:
        """Return what a pass would do, the fleet brake included."""
        desired = rows.desired(self.node, database.ask(self.node), ignore_deleted_at=False, database="")
        past = Past(allow_mass_delete=True)
        made = replace(policy(), past=past, files=lambda *_: {})
        found = diff(desired, observed(*self.links.values()), self.entries, made)
        if blocks := braked(self.settings, database, found):
            made = replace(made, past=replace(past, braked=blocks))
            found = diff(desired, observed(*self.links.values()), self.entries, made)
        return found

    def reconcile(
        self, database: Session, works: Callable[[Interface], bool] = lambda _: True, **fields: object
    ) -> Report:
        """Make one pass, of which each interface comes out as `works` says; return its report."""
        self.clock += 1
        plan = self.plan(database)
        results = tuple(self._result(interface, works(interface)) for interface in plan.interfaces)
        told = Report("1.2.3", plan.node, plan.backend, self.clock, results, **fields)  # type: ignore[arg-type]
        return self.tell(database, told)

    def tell(self, database: Session, told: Report) -> Report:
        """Tell the result of a pass, as flow/full.py does."""
        new = events.record(self.host, Log(), told, load_state(self.host))
        try:
            tables.tell(database, self.settings.database, self.host, told, new)
        finally:
            statefile.write(self.host, told)
        return told

    def _result(self, interface: Interface, works: bool) -> Result:
        if not interface.pending:
            return Result(interface, interface.state, interface.reason, interface.message, interface.link)
        if not works:
            return Result(interface, State.FAILED, "not-converged", "mtu was not taken", interface.link)
        if interface.mac and interface.link and interface.desired:
            wish = interface.desired
            self.links[interface.mac] = replace(
                interface.link,
                name=interface.name,
                mtu=wish.mtu or interface.link.mtu,
                addresses=tuple(map(ObservedAddress, wish.addresses)),
            )
            self.entries[interface.mac] = Entry(int(interface.name[8:]), wish.port_id, "eth", 1500, wish)
        state = DONE.get(interface.state, interface.state)
        link = self.links.get(interface.mac) if interface.mac else None
        return Result(interface, state, interface.reason, "; ".join(map(str, interface.changes)), link)
