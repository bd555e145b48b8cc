"""One interface: what its row asks for beside what its link and its files are. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from multinic import routing, safety, tuning
from multinic.fields import LEFT_BEHIND
from multinic.model import Desired, DesiredLink, Held, IPInterface, Observed, ObservedLink
from multinic.naming import slot_of
from multinic.options import asked
from multinic.plan import Change, FileChange, Interface, State
from multinic.restraint import Past, same_wish

Files = Mapping[str, str]
_ANY_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+/\d{1,3}")


@dataclass(frozen=True)
class Policy:
    """What the diff needs to know of settings and backend."""

    backend: str
    max_interfaces: int
    mode: Callable[[str], int]
    """The permission bits of a managed file, by its path."""
    files: Callable[[str, DesiredLink], Files]
    """Render the files of one interface: name and desired link → path → text."""
    slot_of_file: Callable[[str], int | None]
    """The slot that a managed file belongs to, by its path."""
    past: Past = field(default_factory=Past)
    """What earlier passes and the operator have to say."""
    table_base: int = 1000
    """The routing table of slot 0."""
    lacks: Files = field(default_factory=dict)
    """The options that the backend cannot have here: name → why."""
    tuning: Callable[[DesiredLink], Files] = lambda _: {}
    """Return the fields of tuning.py that the backend leaves to us."""


def compare(interface: Interface, desired: Desired, observed: Observed, policy: Policy) -> Interface:
    """Return `interface`, which has its link and its wish, with its state and all that is to be done."""
    wish, link = interface.desired, interface.link
    if wish is None:
        return interface
    if objection := _objection(interface, wish, observed, policy):
        reason, words = objection
        message = f"row {wish.row_id}: {words}"
        return replace(interface, state=State.INVALID, reason=reason, message=message)
    files = tuple(_file_changes(interface.name, wish, observed, policy))
    if link is None:
        return replace(
            interface,
            state=State.WAITING,
            reason="not-plugged-in",
            message=f"no link has the MAC address {wish.mac} yet; it is configured when plugged in",
            files=files,
        )
    if problem := _mtu_problem(wish, link):
        return replace(interface, state=State.INVALID, reason="mtu-out-of-range", message=problem)
    applied = interface.held.applied if interface.held else None
    interface = _with_stale(interface, observed, policy)
    changes = tuple(_link_changes(interface, wish, link, observed, policy))
    managed = slot_of(link.name) is not None or applied is not None
    if changes or files:
        if managed:
            block = safety.vital(link, observed, desired.database_address, applied, wish)
        else:
            block = safety.in_use(link, observed, desired.database_address)
        if block:
            return blocked(interface, block)
    else:
        return _with_lease(interface, wish, link)
    if not managed:
        return replace(
            interface,
            state=State.CREATE,
            reason="new",
            message=f"link {link.name} is to become {interface.name}",
            changes=changes,
            files=files,
            noted={f: text for f, text in observed.tuning.get(link.index, {}).items() if f in LEFT_BEHIND},
        )
    reason = _why(interface.held, wish)
    message = _WHY[reason]
    return replace(
        interface, state=State.UPDATE, reason=reason, message=message, changes=changes, files=files
    )


def _link_changes(
    interface: Interface, wish: DesiredLink, link: ObservedLink, observed: Observed, policy: Policy
) -> Iterator[Change]:
    if link.name != interface.name:
        yield Change("name", link.name, interface.name)
    if not link.up:
        yield Change("state", "down", "up")
    mtu = wish.mtu or _mtu_without_wish(interface.held)
    if mtu and mtu != link.mtu:
        yield Change("mtu", str(link.mtu), str(mtu))
    present = {found.address for found in link.addresses if not found.dadfailed}
    gone = _ours(interface, link, observed, policy) | _unheard(wish, link)
    for address in sorted(gone - set(wish.addresses), key=str):
        yield Change("address", str(address), "")
    for address in wish.addresses:
        if address not in present:
            yield Change("address", "", str(address))
    before = interface.held.tuning_before if interface.held else {}
    before = {field: value for field, value in before.items() if field not in LEFT_BEHIND}
    of_backend = policy.tuning(wish)
    fields = tuning.wanted(wish, of_backend)
    yield from tuning.changes(fields, of_backend, observed.tuning.get(link.index, {}), before)
    yield from stale_changes(interface)
    for route in routing.missing_routes(link, wish, observed):
        rival = routing.rival(route, link, observed)
        yield Change("route", "", routing.route_words(route) + (f", which link {rival} has" if rival else ""))
    for rule in routing.missing_rules(wish, observed):
        yield Change("rule", "", routing.rule_words(rule))


def stale_changes(interface: Interface) -> Iterator[Change]:
    """Yield what is to go of routes and rules."""
    for route in interface.stale_routes:
        yield Change("route", routing.route_words(route), "")
    for rule in interface.stale_rules:
        yield Change("rule", routing.rule_words(rule.rule), "")


def _with_stale(interface: Interface, observed: Observed, policy: Policy) -> Interface:
    wish, link, slot = interface.desired, interface.link, slot_of(interface.name) or 0
    applied, table = interface.held.applied if interface.held else None, policy.table_base + slot
    return replace(
        interface,
        stale_routes=routing.stale_routes(link, wish, applied, table, observed) if link else (),
        stale_rules=routing.stale_rules(slot, wish, applied, table, observed),
    )


def _objection(
    interface: Interface, wish: DesiredLink, observed: Observed, policy: Policy
) -> tuple[str, str] | None:
    """Return why the options of a row cannot be had on this host: reason code and sentence."""
    names = (*asked(wish.options), *(["link_local.ipv4"] if 4 in wish.link_local else []))
    for name in names:
        if why := policy.lacks.get(name):
            return "unsupported-option", f"options.{name} cannot be had with backend {policy.backend}: {why}"
    slot, slots = slot_of(interface.name) or 0, policy.max_interfaces
    path, why = routing.table_problem(wish, slot, policy.table_base, slots, interface.link, observed)
    if path:
        return "table-in-use", f"{path}: {why}"
    fields = tuning.wanted(wish, {})
    if field := tuning.overruled(fields, observed.tuning_of_all):
        value = observed.tuning_of_all[field]
        words = f"options.{field} {fields[field]} has no effect here: net.ipv4.conf.all.{field} is {value}"
        return "overruled", f"{words}, and the kernel takes the larger of the two"
    return None


def _with_lease(interface: Interface, wish: DesiredLink, link: ObservedLink) -> Interface:
    """Return `interface` as it is, or waiting for a DHCP server that has not answered yet."""
    for version, is_asked in ((4, wish.options.dhcp4), (6, wish.options.dhcp6)):
        given = (
            found.address
            for found in link.addresses
            if found.address.version == version and not found.kernel and found.scope < safety.LINK_SCOPE
        )
        if is_asked and not set(given) - set(wish.addresses):
            words = f"no DHCP server has given {interface.name} an IPv{version} address yet"
            return replace(interface, state=State.WAITING, reason="no-lease", message=words)
    return interface


def _mtu_without_wish(held: Held | None) -> int | None:
    """Return the MTU to go back to when the database no longer asks for one."""
    return held.mtu_before if held and held.applied and held.applied.mtu else None


def _ours(interface: Interface, link: ObservedLink, observed: Observed, policy: Policy) -> set[IPInterface]:
    """Return the addresses on a link that we put there: only these are ours to take away.

    A virtual address that someone adds to a managed link (keepalived) stays. Without a
    record, the managed file says what was configured.
    """
    present = {found.address for found in link.addresses}
    if interface.held and interface.held.applied:
        return present & set(interface.held.applied.addresses)
    slot = slot_of(interface.name)
    texts = [t for p, t in observed.files.items() if policy.slot_of_file(p) == slot]
    words = {word.lower() for text in texts for word in _ANY_ADDRESS.findall(text)}
    return {address for address in present if str(address).lower() in words}


def _unheard(wish: DesiredLink, link: ObservedLink) -> set[IPInterface]:
    """Return the addresses that the kernel made of router advertisements that nobody listens to any more."""
    if wish.options.accept_ra:
        return set()
    return {found.address for found in link.addresses if found.kernel and found.scope < safety.LINK_SCOPE}


def _file_changes(name: str, wish: DesiredLink, observed: Observed, policy: Policy) -> Iterator[FileChange]:
    slot, rendered = slot_of(name), policy.files(name, wish)
    for path, text in sorted(observed.files.items()):
        if policy.slot_of_file(path) == slot and path not in rendered:
            yield FileChange(path, text, None, policy.mode(path), observed.modes.get(path))
    for path, text in sorted(rendered.items()):
        old, old_mode = observed.files.get(path), observed.modes.get(path)
        mode = policy.mode(path)
        if old != text or old_mode != mode:
            yield FileChange(path, old, text, mode, old_mode)


def _mtu_problem(wish: DesiredLink, link: ObservedLink) -> str:
    if wish.mtu is None:
        return ""
    if wish.mtu < link.min_mtu or (link.max_mtu and wish.mtu > link.max_mtu):
        limits = f"{link.min_mtu}..{link.max_mtu or 'any'}"
        return f"row {wish.row_id}: mtu {wish.mtu} is outside what link {link.name} can do ({limits})"
    return ""


_WHY = {
    "adopt": "the link has our name, but this host remembers nothing of it",
    "drift": "the host differs from what was configured",
    "changed": "the database asks for something new",
}


def _why(held: Held | None, wish: DesiredLink) -> str:
    if held is None or held.applied is None:
        return "adopt"
    return "drift" if same_wish(held.applied, wish) else "changed"


def blocked(interface: Interface, block: safety.Block) -> Interface:
    """Return `interface` with an objection instead of anything to be done."""
    message = f"row {interface.row_id} is not carried out: {block.message}"
    return replace(interface, state=State.BLOCKED, reason=block.rule, message=message)
