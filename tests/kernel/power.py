"""Cut the power at every moment of a change, and see what the next start makes of what the disk kept.

    python -m tests.kernel.power create

Of everything that the program writes, only what was fsynced is sure to be there afterwards: the content of a
file that was synced itself, and a name (made, replaced or removed) whose directory was. The rest may be lost
or not, each by itself: every combination is tried, after every call that changes the disk. Then the host
boots from that: /run is empty, links are plugged in anew, the boot has another number.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.judging import THOROUGH, files_below, in_child, judge_all, named, picked
from tests.kernel import stand_in
from tests.kernel.interrupting import AT_MOST, RECONCILE, RECOVER, ROOT, Machine
from tests.killing import WHOLE, End, Run, run, warm_up
from tests.namespaces import Namespace
from tests.scratch import in_memory

RUNTIME = ("run/networkd.json",)
ANOTHER_BOOT = "00000000-0000-4000-8000-000000000000"

# What may be lost: directory (by inode) and name, or the content of a file (by inode).
Doubt = tuple[int, str]


@dataclass
class Disk:
    """What is on disk for good below a root, next to what a running system sees; /run is never on disk."""

    root: Path
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    """Directory → name → inode, as of its last fsync."""
    contents: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    """File → content and mode, as of its last fsync."""

    def __post_init__(self) -> None:
        for path in (self.root, *self._below(self.root)):
            self._sync(path)

    def _below(self, directory: Path) -> Iterator[Path]:
        for path in sorted(directory.iterdir()):
            if path != self.root / "run":
                yield path
                if path.is_dir():
                    yield from self._below(path)

    def _sync(self, path: Path) -> None:
        if path.is_dir():
            self.names[path.stat().st_ino] = self._listing(path)
        else:
            self.contents[path.stat().st_ino] = self._content(path)

    def _listing(self, directory: Path) -> dict[str, int]:
        skipped = {self.root / "run"}
        return {path.name: path.lstat().st_ino for path in directory.iterdir() if path not in skipped}

    @staticmethod
    def _content(path: Path) -> tuple[bytes, int]:
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)

    def synced(self, descriptor: int) -> None:
        """An fsync was done."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_relative_to(self.root) and not path.is_relative_to(self.root / "run"):
            self._sync(path)

    def after_power_loss(self) -> Iterator[dict[str, tuple[bytes, int]]]:
        """Yield every set of files (path → content and mode) that a loss of power may leave."""
        doubts = list(self._doubts())
        assert len(doubts) <= 8, f"so much is not synced: {doubts}"
        for count in range(len(doubts) + 1):
            for survivors in itertools.combinations(doubts, count):
                yield dict(self._files(self.root, "", set(survivors)))

    def _doubts(self) -> Iterator[Doubt]:
        for path in (self.root, *self._below(self.root)):
            inode = path.stat().st_ino
            if path.is_dir():
                here, kept = self._listing(path), self.names.get(inode, {})
                yield from (
                    (inode, name) for name in here.keys() | kept.keys() if here.get(name) != kept.get(name)
                )
            elif self.contents.get(inode) != self._content(path):
                yield inode, ""

    def _files(self, directory: Path, prefix: str, survivors: set[Doubt]) -> Iterator[tuple[str, Any]]:
        inode = directory.stat().st_ino
        here, kept = self._listing(directory), self.names.get(inode, {})
        for name in sorted(here.keys() | kept.keys()):
            number = here.get(name) if (inode, name) in survivors else kept.get(name)
            if number is None:
                continue
            path = directory / name
            if path.is_dir():
                yield from self._files(path, f"{prefix}{name}/", survivors)
            elif number in self.names and not path.exists():  # a directory that was removed, but not for good
                yield from self._kept(number, f"{prefix}{name}/")
            elif here.get(name) == number and (number, "") in survivors:
                yield f"{prefix}{name}", self._content(path)
            else:
                yield f"{prefix}{name}", self.contents.get(number, (b"", 0o600))

    def _kept(self, directory: int, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, number in self.names[directory].items():
            if number in self.names:
                yield from self._kept(number, f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", self.contents.get(number, (b"", 0o600))


class Recorder:
    """Sits in the program's process between it and the disk, and notes what a cut would leave."""

    def __init__(self, root: Path, cuts: Path) -> None:
        self.root, self.cuts = root, cuts
        self.seen: set[str] = set()
        self.moment = ""
        self.disk: Disk | None = None

    def note(self) -> str:
        """The probe: begin at the first effect."""
        if self.disk is None:
            self.disk = Disk(self.root)
            for name in ("open", "replace", "unlink", "mkdir", "rmdir", "chmod", "fchmod", "fsync", "close"):
                setattr(os, name, self._recorded(name, getattr(os, name)))
        self.cut()
        return ""

    def _recorded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            if name == "close":
                self.cut()  # whatever was written since the last call
            answer = call(*arguments, **options)
            if name == "fsync" and self.disk:
                self.disk.synced(arguments[0])
            self.cut()
            return answer

        return recorded

    def cut(self) -> None:
        """Note what a loss of power would leave at this moment."""
        disk, self.disk = self.disk, None  # what happens in here is no effect of the program
        try:
            for files in disk.after_power_loss() if disk else ():
                digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
                if digest not in self.seen:
                    self.seen.add(digest)
                    place = self.cuts / f"{len(self.seen):04}"
                    for name, (content, mode) in files.items():
                        path = place / name
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(content)
                        path.chmod(mode)
                    place.mkdir(parents=True, exist_ok=True)
        finally:
            self.disk = disk


class Host(Machine):
    """A host with a stand-in for netplan."""

    def __init__(self, directory: Path, ports: tuple[int, ...] = ()) -> None:
        super().__init__(directory)
        for number in ports:
            self.plug(number)
        for path in ("usr/libexec/netplan", "run/systemd/units", "etc/netplan"):
            (self.root / path).mkdir(parents=True)
        (self.root / "usr/libexec/netplan/generate").touch()
        (self.root / "run/systemd/units/invocation:systemd-networkd.service").symlink_to("0" * 32)

    def multinic(self, *arguments: str, end: End = WHOLE, note: Callable[[], str] | None = None) -> Run:
        """Run the program in this namespace, with the stand-in's commands."""
        os.chdir(self.directory)  # so that the database of a copied host has the name that it had
        url = "sqlite:////proc/self/cwd/multinic.db"
        options = ["--database-url", url, "--node", "node1", "--backend", "netplan", "--root", str(self.root)]
        prefix = (sys.executable, "-I", stand_in.__file__, str(self.root))
        environment = {"NO_COLOR": "1", "MULTINIC_VERIFY_TIMEOUT": "4s"}
        return run([*options, *arguments], end, environment, note, prefix)

    def boot(self, files: Path, database: Path) -> None:
        """Start from what the disk kept, as another boot than the one in which it was written."""
        this_boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        shutil.copytree(files, self.root, dirs_exist_ok=True)
        for path in (self.root / "var/lib/multinic").glob("*"):
            path.write_bytes(path.read_bytes().replace(this_boot.encode(), ANOTHER_BOOT.encode()))
        self.database.close()
        shutil.copy(database, self.directory / "multinic.db")
        stand_in.boot(self.root)

    def files(self) -> dict[str, Any]:
        """Return all files but the program's memory and networkd's; and what is left over."""
        return {name: text for name, text in files_below(self.root).items() if name not in RUNTIME}


@dataclass(frozen=True)
class Scenario:
    """Which ports the host has, what is there before, what changes, and by which command."""

    ports: tuple[int, ...]
    before: Callable[[Host], None]
    change: Callable[[Host], None]
    command: tuple[str, ...] = RECONCILE


def attached(*numbers: int) -> Callable[[Host], None]:
    """Attach these ports, and configure them."""

    def attach(host: Host) -> None:
        for number in numbers:
            host.attach(number)
        if numbers:
            host.converge()

    return attach


def much(host: Host) -> None:
    """One goes and another port takes its slot, one changes, one is new."""
    host.detach(1)
    host.update(2, address="10.0.0.99", mtu=1300)
    host.attach(4)
    host.attach(5)


def much_done(host: Host) -> None:
    attached(1, 2, 3)(host)
    much(host)
    host.converge()


def nothing(_: Host) -> None: ...


SCENARIOS = {
    "create": Scenario((1, 2), nothing, lambda host: (host.attach(1), host.attach(2))),
    "update": Scenario((1, 2), attached(1, 2), lambda host: host.update(2, address="10.0.0.99", mtu=1300)),
    "delete": Scenario((1, 2, 3), attached(1, 2, 3), lambda host: host.detach(2)),
    "all at once": Scenario((1, 2, 3, 4, 5), attached(1, 2, 3), much),
    "rollback": Scenario((1, 2, 3, 4, 5), much_done, nothing, ("rollback",)),
}


@dataclass(frozen=True)
class Survey:
    """A scenario that nothing disturbs, and what cuts at every moment of it would leave."""

    old: dict[str, Any]
    new: dict[str, Any]
    final: dict[str, Any]
    links: dict[str, Any]
    cuts: list[str]


def survey(scenario: Scenario, directory: Path) -> dict[str, Any]:
    """Run a scenario undisturbed."""
    host = Host(directory / "undisturbed", scenario.ports)
    scenario.before(host)
    scenario.change(host)
    old = host.files()
    shutil.copy(host.directory / "multinic.db", directory / "multinic.db")
    cuts = directory / "cuts"
    cuts.mkdir()
    recorder = Recorder(host.root, cuts)
    done = host.multinic(*scenario.command, note=recorder.note)
    assert done.status == 0, done.said
    new = host.files()
    host.converge()
    links = {key: value for key, value in host.state().items() if key.startswith("link ")}
    return vars(Survey(old, new, host.files(), links, sorted(str(path) for path in cuts.iterdir())))


def judge(scenario: Scenario, cut: Path, known: Survey, directory: Path, *, recover: bool) -> str:
    """Boot from what a cut left; return "old" or "new" for what the next start makes of it, or a fault."""
    host = Host(directory, scenario.ports)
    host.boot(cut, cut.parents[1] / "multinic.db")
    outcome = "new"
    if recover:
        recovered = host.multinic(*RECOVER)
        if recovered.status:
            return f"could not recover: {recovered.said}"
        outcome = named(host.files(), known.old, known.new)
        if outcome not in ("old", "new"):
            return f"{recovered.said}{outcome}"
    following = host.multinic(*RECONCILE)
    if following.status:
        return f"the next pass failed: {following.said}"
    if (last := named(host.files(), known.final, known.final)) != "old":
        return f"the next pass did not converge: {last}"
    links = {key: value for key, value in host.state().items() if key.startswith("link ")}
    if (last := named(links, known.links, known.links)) != "old":
        return f"the next pass did not converge: {last}"
    silent = host.multinic(*RECONCILE)
    if silent.status or silent.said:
        return f"the pass after that was not silent: {silent.said}"
    return outcome


def cut_power(namespace: Namespace, scenario: str) -> list[dict[str, Any]]:
    """Cut the power at every moment of a scenario; return every case."""
    environment = {"PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    environment |= {"MULTINIC_TEST_THOROUGH": "1" * THOROUGH}
    done = namespace.run(sys.executable, "-m", "tests.kernel.power", scenario, env=environment, timeout=900)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Cut the power at every moment of one scenario; print one JSON line a case."""
    scenario = SCENARIOS[sys.argv[1]]
    warm_up()
    with in_memory("interrupted") as directory:
        known = Survey(**in_child(lambda: survey(scenario, directory)))
        todo = [(Path(cut), recover) for cut, recover in picked(known.cuts, AT_MOST)]

        def judged(case: tuple[Path, bool], place: Path) -> dict[str, Any]:
            cut, recover = case
            outcome = judge(scenario, cut, known, place, recover=recover)
            return {"cut": cut.name, "recover": recover, "outcome": outcome}

        judge_all(todo, judged, directory)


if __name__ == "__main__":
    main()
