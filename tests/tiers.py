"""The tiers of the tests: what each needs of the machine, and what the end of a run says about them.

A pytest plugin. A tier is a directory (or two) under tests/. What a machine cannot run is not collected and
is named, with the reason, at the end; a tier named in MULTINIC_TEST_REQUIRE (`all`, or `unit,db`) that did
not run makes the run fail.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import images, mariadb, namespaces, scratch

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

TESTS = Path(__file__).parent


def host_missing() -> str | None:
    """Say why no host can be booted here."""
    if importlib.util.find_spec("tests.host.nspawn") is None:
        return "tests/host/nspawn.py does not exist"
    return importlib.import_module("tests.host.nspawn").available()


def fleet_missing() -> str | None:
    """Say why no fleet can be served here."""
    missing = importlib.import_module("tests.fleet.ansible").missing
    helm_missing = importlib.import_module("tests.fleet.helm").missing
    return host_missing() or mariadb.missing() or missing() or helm_missing()


def k8s_missing() -> str | None:
    """Say why no cluster can be run here."""
    return str(reason) if (reason := importlib.import_module("tests.k8s.programs").missing()) else None


def web_missing() -> str | None:
    """Say why the dashboard cannot be tried here."""
    if importlib.util.find_spec("starlette") is None:
        return f"no dashboard in {sys.prefix} (scripts/setup.sh web)"
    missing = importlib.import_module("tests.web.browser").missing
    return mariadb.missing() or missing()


def vm_missing() -> str | None:
    """Say why no virtual machine can be run here."""
    return str(reason) if (reason := importlib.import_module("tests.vm.machine").missing()) else None


@dataclass
class Tier:
    """One tier: `missing` says what the machine lacks for it, or None."""

    name: str
    directories: tuple[str, ...]
    missing: Callable[[], str | None]
    chosen: bool = True
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0
    """What its tests took, one after the other."""

    @cached_property
    def reason(self) -> str | None:
        """Why this tier does not run, looked up once and only when the tier is wanted."""
        return self.missing() if self.chosen else "not chosen"

    @property
    def ran(self) -> int:
        """How many tests really ran, in this run or in one that this one goes on with."""
        return sum(self.outcomes[outcome] for outcome in ("passed", "failed", "passed before"))

    def __str__(self) -> str:
        if self.reason:
            return f"not run: {self.reason}"
        if not self.outcomes:
            return "not run: no test was collected"
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{counts} ({self.seconds:.0f} s of tests)"


class Results:
    """What `make test` keeps of a run in a directory, so that `make test-again` can go on with it."""

    def __init__(self, directory: Path, *, again: bool, worker: bool = False) -> None:
        self._worker = worker
        self._passed = directory / "passed"
        self._complete = directory / "complete"
        self._failed: set[str] = set()
        self.before = frozenset((directory / "before").read_text().splitlines() if again else ())
        """The tests that passed in the runs that this one goes on with."""

    def note(self, report: pytest.TestReport) -> None:
        """Note a test that has passed; at once, as the run may be killed."""
        if self._worker:
            return  # the main process hears of it, too
        if report.outcome != "passed":
            self._failed.add(report.nodeid)
        elif report.when == "teardown" and report.nodeid not in self._failed:
            with self._passed.open("a") as file:
                file.write(f"{report.nodeid}\n")

    def complete(self, tiers: Iterable[str]) -> None:
        """Note tiers of which every test has passed: those count for the threshold of the coverage."""
        with self._complete.open("a") as file:
            file.writelines(f"{tier}\n" for tier in tiers)


class Tiers:
    """All tiers of one run."""

    def __init__(self, chosen: str, required: str, results: Results | None = None) -> None:
        self.all = (
            Tier("unit", ("unit", "golden"), lambda: None),
            Tier("db", ("db",), mariadb.missing),
            Tier("kernel", ("kernel",), namespaces.missing),
            Tier("web", ("web",), web_missing),
            Tier("host", ("host",), host_missing),
            Tier("fleet", ("fleet",), fleet_missing),
            Tier("vm", ("vm",), vm_missing),
            Tier("k8s", ("k8s",), k8s_missing),
        )
        names = self._names(chosen, "--tiers")
        for tier in self.all:
            tier.chosen = tier.name in names
        self.required = self._names(required, "MULTINIC_TEST_REQUIRE") & names
        self.results = results
        for test in results.before if results else ():
            if (tier := self.of(TESTS.parent / test.partition("::")[0])) and tier.chosen:
                tier.outcomes["passed before"] += 1

    def _names(self, text: str, where: str) -> set[str]:
        known = {tier.name for tier in self.all}
        names = set(text.replace(",", " ").split())
        if unknown := names - known - {"all"}:
            raise pytest.UsageError(f"{where}: no tier {sorted(unknown)}; there are {sorted(known)}")
        return known if "all" in names else names

    def of(self, path: Path) -> Tier | None:
        """Return the tier that a file or directory under tests/ belongs to."""
        if not path.is_relative_to(TESTS) or path == TESTS:
            return None
        top = path.relative_to(TESTS).parts[0]
        return next((tier for tier in self.all if top in tier.directories), None)

    def failures(self) -> Iterator[str]:
        """Yield a sentence for every required tier that did not run."""
        for tier in self.all:
            if tier.name in self.required and not tier.ran:
                yield f"tier {tier.name} is required (MULTINIC_TEST_REQUIRE) but was {tier}"

    # The hooks of pytest, in the order in which they are called.

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        tier = self.of(collection_path)
        return True if tier and tier.reason else None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self.results and self.results.before:
            done = [item for item in items if item.nodeid in self.results.before]
            items[:] = [item for item in items if item.nodeid not in self.results.before]
            config.hook.pytest_deselected(items=done)
        if hasattr(config, "workerinput"):
            items.sort(key=lambda item: place_of(item.nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        tier = self.of(TESTS.parent / report.location[0])
        if self.results:
            self.results.note(report)
        if tier:
            tier.seconds += report.duration
        if tier and (report.when == "call" or report.outcome != "passed"):
            # A test that fails in its set-up or tear-down failed; one that fails in both counts as two.
            tier.outcomes[report.outcome] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly or hasattr(session.config, "workerinput"):
            return  # a worker saw some of the tests only
        whole = not session.config.option.keyword and not session.config.option.markexpr
        if (
            self.results
            and whole
            and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        ):
            self.results.complete(tier.name for tier in self.all if tier.ran)
        if any(self.failures()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        if terminalreporter.config.option.collectonly:
            return
        terminalreporter.section("tiers")
        for tier in self.all:
            terminalreporter.write_line(f"{tier.name:8}{tier}")
        for sentence in self.failures():
            terminalreporter.write_line(f"ERROR: {sentence}", red=True)


class Sharing(LoadScopeScheduling):  # type: ignore[misc]
    """Give every test to the next worker that is free; those of one booted host to one, for they share it."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        with suppress(OSError):  # it has just ended, too: remove_node takes back what it was to do
            super()._assign_work_unit(node)

    def remove_node(self, node: Any) -> str | None:
        """Take back what a worker that ended had not done. Return the test in which it ended: that failed.

        xdist would give that one to the next worker, and so on: one that hangs would never fail.
        """
        units = self.assigned_work[node]
        ended_in = next((test for unit in units.values() for test, done in unit.items() if not done), None)
        if ended_in is None:
            return super().remove_node(node)
        units[scope_of(ended_in)][ended_in] = True
        del self.assigned_work[node]
        self.workqueue.update({scope: unit for scope, unit in units.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return ended_in


HOSTS = ("netplan", "bookworm", "bullseye", "networkd", "networkmanager", "package", "wicked")
"""The hosts that tests share, as they are begun: the longest first, and what makes an image of its own."""

FLEETS = ("test_fleet", "test_deploy")
"""The files of that tier that tell one long story each, the longest first: the others fit beside them."""


def scope_of(nodeid: str) -> str:
    """Return what a test has in common with those that one worker is to run.

    The names of a file and of parameters say which host it is; the others run on that with netplan.
    """
    path, _, name = nodeid.partition("::")
    if path == "tests/db/test_galera.py":
        return path  # one cluster
    if path.startswith("tests/fleet/"):
        return path  # one fleet
    if path.startswith("tests/k8s/"):
        return "k8s"  # one cluster
    if path.startswith("tests/web/"):
        return path  # one dashboard
    if path.startswith("tests/vm/") and path != "tests/vm/test_life.py":
        return "vm"  # one machine
    if not path.startswith("tests/host/"):
        return nodeid
    words = {Path(path).stem.removeprefix("test_"), *re.split(r"[\[\]-]", name)}
    if "netlink" in words:
        words.add("networkd")
    if "package" in words:
        return "host package"  # several, of its own
    return next((f"host {host}" for host in HOSTS if host in words - {"netplan"}), "host netplan")


def place_of(nodeid: str) -> tuple[int, int]:
    """Return when a test is to begin where workers share them: what is long early, what is short last."""
    directories = ("vm", "fleet", "k8s", "host", "kernel", "db")
    directory = nodeid.split("/")[1]
    early = directories.index(directory) if directory in directories else len(directories)
    match directory:
        case "host":
            return early, HOSTS.index(scope_of(nodeid).removeprefix("host "))
        case "fleet":
            stem = Path(nodeid.partition("::")[0]).stem
            return early, FLEETS.index(stem) if stem in FLEETS else len(FLEETS)
    return early, 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Sharing:
    config.option.loadscopereorder = False  # Tiers has put them in order
    return Sharing(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tiers", default="all", help='which tiers to run, such as "unit db" (default: all)')
    parser.addoption("--results", metavar="DIR", help="note there what has passed")
    parser.addoption("--again", action="store_true", help="leave out what had passed in DIR/before")


REMOVED = pytest.StashKey[list[str]]()


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"removed what a run that was killed had left: {what}" for what in config.stash.get(REMOVED, [])]


def pytest_configure(config: pytest.Config) -> None:
    required = os.environ.get("MULTINIC_TEST_REQUIRE", "")
    option = config.option
    results = None
    if option.results:
        worker = hasattr(config, "workerinput")
        results = Results(TESTS.parent / option.results, again=option.again, worker=worker)
    if not hasattr(config, "workerinput"):
        config.stash[REMOVED] = scratch.sweep(images.cache())
    config.pluginmanager.register(Tiers(option.tiers, required, results), "multinic-tiers")
