"""netplan with systemd-networkd: one file a link under /etc/netplan, activated without `netplan apply`.

`netplan apply` reconfigures every link of the host. Instead its generator runs in a scratch root,
once for all changes; only our own results go to /run/systemd/network; links are renamed by
netlink; then one `networkctl reload`. Links of others see no event. At the next boot the
generator makes the same of /etc/netplan. docs/backends.md has the measurements.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from multinic.backend import Render, Staged
from multinic.backend.detect import NETPLAN_GENERATORS, NETPLAN_SOURCES, NETWORKD, running
from multinic.errors import CommandFailed, HostError
from multinic.host import File, Host
from multinic.links import Faults, Links, converge, free, kept, rename_pending, restore_mtu
from multinic.model import DesiredLink
from multinic.naming import name_of, slot_of
from multinic.paths import SCRATCH, UNFINISHED
from multinic.plan import Interface, State

NAME = "netplan"
_MODE = 0o600  # netplan warns about anything more open, on every call

_ETC = "/etc/netplan"
_SOURCES = NETPLAN_SOURCES  # where the generator looks for YAML
_RUNTIME = "/run/systemd/network"
_UDEV_RULES = "/run/udev/rules.d"
_GENERATORS = NETPLAN_GENERATORS

_FILE = re.compile(r"/etc/netplan/9([0-9]+)-(multinic([0-9]+))\.yaml")
_BLAMED = re.compile(r"9[0-9]+-(multinic[0-9]+)\.yaml")


def unusable(host: Host) -> str:
    """Return why netplan cannot be used on the host; "" if it can."""
    if _generator(host) is None:
        return "netplan is not installed"
    if not running(host, NETWORKD):
        return "systemd-networkd is not running"
    return ""


def mode(path: str) -> int:  # noqa: ARG001
    """Return 0600."""
    return _MODE


def lacks(host: Host) -> Mapping[str, str]:  # noqa: ARG001
    """Return nothing: netplan and networkd have it all."""
    return {}


def tuning(link: DesiredLink) -> Mapping[str, str]:  # noqa: ARG001
    """Return nothing: networkd sees to advertisements and link-local addresses itself."""
    return {}


def files(name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
    """Return the one file of an interface."""
    return {_path(name): render("netplan.yaml.j2", {"name": name, "link": link})}


def slot_of_file(path: str) -> int | None:
    """Return the slot of /etc/netplan/9{N}-multinic{N}.yaml."""
    match = _FILE.fullmatch(path)
    return slot_of(match[2]) if match and match[1] == match[3] else None


def managed(host: Host) -> Sequence[str]:
    """Return the files that are ours by name, also those of earlier agents."""
    return [path for name in host.names(_ETC) if slot_of_file(path := f"{_ETC}/{name}") is not None]


def foreign(host: Host) -> Sequence[str]:
    """Return all other netplan files."""
    paths = [f"{source}/{name}" for source in _SOURCES for name in host.names(source)]
    return [path for path in paths if path.endswith(".yaml") and slot_of_file(path) is None]


def watched(host: Host) -> Sequence[str]:
    """Return netplan's directories and parts, our files, and what the generator made of them."""
    ours = managed(host)
    made = [path for own in ours for path in runtime_paths(name_of(slot_of_file(own) or 0))]
    return (*_SOURCES, *ours, *made)


def stage(host: Host, interfaces: Sequence[Interface]) -> Staged:
    """Run the generator over a copy of the host's files with ours as they shall be.

    A file that it cannot read is blamed on its interface, left as it was, and the rest tried
    again. Raises HostError when the fault is in none of ours.
    """
    refused: dict[str, str] = {}
    while True:
        candidates = [interface for interface in interfaces if interface.key not in refused]
        if not candidates:
            return Staged({}, refused)
        with _scratch(host) as (root, inside):
            _copy_sources(host, root, candidates)
            try:
                host.run(_generator(host) or "", "--root-dir", inside, changes=False)
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


@contextmanager
def _scratch(host: Host) -> Iterator[tuple[Path, str]]:
    """Yield an empty directory in the host's /run: as this process sees it, and as the host does."""
    directory = Path(tempfile.mkdtemp(UNFINISHED, "scratch-", host.directory(SCRATCH)))
    try:
        yield directory, f"{SCRATCH}/{directory.name}"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _copy_sources(host: Host, root: Path, candidates: Sequence[Interface]) -> None:
    texts: dict[str, File | None] = {path: host.file(path, follow=True) for path in foreign(host)}
    texts |= {path: host.file(path) for path in managed(host)}
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
        target.chmod(_MODE)


def _results(host: Host, root: Path, candidates: Sequence[Interface]) -> dict[str, File | None]:
    """Return what /run/systemd/network shall hold of the changed interfaces."""
    made = Host(str(root))
    found: dict[str, File | None] = {}
    for interface in candidates:
        for path in runtime_paths(interface.name):
            found[path] = made.file(path)
    return {path: file for path, file in found.items() if file != host.file(path)}


def runtime_paths(name: str) -> tuple[str, ...]:
    """Return what the generator makes of one interface's file, for networkd and for udev."""
    return (
        f"{_RUNTIME}/10-netplan-{name}.link",
        f"{_RUNTIME}/10-netplan-{name}.network",
        f"{_UDEV_RULES}/99-netplan-{name}.rules",
    )


def activate(
    host: Host, links: Links, interfaces: Sequence[Interface], staged: Staged, faults: Faults
) -> None:
    """Install the generator's results, free and rename links, and let networkd read it all once.

    What merely drifted in the kernel, with its file intact, networkd does not look at again:
    that is repaired by netlink, and only that.
    """
    for path, file in sorted(staged.runtime.items()):
        host.restore(path, file)
    if staged.runtime:
        _reload_udev(host)
    for interface in interfaces:
        if interface.state is State.DELETE:
            with faults.of(interface):
                free(links, interface)
    rename_pending(links, interfaces, faults)
    if staged.runtime:
        host.run("networkctl", "reload")
    for interface in interfaces:
        by_networkd = staged.runtime.keys() & set(runtime_paths(interface.name))
        if interface.state is not State.DELETE and not by_networkd and interface.key not in faults:
            with faults.of(interface):
                converge(links, interface)
        elif interface.desired is not None and interface.desired.mtu is None:
            with faults.of(interface):  # networkd leaves an MTU that no file speaks of any more
                restore_mtu(links, interface)


def reload(host: Host, names: Sequence[str]) -> None:  # noqa: ARG001
    """Have udevd and networkd read their files again; networkd reconfigures links whose files changed.

    One that fails does not keep the other from it. Raises the first HostError.
    """
    faults: list[HostError] = []
    with kept(faults):
        _reload_udev(host)
    with kept(faults):
        host.run("networkctl", "reload")
    for fault in faults:
        raise fault


def _reload_udev(host: Host) -> None:
    """Have udevd read .link files again before a link is renamed or plugged in.

    By itself it does so every 3 s only: a link that came before that kept its name, and one that
    was renamed away had the settings of its removed file put on it once more.
    """
    host.run("udevadm", "control", "--reload")


def _generator(host: Host) -> str | None:
    return next((path for path in _GENERATORS if host.present(path)), None)


def _path(name: str) -> str:
    return f"{_ETC}/9{slot_of(name)}-{name}.yaml"
