"""Checks of the backend, and of the interfaces in a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from multinic.backend import choice
from multinic.backend.detect import detect
from multinic.decide.naming import slot_of_link
from multinic.doctor.finding import Examination, Finding, Level
from multinic.flow.view import View, look, look_without_database
from multinic.values.hold import HELD, NOT_KNOWN
from multinic.values.plan import Interface, State

_HINTS = {
    "in-use": "remove the other configuration, or the row",
    "ambiguous": "look at `ip -details link`: which of these links is the port?",
    "name-taken": "rename the other link",
    "incomplete-read": "correct that row",
    "other-node": "set `node` to the right name, or `multinic apply --accept-identity`",
    "other-database": "correct database.url, or `multinic apply --accept-identity`",
    "ambiguous-node": "write all rows of this node under one name",
    "not-plugged-in": "plug the port in, or correct its row",
    "no-carrier": "look at the port: is it enabled, is its cable plugged in?",
    "no-lease": "look at the DHCP server of that network",
    "deletion-fuse": "if that is meant: `multinic apply --allow-mass-delete`",
}


def backend(seen: Examination) -> Iterator[Finding]:
    """Report the backend in use and why, and check that it is the one that manages the host."""
    name = seen.settings.backend if seen.settings else "auto"
    found = detect(seen.host)
    chosen, why = choice.choose(name, seen.host)
    if found.name == chosen.name:
        yield Finding("backend", Level.OK, f"{chosen.name}: {found.why if why == 'configured' else why}")
    elif name == "auto":
        yield Finding("backend", Level.WARNING, f"{chosen.name}: {why}")
    else:
        words = f"{chosen.name} is configured, but this host is managed by {found.name}: {found.why}"
        yield Finding("backend", Level.WARNING, words, 'set backend = "auto" unless that is meant')


def leftovers(seen: Examination) -> Iterator[Finding]:
    """Look for files of ours that only another backend reads."""
    chosen, _ = choice.choose(seen.settings.backend if seen.settings else "auto", seen.host)
    left = choice.leftovers(seen.host, chosen)
    for name, paths in left.items():
        words = f"files of backend {name} are left: {', '.join(paths)}; two backends would configure one link"
        yield Finding("leftovers", Level.PROBLEM, words, "`multinic purge`, then `multinic apply`")
    if not left:
        yield Finding("leftovers", Level.OK, "no other backend has files of ours")


def configuration(seen: Examination) -> Iterator[Finding]:
    """Look for a file that the network service cannot read: the next change, or boot, would meet it."""
    chosen, _ = choice.choose(seen.settings.backend if seen.settings else "auto", seen.host)
    if chosen.check(seen.host):
        yield Finding("configuration", Level.OK, f"{chosen.name} can read all of its files")


def plan(seen: Examination) -> Iterator[Finding]:
    """Make a plan, and report the interfaces that no pass can repair."""
    if seen.settings is None:
        return
    if seen.database is not None and seen.answer is not None:
        view = look(seen.settings, seen.host, seen.database, seen.answer)
    else:
        view = look_without_database(seen.settings, seen.host)
        yield Finding("interfaces", Level.NOTE, "without a database: compared with the last known good state")
    seen.view = view
    yield from _held_up(view.plan.interfaces)
    if pending := view.plan.pending:
        names = ", ".join(interface.name for interface in pending)
        words = f"to be changed by the next pass: {names}"
        yield Finding("interfaces", Level.NOTE, words, "`multinic plan` shows it")
    yield from _unplanned_and_good(view)
    yield from _writable_files(view)


def _held_up(interfaces: Iterable[Interface]) -> Iterator[Finding]:
    """Report the interfaces that are blocked, invalid or waiting."""
    for interface in interfaces:
        blocked = interface.state is State.BLOCKED
        if interface.reason == HELD and blocked:
            words = f"{interface.name or interface.mac_text}: {interface.message}"
            known = not interface.message.endswith(NOT_KNOWN)
            hint = f"`multinic release {interface.name or interface.mac_text}` ends it" if known else ""
            yield Finding("interfaces", Level.NOTE, words, hint)
        elif blocked or interface.state is State.INVALID:
            who, why = interface.name or interface.mac_text, interface.message
            words = f"{who} is blocked: {why}" if blocked else f"{who} is invalid: {why}"
            yield Finding("interfaces", Level.PROBLEM, words, _hint(interface))
        elif interface.state is State.WAITING:
            words = f"{interface.name} waits: {interface.message}"
            yield Finding("interfaces", Level.NOTE, words, _HINTS.get(interface.reason, ""))


def _hint(interface: Interface) -> str:
    """Return what can be done about an interface that is blocked or invalid."""
    if interface.reason == "in-use" and interface.row_id is None:
        return "take away what needs the link; then it is removed"  # its row is gone already
    return _HINTS.get(interface.reason, "correct that row" if interface.state is State.INVALID else "")


def _unplanned_and_good(view: View) -> Iterator[Finding]:
    """Report links with our names that are not in the plan, and how many interfaces are as desired."""
    interfaces = view.plan.interfaces
    planned = {interface.name for interface in interfaces}
    named = [link.name for link in view.observed.links if slot_of_link(link) is not None]
    if forgotten := [name for name in named if name not in planned]:
        words = f"{', '.join(forgotten)}: has one of our names, but the record has no configuration of it"
        yield Finding("interfaces", Level.NOTE, words, "a pass with a database takes it over, or removes it")
    good = sum(1 for interface in interfaces if interface.state is State.UNCHANGED)
    if good or not (interfaces or forgotten):
        words = f"{good} as desired" if good else "none is desired, and nothing is managed"
        yield Finding("interfaces", Level.OK, words)


def _writable_files(view: View) -> Iterator[Finding]:
    """Report files of ours to which other users may write."""
    for path, mode in view.observed.modes.items():
        if view.backend.slot_of_file(path) is not None and mode & 0o022:
            words = f"others may write to {path} (mode {mode:04o})"
            yield Finding("files", Level.WARNING, words, "the next pass corrects that")


def our_links(seen: Examination) -> dict[int, str]:
    """Return the links of this host that are managed or shall be: index → name."""
    if seen.view is None:
        return {}
    found = {
        i.link.index: i.link.name
        for i in seen.view.plan.interfaces
        if i.link and i.state is not State.BLOCKED
    }
    found |= {link.index: link.name for link in seen.view.observed.links if slot_of_link(link) is not None}
    return found
