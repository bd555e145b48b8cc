"""Run netplan's own generator in a scratch directory: it finds bad files, and makes the files for networkd.

It never runs on the host itself, because every run writes the files of all links.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from multinic.backend.base import Staged
from multinic.backend.detect import NETPLAN_GENERATORS
from multinic.host.host import File, Host
from multinic.host.scratch import scratch
from multinic.values.errors import CommandFailed, HostError
from multinic.values.plan import Interface, State

_RUNTIME = "/run/systemd/network"
_UDEV_RULES = "/run/udev/rules.d"
_BLAMED = re.compile(r"9[0-9]+-(multinic[0-9]+)\.yaml")


def program(host: Host) -> str | None:
    """Return the path of the generator on the host; None if netplan is not installed."""
    return next((path for path in NETPLAN_GENERATORS if host.present(path)), None)


def runtime_paths(name: str) -> tuple[str, ...]:
    """Return the paths that the generator makes from the file of one interface, for networkd and for udev."""
    return (
        f"{_RUNTIME}/10-netplan-{name}.link",
        f"{_RUNTIME}/10-netplan-{name}.network",
        f"{_UDEV_RULES}/99-netplan-{name}.rules",
    )


def stage(
    host: Host, interfaces: Sequence[Interface], foreign: Sequence[str], managed: Sequence[str]
) -> Staged:
    """Run the generator on a copy of these files, with ours as they shall be.

    If it cannot read the file of an interface, that interface is refused, its file stays as it was, and the
    rest is tried again. Raises HostError if none of our files is at fault.
    """
    refused: dict[str, str] = {}
    while True:
        candidates = [interface for interface in interfaces if interface.key not in refused]
        if not candidates:
            return Staged({}, refused)
        with scratch(host) as inside:
            root = Path(host.path(inside))
            _copy_sources(host, root, candidates, foreign, managed)
            try:
                host.run(program(host) or "", "--root-dir", inside, changes=False)
            except CommandFailed as e:
                refused.update(
                    _refused_by_name(e, candidates) or _needed(host, e, candidates, foreign, managed)
                )
                continue
            if refused_silently := _without_result(root, candidates):
                refused.update(refused_silently)
                continue
            return Staged(_results(host, root, candidates), refused)


def check(host: Host, sources: Sequence[str]) -> None:
    """Run the generator on a copy of these files as they are. Raises HostError if it cannot read one."""
    with scratch(host) as inside:
        _copy_sources(host, Path(host.path(inside)), (), sources, ())
        try:
            host.run(program(host) or "", "--root-dir", inside, changes=False)
        except CommandFailed as e:
            raise _unreadable(e) from e


def _without_result(root: Path, candidates: Sequence[Interface]) -> dict[str, str]:
    """Return the interfaces for which nothing was made, without an error: networkd would drop their links."""
    without = [
        interface
        for interface in candidates
        if interface.state is not State.DELETE
        and Host(str(root)).file(runtime_paths(interface.name)[1]) is None
    ]
    return {interface.key: "its generator made no file from it" for interface in without}


def _refused_by_name(error: CommandFailed, candidates: Sequence[Interface]) -> dict[str, str]:
    """Return the interface whose file the generator names in its message, with the message."""
    if error.status is None:  # it was killed or did not start: no file is at fault
        raise error
    named = _BLAMED.search(error.stderr)
    blamed = [
        i for i in candidates if named and i.name == named[1] and i.files and i.state is not State.DELETE
    ]
    return {interface.key: _words(error.stderr) for interface in blamed}


def _needed(
    host: Host,
    error: CommandFailed,
    candidates: Sequence[Interface],
    foreign: Sequence[str],
    managed: Sequence[str],
) -> dict[str, str]:
    """Return the interfaces whose files a file of others needs: the generator reads that one only with them.

    Raises HostError if it cannot read the files of the host as they are, or if no removal is at fault.
    """
    check(host, [*foreign, *managed])
    removing = [i for i in candidates if any(change.new is None for change in i.files)]
    if not removing:
        raise HostError(
            f"netplan cannot read the new files: {_words(error.stderr)}", "correct the template of that file"
        )
    return {i.key: _words(error.stderr) for i in removing}


def _unreadable(error: CommandFailed) -> HostError:
    return HostError(
        f"netplan cannot read this host's configuration: {_words(error.stderr) or error}",
        "correct that file; until then multinic changes nothing here, and the next boot may have no network",
    )


def _words(stderr: str) -> str:
    """Return the message of the generator, without the scratch directory before the path."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return re.sub(r"\S*(/etc/netplan/)", r"\1", " ".join(lines))[:300] or "netplan refused the file"


def _copy_sources(
    host: Host,
    root: Path,
    candidates: Sequence[Interface],
    foreign: Sequence[str],
    managed: Sequence[str],
) -> None:
    texts: dict[str, File | None] = {path: host.file(path, follow=True) for path in foreign}
    texts |= {path: host.file(path) for path in managed}
    contents = {path: found.content for path, found in texts.items() if found is not None}
    for interface in candidates:
        for change in interface.files:
            contents.pop(change.path, None)
            if change.new is not None:
                contents[change.path] = change.new.encode()
    for path, content in contents.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o600)  # netplan warns about anything more open


def _results(host: Host, root: Path, candidates: Sequence[Interface]) -> dict[str, File | None]:
    """Return the generated files of these interfaces that differ from those on the host; None: to remove."""
    made = Host(str(root))
    found: dict[str, File | None] = {}
    for interface in candidates:
        for path in runtime_paths(interface.name):
            found[path] = made.file(path)
    return {path: file for path, file in found.items() if file != host.file(path)}
