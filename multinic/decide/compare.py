"""One interface: its row compared with its link and its files. Pure.

One table decides what becomes of a row: CASES. docs/safety.md prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from multinic.decide import properties, routing, safety, takeover
from multinic.decide.differences import file_changes, link_changes
from multinic.decide.naming import slot_of, slot_of_link
from multinic.decide.options import asked
from multinic.decide.policy import Policy
from multinic.decide.restraint import same_wish
from multinic.values.desired import Desired, DesiredLink
from multinic.values.fields import LEFT_BEHIND
from multinic.values.observed import Observed, ObservedLink
from multinic.values.plan import Change, FileChange, Interface, State
from multinic.values.rtnetlink import LINK_SCOPE
from multinic.values.text import counted


@dataclass(frozen=True)
class Facts:
    """Everything that decides about one row; what takes longer is computed when a case asks for it."""

    interface: Interface
    """With its name ("" where no slot is left), its link and its entry in the record."""
    wish: DesiredLink
    ambiguous: safety.Block | None
    """Why the link of the MAC address is not known; None if it is, or if none is plugged in."""
    desired: Desired
    observed: Observed
    policy: Policy

    @property
    def link(self) -> ObservedLink | None:
        return self.interface.link

    @property
    def applied(self) -> DesiredLink | None:
        """What was configured last; None if the record has no configuration."""
        return self.interface.entry.applied if self.interface.entry else None

    @property
    def managed(self) -> bool:
        """Whether the link is already ours, by its name or by the record."""
        return self.link is not None and (slot_of_link(self.link) is not None or self.applied is not None)

    @cached_property
    def files(self) -> tuple[FileChange, ...]:
        return tuple(file_changes(self.interface.name, self.wish, self.observed, self.policy))

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        if self.link is None:
            return ()
        return tuple(link_changes(self.interface, self.wish, self.link, self.observed, self.policy))

    @property
    def differ(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changes or self.files)


_WITH_CARRIER = ("address", "route", "rule")
"""What a network service adds to a link only when it has a carrier."""

Finding = tuple[str, str] | None
"""The reason code of a case and a sentence; None if the case does not apply."""


class Case(NamedTuple):
    """One line of the table: when it applies, the state that follows, the possible reasons."""

    when: str
    state: State
    reasons: tuple[str, ...]
    find: Callable[[Facts], Finding]


def _without_slot(facts: Facts) -> Finding:
    if facts.interface.name:
        return None
    rows, slots = counted(len(facts.desired.links), "row"), facts.policy.max_interfaces
    wish = facts.wish
    words = f"row {wish.row_id}: no slot is left for {wish.mac}: {rows}, max_interfaces is {slots}"
    return "no-free-slot", words


def _ambiguous(facts: Facts) -> Finding:
    return _not_carried_out(facts, facts.ambiguous) if facts.ambiguous else None


def _impossible_option(facts: Facts) -> Finding:
    if problem := _option_problem(facts):
        reason, words = problem
        return reason, f"row {facts.wish.row_id}: {words}"
    return None


def _takes_over(facts: Facts) -> Finding:
    """Object also while the link is not plugged in: what is written in advance comes up without a pass."""
    answered, policy = facts.desired.database_address, facts.policy
    databases = (*([answered] if answered else []), *policy.databases)
    block = takeover.takes_over(facts.interface, facts.observed, databases, policy.connected_metric)
    return _not_carried_out(facts, block) if block else None


def _not_plugged_in(facts: Facts) -> Finding:
    if facts.link is not None:
        return None
    words = f"no link has the MAC address {facts.wish.mac} yet; it is configured when plugged in"
    return "not-plugged-in", words


def _mtu_out_of_range(facts: Facts) -> Finding:
    mtu, link = facts.wish.mtu, facts.link
    if mtu is None or link is None or link.min_mtu <= mtu <= (link.max_mtu or mtu):
        return None
    limits = f"{link.min_mtu}..{link.max_mtu or 'any'}"
    words = f"row {facts.wish.row_id}: mtu {mtu} is outside what link {link.name} can do ({limits})"
    return "mtu-out-of-range", words


def _without_carrier(facts: Facts) -> Finding:
    link = facts.link
    if link is None or not link.up or link.carrier or facts.differ:
        return None
    words = "it is configured, and works when it has one"
    return "no-carrier", f"{facts.interface.name} has no carrier (its port or cable is down): {words}"


def _lacking_until_carrier(facts: Facts) -> Finding:
    link = facts.link
    if link is None or not link.up or link.carrier or facts.files or not facts.policy.needs_carrier:
        return None
    if not all(change.field in _WITH_CARRIER and change.old is None for change in facts.changes):
        return None
    words = "its addresses, routes and rules come with the carrier"
    return "no-carrier", f"{facts.interface.name} has no carrier (its port or cable is down): {words}"


def _without_lease(facts: Facts) -> Finding:
    if facts.differ or facts.link is None:
        return None
    options = facts.wish.options
    for version, is_asked in ((4, options.dhcp4), (6, options.dhcp6)):
        given = any(
            found.leased or found.address not in facts.wish.addresses
            for found in facts.link.addresses
            if found.address.version == version and not found.kernel and found.scope < LINK_SCOPE
        )
        if is_asked and not given:
            return "no-lease", f"no DHCP server has given {facts.interface.name} an IPv{version} address yet"
    return None


def _as_desired(facts: Facts) -> Finding:
    return None if facts.differ else ("converged", "as desired")


def _address_in_use(facts: Facts) -> Finding:
    block = safety.address_in_use(facts.wish, facts.observed)
    return _not_carried_out(facts, block) if block else None


def _in_use(facts: Facts) -> Finding:
    link, database = facts.link, facts.desired.database_address
    if link is None:
        return None
    if facts.managed:
        block = safety.vital(link, facts.observed, database, facts.applied, facts.wish)
        mtus = (change.new for change in facts.changes if change.field == "mtu")
        mtu = next((mtu for mtu in mtus if isinstance(mtu, int)), None)
        block = block or safety.too_narrow(link, mtu, facts.observed)
    else:
        block = safety.in_use(link, facts.observed, database)
    return _not_carried_out(facts, block) if block else None


def _mac_changed(facts: Facts) -> Finding:
    link, mac = facts.link, facts.wish.mac
    if link is None or link.permanent_mac in (None, mac) or not facts.policy.by_permanent_mac:
        return None
    words = (
        f"link {link.name} has the MAC address {mac} only for now, that of the card is {link.permanent_mac}, "
        f"by which backend {facts.policy.backend} finds it: put that one into the row"
    )
    return _not_carried_out(facts, safety.Block("mac-changed", words))


def _new(facts: Facts) -> Finding:
    if facts.managed or facts.link is None:
        return None
    return "new", f"link {facts.link.name} is to become {facts.interface.name}"


def _adopted(facts: Facts) -> Finding:
    if facts.applied is not None:
        return None
    return "adopt", "the link has our name, but the record has no configuration of it"


def _drifted(facts: Facts) -> Finding:
    if not same_wish(facts.applied, facts.wish):
        return None
    return "drift", "the host differs from what was configured"


def _changed(_: Facts) -> Finding:
    return "changed", "the database asks for something new"


CASES = (
    Case("no slot is left", State.INVALID, ("no-free-slot",), _without_slot),
    Case("several links have the MAC address", State.BLOCKED, ("ambiguous",), _ambiguous),
    Case(
        "this host cannot do what an option asks for",
        State.INVALID,
        ("unsupported-option", "table-in-use", "overruled"),
        _impossible_option,
    ),
    Case("the way to the database or a gateway would change", State.BLOCKED, ("in-use",), _takes_over),
    Case("no link has the MAC address", State.WAITING, ("not-plugged-in",), _not_plugged_in),
    Case("the link cannot have the MTU", State.INVALID, ("mtu-out-of-range",), _mtu_out_of_range),
    Case("nothing differs, but the link has no carrier", State.WAITING, ("no-carrier",), _without_carrier),
    Case("nothing differs, but a lease is missing", State.WAITING, ("no-lease",), _without_lease),
    Case("nothing differs", State.UNCHANGED, ("converged",), _as_desired),
    Case("the host has the address, or needs its owner", State.BLOCKED, ("address-in-use",), _address_in_use),
    Case("the host or another program needs the link", State.BLOCKED, ("in-use",), _in_use),
    Case("the card has another MAC address", State.BLOCKED, ("mac-changed",), _mac_changed),
    Case(
        "only what comes with the carrier is missing", State.WAITING, ("no-carrier",), _lacking_until_carrier
    ),
    Case("the link is not managed yet", State.CREATE, ("new",), _new),
    Case("the record has no configuration of the link", State.UPDATE, ("adopt",), _adopted),
    Case("the row asks for what was configured", State.UPDATE, ("drift",), _drifted),
    Case("the row asks for something else", State.UPDATE, ("changed",), _changed),
)
"""What becomes of a row: the first case that applies decides."""


def compare(facts: Facts) -> Interface:
    """Return the interface with its state, the reason, and its changes of link and files."""
    for case in CASES:
        if finding := case.find(facts):
            reason, message = finding
            decided = replace(facts.interface, state=case.state, reason=reason, message=message)
            return _with_work(decided, facts)
    raise AssertionError("the last case applies always")


def _with_work(interface: Interface, facts: Facts) -> Interface:
    if interface.state not in (State.CREATE, State.UPDATE, State.WAITING) or interface.reason == "no-carrier":
        return interface
    noted: dict[str, str] = {}
    if interface.state is State.CREATE and facts.link is not None:
        present = facts.observed.properties.get(facts.link.index, {})
        noted = {field: text for field, text in present.items() if field in LEFT_BEHIND}
    return replace(interface, changes=facts.changes, files=facts.files, noted_properties=noted)


def _option_problem(facts: Facts) -> Finding:
    """Return why this host cannot do what the options of a row ask for."""
    wish, policy, observed = facts.wish, facts.policy, facts.observed
    names = (*asked(wish.options), *(["link_local.ipv4"] if 4 in wish.link_local else []))
    for name in names:
        if why := policy.lacks.get(name):
            return "unsupported-option", f"backend {policy.backend} cannot do options.{name}: {why}"
    slot, slots = slot_of(facts.interface.name) or 0, policy.max_interfaces
    path, why = routing.table_problem(wish, slot, policy.table_base, slots, facts.link, observed)
    if path:
        return "table-in-use", f"{path}: {why}"
    wanted = properties.wanted(wish, {})
    if field := properties.overruled(wanted, observed.properties_of_all):
        value = observed.properties_of_all[field]
        words = f"options.{field} {wanted[field]} has no effect here: net.ipv4.conf.all.{field} is {value}"
        return "overruled", f"{words}, and the kernel takes the larger of the two"
    return None


def _not_carried_out(facts: Facts, block: safety.Block) -> tuple[str, str]:
    return block.rule, f"row {facts.interface.row_id} is not carried out: {block.message}"


def blocked(interface: Interface, block: safety.Block) -> Interface:
    """Return an interface that is blocked: with an objection, and without changes."""
    message = f"row {interface.row_id} is not carried out: {block.message}"
    return replace(interface, state=State.BLOCKED, reason=block.rule, message=message, changes=(), files=())
