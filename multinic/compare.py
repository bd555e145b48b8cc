"""One interface: what its row asks for beside what its link and its files are. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from multinic import safety
from multinic.model import Desired, DesiredLink, Held, IPInterface, Observed, ObservedLink
from multinic.naming import slot_of
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


def compare(interface: Interface, desired: Desired, observed: Observed, policy: Policy) -> Interface:
    """Return `interface`, which has its link and its wish, with its state and all that is to be done."""
    wish, link = interface.desired, interface.link
    if wish is None:
        return interface
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
    changes = tuple(_link_changes(interface, wish, link, observed, policy))
    managed = slot_of(link.name) is not None or bool(interface.held and interface.held.applied)
    rule = safety.vital if managed else safety.in_use
    if (changes or files) and (block := rule(link, observed, desired.database_address)):
        return blocked(interface, block)
    if not changes and not files:
        return interface
    if not managed:
        return replace(
            interface,
            state=State.CREATE,
            reason="new",
            message=f"link {link.name} is to become {interface.name}",
            changes=changes,
            files=files,
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
    for address in sorted(_ours(interface, link, observed, policy) - set(wish.addresses), key=str):
        yield Change("address", str(address), "")
    for address in wish.addresses:
        if address not in present:
            yield Change("address", "", str(address))


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
