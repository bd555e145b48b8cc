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

from multinic.backend import Render, Staged, networkd
from multinic.backend.detect import NETPLAN_GENERATORS, NETPLAN_SOURCES, NETWORKD, netplan_renderer, running
from multinic.errors import CommandFailed, HostError
from multinic.host import File, Host
from multinic.links import Faults, Links
from multinic.model import DesiredLink
from multinic.naming import name_of, slot_of
from multinic.paths import SCRATCH, UNFINISHED
from multinic.plan import Interface, State
from multinic.routing import default_metric

NAME = "netplan"
_MODE = 0o600  # netplan warns about anything more open, on every call

_ETC = "/etc/netplan"
_SOURCES = NETPLAN_SOURCES  # where the generator looks for YAML
_RUNTIME = "/run/systemd/network"
_UDEV_RULES = "/run/udev/rules.d"
_GENERATORS = NETPLAN_GENERATORS

_DROP_INS = "/etc/systemd/network"
_DROP_IN = re.compile(r"/etc/systemd/network/10-netplan-(multinic[0-9]+)\.network\.d/multinic\.conf")
_FILE = re.compile(r"/etc/netplan/9([0-9]+)-(multinic([0-9]+))\.yaml")
_BLAMED = re.compile(r"9[0-9]+-(multinic[0-9]+)\.yaml")


def unusable(host: Host) -> str:
    """Return why netplan cannot be used on the host; "" if it can."""
    if _generator(host) is None:
        return "netplan is not installed"
    by_name = {name: f"{source}/{name}" for source in _SOURCES for name in host.names(source)}
    paths = [path for name, path in sorted(by_name.items()) if name.endswith(".yaml")]
    if netplan_renderer([host.read(path, follow=True) or "" for path in paths]) != "networkd":
        return "netplan's renderer is NetworkManager on this host: set backend to networkmanager"
    if not running(host, NETWORKD):
        return "systemd-networkd is not running"
    return ""


def mode(path: str) -> int:
    """Return 0600; networkd, which is not root, reads the drop-ins."""
    return 0o644 if _DROP_IN.fullmatch(path) else _MODE


def lacks(host: Host) -> Mapping[str, str]:
    """Return what the host's networkd cannot do: netplan itself has it all."""
    return networkd.lacks(host)


def tuning(link: DesiredLink) -> Mapping[str, str]:  # noqa: ARG001
    """Return nothing: networkd sees to advertisements and link-local addresses itself."""
    return {}


def files(name: str, link: DesiredLink, render: Render) -> Mapping[str, str]:
    """Return the file of an interface, and a drop-in for networkd where netplan lacks words for an option."""
    context = {"name": name, "link": link, "metric": default_metric(link, slot_of(name) or 0)}
    found = {_path(name): render("netplan.yaml.j2", context)}
    if link.options.accept_ra or link.options.dhcp6:
        found[_drop_in(name)] = render("netplan-drop-in.conf.j2", context)
    return found


def slot_of_file(path: str) -> int | None:
    """Return the slot of /etc/netplan/9{N}-multinic{N}.yaml, or of the drop-in."""
    if match := _DROP_IN.fullmatch(path):
        return slot_of(match[1])
    match = _FILE.fullmatch(path)
    return slot_of(match[2]) if match and match[1] == match[3] else None


def managed(host: Host) -> Sequence[str]:
    """Return the files that are ours by name, also those of earlier agents."""
    paths = [f"{_ETC}/{name}" for name in host.names(_ETC)]
    for name in host.names(_DROP_INS):
        paths += [f"{_DROP_INS}/{name}/{inner}" for inner in _drop_ins_in(host, name)]
    return [path for path in paths if slot_of_file(path) is not None]


def _drop_ins_in(host: Host, directory: str) -> Sequence[str]:
    ours = directory.startswith("10-netplan-multinic") and directory.endswith(".network.d")
    return host.names(f"{_DROP_INS}/{directory}") if ours else ()


def foreign(host: Host) -> Sequence[str]:
    """Return all other netplan files."""
    paths = [f"{source}/{name}" for source in _SOURCES for name in host.names(source)]
    return [path for path in paths if path.endswith(".yaml") and slot_of_file(path) is None]


def watched(host: Host) -> Sequence[str]:
    """Return netplan's directories and parts, our files, and what the generator made of them."""
    ours = managed(host)
    made = [path for own in ours for path in runtime_paths(name_of(slot_of_file(own) or 0))]
    return (*_SOURCES, _DROP_INS, *ours, *made)


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
    """Install the generator's results, free and rename links, and let networkd read it all once."""
    for path, file in sorted(staged.runtime.items()):
        host.restore(path, file)
    changed = {interface.key for interface in interfaces if _is_reread(interface, staged)}
    networkd.take_effect(host, links, interfaces, changed, faults)


def _is_reread(interface: Interface, staged: Staged) -> bool:
    """Return whether networkd has new files to read of an interface: it then configures the link anew."""
    changed = {change.path for change in interface.files} | staged.runtime.keys()
    return not changed.isdisjoint({_drop_in(interface.name), *runtime_paths(interface.name)})


def reload(host: Host, names: Sequence[str]) -> None:
    """Have udevd and networkd read their files again."""
    networkd.reload(host, names)


def _generator(host: Host) -> str | None:
    return next((path for path in _GENERATORS if host.present(path)), None)


def _drop_in(name: str) -> str:
    return f"{_DROP_INS}/10-netplan-{name}.network.d/multinic.conf"


def _path(name: str) -> str:
    return f"{_ETC}/9{slot_of(name)}-{name}.yaml"
