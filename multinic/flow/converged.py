"""Know at once that nothing has changed since the host converged.

A plan is a pure function of what the database says and of what the host is. So when all that went
into it is the same as when it was found to have nothing left to do, there is nothing to do now.
This module remembers what went in (never what came out of it, but for the exit status) and
compares: the rows as they came, the kernel's links that matter, and the identity (inode, size,
mode, times) of every file and directory that was looked at. Anything else than full agreement
means a full pass, so a lost or damaged memory costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from multinic import __version__
from multinic.database.statement import Answer, Shape, shape_of
from multinic.flow import tables
from multinic.flow.tables import ReadTables
from multinic.host.host import Host
from multinic.values.errors import Exit, TooLarge
from multinic.values.paths import CONVERGED, HOLDS, RECORD, TEMPLATES
from multinic.values.settings import Settings

if TYPE_CHECKING:
    from multinic.flow.view import View
    from multinic.report.report import Report

_FORMAT = "multinic-converged-4"
# Columns that say what we reported, or when; they are compared apart or not at all.
_REPORTED = ("netplan_success", "modified_at")
_TRUSTED = 300.0  # seconds: then a full pass gives a sign of life, and finds what might have been missed
_PRESENCE = "?"  # before a path of which only matters whether it is there


class Fingerprint(NamedTuple):
    """What is remembered: digests of all inputs, which links and files are among them, the outcome."""

    rows: str
    """A digest of what the database said."""
    digest: str
    exit: Exit
    shape: Shape
    """What was believed of the tables."""
    flags: str
    """What `netplan_success` of each row must read, as text."""
    macs: frozenset[str]
    more: str
    """What else of the kernel went in (tables.more_of): routing tables, protocols of routes, fields of links.

    "" for nothing.
    """
    paths: tuple[str, ...]


def load(host: Host) -> Fingerprint | None:
    """Return what is remembered, None if there is nothing that can be read."""
    try:
        age = time.time() - os.lstat(host.path(CONVERGED)).st_mtime
        if not -1 < age < _TRUSTED:  # from the future: the clock was wrong
            return None
        form, rows, digest, status, shape, flags, macs, more, *paths = _lines(host)
        if form != _FORMAT:
            return None
        outcome, known = Exit(int(status)), frozenset(macs.split())
        tables.parsed(more)
        return Fingerprint(rows, digest, outcome, shape_of(shape), flags, known, more, tuple(paths))
    except (OSError, ValueError, TooLarge):
        return None


def _lines(host: Host) -> list[str]:
    return (host.read(CONVERGED) or "").splitlines()


def still(
    known: Fingerprint,
    settings: Settings,
    host: Host,
    answer: Answer,
    read_tables: ReadTables = tables.read,
) -> bool:
    """Return whether every input of the last plan is the same now. Raises HostError."""
    reported, rows = _parted(answer)
    if _flags(reported) != known.flags or _digest(rows) != known.rows:
        return False
    kernel = _kernel(known.macs, known.more, read_tables)
    return known.digest == _digest_of_host(settings, host, kernel, known.paths)


def remember(view: View, report: Report, *, written: bool, shape: Shape) -> None:
    """Remember the inputs of a pass that left nothing to do; forget them after any other."""
    from functools import partial

    from multinic.kernel.dumps import KeepingReader
    from multinic.values.plan import State

    unsettled = {result.state for result in report.results} & {State.FAILED, State.BLOCKED}
    partly = view.past.only is not None  # what was not selected waits for the next pass
    # Reads of a mass deletion are counted by full passes only.
    if not written or unsettled or partly or view.record.mass_deletion:
        forget(view.host)
        return
    good = {r.interface.row_id for r in report.results if r.state in (State.CONVERGED, State.UNCHANGED)}
    reported, rows = _parted(view.answer)
    asked_for = {flag.row_id for flag in view.desired.flags}
    # A row that is not desired (soft-deleted) keeps the flag that it has.
    flags = _flags((row_id, row_id in good if row_id in asked_for else flag) for row_id, flag in reported)
    macs = {str(mac) for mac in view.record.entries} | {i.mac_text for i in view.plan.interfaces if i.mac}
    paths = _paths(view)
    more = _more(view, frozenset(macs))
    kernel = _kernel(frozenset(macs), more, partial(tables.read, reader=KeepingReader))
    lines = [
        _FORMAT,
        _digest(rows),
        _digest_of_host(view.settings, view.host, kernel, paths),
        str(int(report.exit)),
        shape.word(),
        flags,
        " ".join(sorted(macs)),
        more,
        *paths,
    ]
    text = "\n".join(lines) + "\n"
    # Somebody changed something since it was verified; or a path has line ends or odd bytes in it, which this
    # format does not hold.
    if not view.replan().empty or not all(line.isprintable() for line in lines):
        forget(view.host)
        return
    if load(view.host) is None or view.host.read(CONVERGED) != text:
        view.host.write(CONVERGED, text, 0o600)


def forget(host: Host) -> None:
    """Make the next pass a full one."""
    if host.present(CONVERGED):
        host.remove(CONVERGED)


def _parted(answer: Answer) -> tuple[list[tuple[Any, Any]], str]:
    """Return the rows' ids with their flags and, apart, everything else of the rows."""
    columns = answer.columns[: answer.columns.index("_subnet")]
    row_id, flag = columns.index("id"), columns.index("netplan_success")
    left_out = {columns.index(name) for name in _REPORTED if name in columns}
    rest = [[value for at, value in enumerate(row) if at not in left_out] for row in answer.rows]
    return [(row[row_id], row[flag]) for row in answer.rows], repr((answer.columns, rest))


