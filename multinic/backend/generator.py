"""netplan's own generator, run in a scratch root: there a bad file shows, and from there our results come.

It never runs on the host itself: every run touches the files of all links.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from multinic.backend import Staged
from multinic.backend.detect import NETPLAN_GENERATORS
from multinic.errors import CommandFailed, HostError
from multinic.host import File, Host
from multinic.plan import Interface, State

_RUNTIME = "/run/systemd/network"
_UDEV_RULES = "/run/udev/rules.d"
_BLAMED = re.compile(r"9[0-9]+-(multinic[0-9]+)\.yaml")


def program(host: Host) -> str | None:
    """Return where the generator is on the host; None where netplan is not installed."""
    return next((path for path in NETPLAN_GENERATORS if host.present(path)), None)


def runtime_paths(name: str) -> tuple[str, ...]:
    """Return what the generator makes of one interface's file, for networkd and for udev."""
    return (
        f"{_RUNTIME}/10-netplan-{name}.link",
        f"{_RUNTIME}/10-netplan-{name}.network",
        f"{_UDEV_RULES}/99-netplan-{name}.rules",
    )


def stage(
    host: Host, interfaces: Sequence[Interface], foreign: Sequence[str], managed: Sequence[str]
) -> Staged:
    """Run the generator over a copy of these files with ours as they shall be.

    A file that it cannot read is blamed on its interface, left as it was, and the rest tried
    again. Raises HostError when the fault is in none of ours.
    """
    refused: dict[str, str] = {}
    while True:
        candidates = [interface for interface in interfaces if interface.key not in refused]
        if not candidates:
            return Staged({}, refused)
        with host.scratch() as inside:
            root = Path(host.path(inside))
            _copy_sources(host, root, candidates, foreign, managed)
            try:
                host.run(program(host) or "", "--root-dir", inside, changes=False)
            except CommandFailed as e:
                refused.update(_blame(e, candidates))
                continue
            if unmade := _unmade(root, candidates):
                refused.update(unmade)
                continue
            return Staged(_results(host, root, candidates), refused)


def _unmade(root: Path, candidates: Sequence[Interface]) -> dict[str, str]:
    """Return who is without a result, whatever the generator said: networkd would drop its link."""
    without = [
        interface
        for interface in candidates
        if interface.state is not State.DELETE
        and Host(str(root)).file(runtime_paths(interface.name)[1]) is None
    ]
    return {interface.key: "its generator made nothing of it" for interface in without}


def _blame(error: CommandFailed, candidates: Sequence[Interface]) -> dict[str, str]:
    """Return whose file the generator complains of, by the file name in its message."""
    if error.status is None:  # it never said anything: nobody's file is at fault
        raise error
    named = _BLAMED.search(error.stderr)
    blamed = [
        i for i in candidates if named and i.name == named[1] and i.files and i.state is not State.DELETE
    ]
    if not blamed:
        raise HostError(
            f"netplan cannot read this host's configuration: {_words(error.stderr) or error}",
            "correct that file; until then multinic changes nothing here, and the next boot has no network",
        ) from error
    return {interface.key: _words(error.stderr) for interface in blamed}


def _words(stderr: str) -> str:
    """Return the generator's message without the scratch directory in front of the file."""
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
    """Return what /run/systemd/network shall hold of the changed interfaces."""
    made = Host(str(root))
    found: dict[str, File | None] = {}
    for interface in candidates:
        for path in runtime_paths(interface.name):
            found[path] = made.file(path)
    return {path: file for path, file in found.items() if file != host.file(path)}
