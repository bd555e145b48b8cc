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
from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from multinic import __version__
from multinic.errors import Exit, TooLarge
from multinic.host import Host
from multinic.netlink import MAIN_TABLE, Reader
from multinic.paths import CONVERGED, RECORD, TEMPLATES
from multinic.settings import Settings
from multinic.source.database import Answer

if TYPE_CHECKING:
    from multinic.report import Report
    from multinic.view import View

_FORMAT = "multinic-converged-2"
# Columns that say what we reported, or when; they are compared apart or not at all.
_REPORTED = ("netplan_success", "modified_at")
_TRUSTED = 300.0  # seconds: then a full pass gives a sign of life, and finds what might have been missed
_PRESENCE = "?"  # before a path of which only matters whether it is there
_LINK_SCOPE = 253  # RT_SCOPE_LINK: such addresses come and go by themselves
_LOCAL_TABLE = 255  # RT_TABLE_LOCAL: follows from addresses
_BY_THEMSELVES = (2, 9, 16)  # RTPROT_KERNEL, RA, DHCP


class Known(NamedTuple):
    """What is remembered: a digest of all inputs, which links and files are among them, the outcome."""

    digest: str
    exit: Exit
    without_subnets: bool
    flags: str
    """What `netplan_success` of each row must read, as text."""
    macs: frozenset[str]
    more: str
    """What else of the kernel went in, as JSON: routing tables, and fields of links; "" for nothing."""
    paths: tuple[str, ...]


def load(host: Host) -> Known | None:
    """Return what is remembered, None if there is nothing that can be read."""
    try:
        age = time.time() - os.lstat(host.path(CONVERGED)).st_mtime
        if not -1 < age < _TRUSTED:  # from the future: the clock was wrong
            return None
        form, digest, status, subnets, flags, macs, more, *paths = (host.read(CONVERGED) or "").splitlines()
        if form != _FORMAT:
            return None
        known = frozenset(macs.split())
        return Known(digest, Exit(int(status)), subnets == "no", flags, known, more, tuple(paths))
    except (OSError, ValueError, TooLarge):
        return None


def still(known: Known, settings: Settings, host: Host, answer: Answer) -> bool:
    """Return whether every input of the last plan is the same now."""
    flags, rows = _parted(answer)
    if flags != known.flags:
        return False
    kernel = _kernel(known.macs, known.more)
    return known.digest == _digest(settings, host, rows, kernel, known.paths)


def remember(view: View, report: Report, *, written: bool, without_subnets: bool) -> None:
    """Remember the inputs of a pass that left nothing to do; forget them after any other."""
    from multinic.plan import State

    unsettled = {result.state for result in report.results} & {State.FAILED, State.BLOCKED}
    if not written or unsettled or view.memory.mass_deletion:  # reads are counted by full passes only
        forget(view.host)
        return
    good = {r.interface.row_id for r in report.results if r.state in (State.CONVERGED, State.UNCHANGED)}
    _, rows = _parted(view.answer)
    flags = _flags((flag.row_id, flag.row_id in good) for flag in view.desired.flags)
    macs = {str(mac) for mac in view.memory.links} | {i.mac_text for i in view.plan.interfaces if i.mac}
    paths = _paths(view)
    more = _more(view)
    lines = [
        _FORMAT,
        _digest(view.settings, view.host, rows, _kernel(frozenset(macs), more), paths),
        str(int(report.exit)),
        "no" if without_subnets else "yes",
        flags,
        " ".join(sorted(macs)),
        more,
        *paths,
    ]
    text = "\n".join(lines) + "\n"
    # Somebody changed something since it was verified; or a path has line ends or odd bytes in it, which this
    # format does not hold.
    if not view.again().empty or not all(line.isprintable() for line in lines):
        forget(view.host)
        return
    if load(view.host) is None or view.host.read(CONVERGED) != text:
        view.host.write(CONVERGED, text, 0o600)


def forget(host: Host) -> None:
    """Make the next pass a full one."""
    if host.present(CONVERGED):
        host.remove(CONVERGED)


def _parted(answer: Answer) -> tuple[str, str]:
    """Return the rows' flags and, apart, everything else of the rows."""
    columns = answer.columns[: answer.columns.index("_subnet")]
    row_id, flag = columns.index("id"), columns.index("netplan_success")
    left_out = {columns.index(name) for name in _REPORTED if name in columns}
    rest = [[value for at, value in enumerate(row) if at not in left_out] for row in answer.rows]
    return _flags((row[row_id], row[flag]) for row in answer.rows), repr((answer.columns, rest))


