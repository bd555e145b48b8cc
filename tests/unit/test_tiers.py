"""The harness itself: a tier that did not run is named with its reason, and a required one fails the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import TESTS, Results, Tier, Tiers, place_of, scope_of


@pytest.fixture
def tiers():
    made = Tiers("all", "unit,db")
    made.all = (Tier("unit", ("unit",), lambda: None), Tier("db", ("db",), lambda: "mariadbd not found"))
    return made


def test_a_tier_that_cannot_run_is_not_collected_and_says_why(tiers):
    assert tiers.pytest_ignore_collect(TESTS / "db" / "test_x.py") is True
    assert tiers.pytest_ignore_collect(TESTS / "unit" / "test_x.py") is None
    assert str(tiers.all[1]) == "not run: mariadbd not found"


def test_a_required_tier_that_did_not_run_is_a_failure_also_when_all_its_tests_were_skipped(tiers):
    unit, db = tiers.all
    unit.outcomes["skipped"] = 3
    assert [sentence.split()[1] for sentence in tiers.failures()] == ["unit", "db"]
    unit.outcomes["passed"] = 1
    assert list(tiers.failures()) == [
        "tier db is required (MULTINIC_TEST_REQUIRE) but was not run: mariadbd not found"
    ]
    unit.seconds = 2.5
    assert str(unit) == "1 passed, 3 skipped (2 s of tests)"
    assert db.ran == 0


def test_what_was_not_chosen_is_not_required():
    assert Tiers("unit", "all").required == {"unit"}
    assert Tiers("unit db", "db,kernel").required == {"db"}
    assert Tiers("all", "").required == set()


@pytest.mark.parametrize("arguments", [("unti", ""), ("all", "dB")])
def test_a_tier_that_does_not_exist_is_refused(arguments):
    with pytest.raises(pytest.UsageError, match="no tier"):
        Tiers(*arguments)


def test_every_directory_of_tests_belongs_to_a_tier():
    tiers = Tiers("all", "")
    directories = [path for path in TESTS.iterdir() if path.is_dir() and list(path.glob("test_*.py"))]
    assert directories
    assert [path for path in directories if tiers.of(path) is None] == []


def test_tests_of_one_host_stay_together_and_begin_before_all_others():
    tests = {
        "tests/unit/test_x.py::test_a": "tests/unit/test_x.py::test_a",
        "tests/kernel/test_x.py::test_networkd[netplan]": "tests/kernel/test_x.py::test_networkd[netplan]",
        "tests/fleet/test_collection.py::test_a": "tests/fleet/test_collection.py",
        "tests/fleet/test_deploy.py::test_a": "tests/fleet/test_deploy.py",
        "tests/fleet/test_fleet.py::test_a": "tests/fleet/test_fleet.py",
        "tests/vm/test_life.py::test_a": "tests/vm/test_life.py::test_a",
        "tests/vm/test_x.py::test_a": "vm",
        "tests/host/test_package.py::test_a[bookworm]": "host package",
        "tests/host/test_networkmanager.py::test_a": "host networkmanager",
        "tests/host/test_x.py::test_a[netlink]": "host networkd",
        "tests/host/test_x.py::test_a[one more-bullseye]": "host bullseye",
        "tests/host/test_x.py::test_networkmanager_is_not_here": "host netplan",
        "tests/host/test_x.py::test_a[netplan-mtu]": "host netplan",
    }
    assert {test: scope_of(test) for test in tests} == tests
    early = [scope_of(test) for test in sorted(tests, key=place_of)]
    hosts = ["netplan", "netplan", "bullseye", "networkd", "networkmanager", "package"]
    fleets = [f"tests/fleet/test_{name}.py" for name in ("fleet", "deploy", "collection")]
    machines = ["tests/vm/test_life.py::test_a", "vm", *fleets]
    assert early[:11] == [*machines, *(f"host {host}" for host in hosts)]
    assert [test.split("/")[1] for test in early[11:]] == ["kernel", "unit"]


def test_a_run_without_a_required_tier_ends_as_a_failure_and_names_it():
    command = [sys.executable, "-m", "pytest", "--tiers=unit", "-k", "no_such_test"]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(TESTS.parent),
        env=os.environ | {"MULTINIC_TEST_REQUIRE": "all"},
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert (
        "tier unit is required (MULTINIC_TEST_REQUIRE) but was not run: no test was collected" in done.stdout
    )
    assert "kernel  not run: not chosen" in done.stdout


def test_a_run_that_goes_on_leaves_out_what_has_passed(tmp_path: Path) -> None:
    """And only that: a test that was killed, or that another one after it failed, is not noted."""
    options = ["--tiers=unit", f"--results={tmp_path}", "tests/unit/test_naming.py"]
    first = run(*options, "-k", "slot")
    passed = (tmp_path / "passed").read_text().splitlines()
    assert passed
    assert f"unit    {len(passed)} passed" in first
    assert not (tmp_path / "complete").exists()
    (tmp_path / "passed").rename(tmp_path / "before")
    second = run(*options, "--again")
    others = (tmp_path / "passed").read_text().splitlines()
    assert f"unit    {len(others)} passed, {len(passed)} passed before" in second
    assert others
    assert not {*others} & {*passed}
    assert (tmp_path / "complete").read_text() == "unit\n"


def test_what_has_not_passed_in_each_of_its_parts_is_not_noted(tmp_path: Path) -> None:
    results = Results(tmp_path, again=False)
    for test, outcomes in {
        "passes": ("passed", "passed", "passed"),
        "fails": ("passed", "failed", "passed"),
        "fails at the end": ("passed", "passed", "failed"),
        "is skipped": ("skipped", "passed"),
        "is killed": ("passed", "passed"),
    }.items():
        for when, outcome in zip(("setup", "call", "teardown"), outcomes, strict=False):
            results.note(pytest.TestReport(test, ("", 0, ""), {}, outcome, None, when))  # type: ignore[arg-type]
    assert (tmp_path / "passed").read_text() == "passes\n"


def test_tests_that_hang_fail_once_and_the_others_go_on(tmp_path: Path) -> None:
    module = tmp_path / "tests" / "unit" / "test_hanging.py"
    module.parent.mkdir(parents=True)
    hangs = "def test_hangs_{0}():\n    time.sleep(600)\n"
    passes = "def test_passes_{0}():\n    pass\n"
    module.write_text("import time\n" + "".join(text.format(n) for n in range(2) for text in (passes, hangs)))
    limit = ("-o", "faulthandler_timeout=2", "-o", "faulthandler_exit_on_timeout=true")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.tiers",
            "-n",
            "2",
            *limit,
            f"--rootdir={tmp_path}",
            module,
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent)},
        timeout=120,
    )
    assert "2 failed, 2 passed" in done.stdout
    assert "in test_hangs_0" in done.stderr


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=TESTS.parent).stdout