def _flags(values: Iterable[tuple[Any, Any]]) -> str:
    return " ".join(sorted(f"{row_id!r}={_flag(flag)}" for row_id, flag in values))


def _flag(value: Any) -> str:
    """Return a flag as text, read as `columns.as_flag` reads it: a BIT column holds bytes, another one text.

    Any other value is kept as text, so that it differs from 0 and 1.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return str(int(value.strip("\0 ") not in ("", "0")))
    return str(int(value)) if value in (0, 1) else repr(value)


def _more(view: View, macs: frozenset[str]) -> str:
    """Return what the kernel must be asked besides its links, for hosts with routes or properties in use.

    Of routes through our links: those of the protocols that they have now. With another, a route of somebody
    else may come, which the next full pass sees.
    """
    from multinic.kernel.dumps import KeepingReader

    fields = {str(mac): names for mac, names in view.asked.fields.items()}
    wishes = [interface.desired for interface in view.plan.interfaces if interface.desired]
    wishes += [entry.applied for entry in view.record.entries.values() if entry.applied]
    used = {route.table for wish in wishes for route in wish.routes}
    used |= {rule.table for wish in wishes for rule in wish.rules}
    if not (fields or view.asked.routing):
        return ""
    if not view.asked.routing:
        return tables.more_of(None, (), fields)
    return tables.more_of(used, tables.protocols(macs, KeepingReader), fields)


def _kernel(macs: frozenset[str], more: str, read_tables: ReadTables) -> str:
    """Return what a plan looks at in the kernel, without what changes by itself."""
    found = read_tables(macs, more)
    return f"{found.text} {tables.properties(found, more)!r}"


def _paths(view: View) -> tuple[str, ...]:
    """Return every path whose content, or whose listing, went into the plan."""
    from multinic.backend.choice import NAMES, named
    from multinic.backend.detect import detect

    watched = {RECORD, HOLDS, TEMPLATES, *_overrides(view.host), *view.observed.foreign}
    for name in NAMES:  # a file of ours for another backend would be two masters of one link
        watched.update(named(name).watched(view.host))
    detected = detect(view.host)  # all that the choice of the backend came from
    watched.update(detected.contents)
    watched.update(f"{_PRESENCE}{path}" for path in detected.presence)
    for interface in view.plan.interfaces:
        if interface.link and interface.mac in view.asked.leases:
            watched.update(view.backend.lease_files(interface.link.index, interface.name))
        watched.update(change.path for change in interface.files)
    watched.update(path for rendered in view.record.rendered.values() for path in rendered.files)
    return tuple(sorted(watched))


def _overrides(host: Host) -> Iterable[str]:
    """Yield the operator's templates, and the directories of backends that they are in."""
    for name in host.names(TEMPLATES):
        yield f"{TEMPLATES}/{name}"
        yield from (f"{TEMPLATES}/{name}/{inner}" for inner in host.names(f"{TEMPLATES}/{name}"))


def _digest_of_host(settings: Settings, host: Host, kernel: str, paths: tuple[str, ...]) -> str:
    own = (__version__, settings.node, settings.backend, settings.max_interfaces, os.uname().nodename)
    policy = (settings.database.ignore_deleted_at, settings.database.url, settings.routing_table_base)
    inputs = (own, policy, [_state(host, path) for path in paths])
    return _digest(f"{inputs!r}\n{kernel}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _state(host: Host, path: str) -> object:
    if path.startswith(_PRESENCE):
        return host.present(path.removeprefix(_PRESENCE))
    return _identity(host.path(path))


def _identity(path: str) -> tuple[int, ...] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mode, found.st_uid, found.st_mtime_ns, found.st_ctime_ns)