def _flags(values: Iterable[tuple[Any, Any]]) -> str:
    return " ".join(sorted(f"{row_id!r}={_flag(flag)}" for row_id, flag in values))


def _flag(value: Any) -> str:
    """Return a flag as text; what is neither yes nor no is itself, and equals nothing that we want."""
    if value is None:
        return ""
    return str(int(value)) if value in (0, 1) else repr(value)


def _more(view: View) -> str:
    """Return what the kernel must be asked besides its links, for hosts with routes or properties in use."""
    import json

    fields = {str(mac): sorted(names) for mac, names in sorted(view.asked.fields.items())}
    wishes = [interface.desired for interface in view.plan.interfaces if interface.desired]
    wishes += [held.applied for held in view.memory.links.values() if held.applied]
    tables = {route.table for wish in wishes for route in wish.routes}
    tables |= {rule.table for wish in wishes for rule in wish.rules}
    if not (fields or view.asked.routing):
        return ""
    return json.dumps([view.asked.routing, sorted(tables), fields], sort_keys=True)


def _kernel(macs: frozenset[str], more: str) -> list[Any]:
    """Return what a plan looks at in the kernel, without what changes by itself."""
    with Reader() as kernel:
        links = kernel.links()
        seen = _relevant(links, macs)
        if not more:
            return seen
        import json

        from multinic import properties

        routing, tables, fields = json.loads(more)
        ours = {link["index"]: link for link in links if _matters(link, macs)}
        if routing:
            seen.append(_routes(kernel.routes(table=0), ours, tables))
            seen.append([rule["raw"] for rule in kernel.rules() if rule["table"] in tables])
    for link in ours.values():
        names = {name for mac in (link["mac"], link["permanent_mac"]) for name in fields.get(mac, ())}
        seen.append([link["name"], sorted(properties.read(link["name"], names).items())])
    return seen


def _routes(found: Iterable[Mapping[str, Any]], ours: Container[int], tables: Container[int]) -> list[Any]:
    """Return the routes of our links, and of the tables that we use, but for what follows from addresses."""
    return [
        [route[key] for key in ("to", "prefix", "via", "link", "table", "metric", "protocol")]
        for route in found
        if (route["link"] in ours or (route["table"] in tables and route["table"] != MAIN_TABLE))
        and route["table"] != _LOCAL_TABLE
        and route["protocol"] not in _BY_THEMSELVES
    ]


def _matters(link: Mapping[str, Any], macs: frozenset[str]) -> bool:
    return link["name"].startswith("multinic") or link["mac"] in macs or link["permanent_mac"] in macs


def _relevant(links: Iterable[Mapping[str, Any]], macs: frozenset[str]) -> list[Any]:
    """Return of all links those that a plan of these MACs looks at, without what changes by itself."""
    return [
        [
            *(value for key, value in link.items() if key not in ("carrier", "addresses")),
            [
                (found["address"], found["prefix"], found["dadfailed"])
                for found in link["addresses"]
                if not found["kernel"] and found["scope"] < _LINK_SCOPE
            ],
        ]
        for link in links
        if _matters(link, macs)
    ]


def _paths(view: View) -> tuple[str, ...]:
    """Return every path whose content, or whose listing, went into the plan."""
    from multinic.backend import NAMES, named
    from multinic.backend.detect import detect

    watched = {RECORD, TEMPLATES, *view.observed.foreign}
    for name in NAMES:  # a file of ours for another backend would be two masters of one link
        watched.update(named(name).watched(view.host))
    detected = detect(view.host)  # all that the choice of the backend came from
    watched.update(detected.contents)
    watched.update(f"{_PRESENCE}{path}" for path in detected.presence)
    for interface in view.plan.interfaces:
        watched.update(change.path for change in interface.files)
    watched.update(path for _, files in view.memory.rendered.values() for path in files)
    return tuple(sorted(watched))


def _digest(settings: Settings, host: Host, rows: str, links: list[Any], paths: tuple[str, ...]) -> str:
    own = (__version__, settings.node, settings.backend, settings.max_interfaces, os.uname().nodename)
    policy = (settings.database.ignore_deleted_at, settings.database.url)
    inputs = (own, policy, rows, links, [_state(host, path) for path in paths])
    return hashlib.sha256(repr(inputs).encode("utf-8", "backslashreplace")).hexdigest()


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
