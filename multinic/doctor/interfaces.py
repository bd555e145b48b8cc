"""The backend, and what a plan says of this node's interfaces."""

from __future__ import annotations

from collections.abc import Iterator

from multinic import backend as backends
from multinic.backend.detect import detect
from multinic.doctor.finding import Finding, Level, Seen
from multinic.naming import slot_of
from multinic.plan import State
from multinic.view import look, look_back

_HINTS = {
    "in-use": "remove the other configuration, or the row",
    "ambiguous": "look at `ip -details link`: which of these links is the port?",
    "name-taken": "rename the other link",
    "incomplete-read": "correct that row",
    "deletion-fuse": "if that is meant: `multinic apply --allow-mass-delete`",
}


def backend(seen: Seen) -> Iterator[Finding]:
    """Tell which backend is used here and why, and whether it is the one that manages the host."""
    name = seen.settings.backend if seen.settings else "auto"
    found = detect(seen.host)
    chosen, why = backends.choose(name, seen.host)
    if found.name == chosen.NAME:
        yield Finding("backend", Level.OK, f"{chosen.NAME}: {found.why if why == 'configured' else why}")
    elif name == "auto":
        yield Finding("backend", Level.WARNING, f"{chosen.NAME}: {why}")
    else:
        words = f"{chosen.NAME} is configured, but this host is managed by {found.name}: {found.why}"
        yield Finding("backend", Level.WARNING, words, 'set backend = "auto" unless that is meant')


def leftovers(seen: Seen) -> Iterator[Finding]:
    """Look for files of ours that another backend than this one reads."""
    chosen, _ = backends.choose(seen.settings.backend if seen.settings else "auto", seen.host)
    left = backends.leftovers(seen.host, chosen)
    for name, paths in left.items():
        words = f"files of backend {name} are left: {', '.join(paths)}; two backends would configure one link"
        yield Finding("leftovers", Level.PROBLEM, words, "`multinic purge`, then `multinic apply`")
    if not left:
        yield Finding("leftovers", Level.OK, "no other backend has files of ours")


def plan(seen: Seen) -> Iterator[Finding]:
    """Plan, and tell what no pass can put right."""
    if seen.settings is None:
        return
    if seen.database is not None and seen.answer is not None:
        seen.view = look(seen.settings, seen.host, seen.database, seen.answer)
    else:
        seen.view = look_back(seen.settings, seen.host)
        yield Finding("interfaces", Level.NOTE, "without a database: looked at as they were last configured")
    interfaces = seen.view.plan.interfaces
    for interface in interfaces:
        if interface.state in (State.BLOCKED, State.INVALID):
            words = f"{interface.name or interface.mac_text} is {interface.state}: {interface.message}"
            hint = _HINTS.get(
                interface.reason, "correct that row" if interface.state is State.INVALID else ""
            )
            yield Finding("interfaces", Level.PROBLEM, words, hint)
        elif interface.state is State.WAITING:
            words = f"{interface.name} waits: no link has the MAC address {interface.mac_text}"
            yield Finding("interfaces", Level.NOTE, words, "plug the port in, or correct its row")
    if pending := seen.view.plan.pending:
        names = ", ".join(interface.name for interface in pending)
        words = f"to be changed by the next pass: {names}"
        yield Finding("interfaces", Level.NOTE, words, "`multinic plan` shows it")
    spoken = {interface.name for interface in interfaces}
    named = [link.name for link in seen.view.observed.links if slot_of(link.name) is not None]
    if forgotten := [name for name in named if name not in spoken]:
        words = f"{', '.join(forgotten)}: bears one of our names, and nothing is remembered of it"
        yield Finding("interfaces", Level.NOTE, words, "a pass with a database takes it over, or removes it")
    good = sum(1 for interface in interfaces if interface.state is State.UNCHANGED)
    if good or not (interfaces or forgotten):
        words = f"{good} as desired" if good else "none is desired, and nothing is managed"
        yield Finding("interfaces", Level.OK, words)
    for path, mode in seen.view.observed.modes.items():
        if slot_of_path(seen, path) and mode & 0o022:
            words = f"{path} may be written by others (mode {mode:04o})"
            yield Finding("files", Level.WARNING, words, "the next pass puts that right")


def slot_of_path(seen: Seen, path: str) -> bool:
    """Return whether a file is one of ours."""
    return seen.view is not None and seen.view.backend.slot_of_file(path) is not None


def ours(seen: Seen) -> dict[int, str]:
    """Return the links of this host that are ours or shall be: index → name."""
    if seen.view is None:
        return {}
    found = {
        i.link.index: i.link.name
        for i in seen.view.plan.interfaces
        if i.link and i.state is not State.BLOCKED
    }
    found |= {link.index: link.name for link in seen.view.observed.links if slot_of(link.name) is not None}
    return found
