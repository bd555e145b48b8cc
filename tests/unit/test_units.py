"""`multinic install-units`: what it writes, whose files it leaves alone, and how it all goes away again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from multinic.cli import main
from multinic.host.host import Host
from multinic.install import units

NAMES = {"multinic.service", "multinic.timer", "multinic-hotplug.service"}
NAMES |= {"multinic-agent.service", "multinic-health.service", "multinic-health.socket"}
NAMES |= {"90-multinic.rules"}
PROGRAM = "/usr/bin/env"  # any program that services can run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir(mode=0o755)
    return tmp_path / "root"


def run(root: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["--root", str(root), "install-units", *options])


def written(root: Path) -> dict[str, Path]:
    return {path.name: path for path in root.rglob("*") if path.is_file()}


def test_all_units_are_written_for_this_program_and_removed_again(root: Path) -> None:
    done = run(root, "--program", PROGRAM)
    assert done.exit_code == 0, done.output
    files = written(root)
    assert set(files) == NAMES
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o644}
    assert files["90-multinic.rules"].parent == root / "etc/udev/rules.d"
    texts = {name: path.read_text() for name, path in files.items()}
    assert not [name for name, text in texts.items() if "/usr/bin/multinic" in text]
    assert f"ExecStart={PROGRAM} reconcile\n" in texts["multinic.service"]
    assert f"exec {PROGRAM} rollback --interrupted" in texts["multinic.service"]
    assert f"ExecStart={PROGRAM} agent\n" in texts["multinic-agent.service"]
    assert f"ExecStart={PROGRAM} health --socket\n" in texts["multinic-health.service"]

    before = {name: path.stat().st_ino for name, path in files.items()}
    assert "wrote" not in run(root, "--program", PROGRAM).output
    assert {name: path.stat().st_ino for name, path in written(root).items()} == before

    assert run(root, "--remove").exit_code == 0
    assert written(root) == {}
    assert run(root, "--remove").exit_code == 0


def test_an_older_version_of_ours_is_replaced(root: Path) -> None:
    run(root, "--program", PROGRAM)
    timer = written(root)["multinic.timer"]
    timer.write_text("# Part of multinic; an update replaces this file.\n[Timer]\n")
    assert f"wrote {Path('/') / timer.relative_to(root)}" in run(root, "--program", PROGRAM).output
    assert "OnUnitInactiveSec" in timer.read_text()


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("usr/lib/systemd/system/multinic.service", id="of a package"),
        pytest.param("etc/systemd/system/multinic.timer", id="of somebody else"),
        pytest.param("usr/lib/udev/rules.d/90-multinic.rules", id="a rule of a package"),
    ],
)
def test_what_is_not_ours_is_neither_replaced_nor_hidden_nor_removed(root: Path, place: str) -> None:
    (root / place).parent.mkdir(parents=True)
    (root / place).write_text("[Unit]\n")
    done = run(root, "--program", PROGRAM)
    assert (done.exit_code, f"/{place}" in done.output) == (2, True)
    run(root, "--remove")
    assert list(written(root)) == [Path(place).name]


def test_a_masked_unit_stays_masked(root: Path) -> None:
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system/multinic.timer").symlink_to("/dev/null")
    done = run(root, "--program", PROGRAM)
    assert (done.exit_code, "systemctl unmask multinic.timer" in done.output) == (2, True)
    assert list(written(root)) == []


def test_what_is_enabled_is_not_removed(root: Path) -> None:
    run(root, "--program", PROGRAM)
    wants = root / "etc/systemd/system/timers.target.wants"
    wants.mkdir()
    (wants / "multinic.timer").symlink_to("/etc/systemd/system/multinic.timer")
    done = run(root, "--remove")
    assert (done.exit_code, units.DISABLE in done.output) == (2, True)
    assert len(written(root)) >= len(NAMES)


def test_the_units_of_a_package_take_over_what_is_enabled(root: Path) -> None:
    run(root, "--program", PROGRAM)
    for directory in ("usr/lib/systemd/system", "etc/systemd/system/timers.target.wants"):
        (root / directory).mkdir(parents=True)
        (root / directory / "multinic.timer").write_text("# Part of multinic; this one is of the package\n")
    assert dict(units.hidden(Host(str(root)))) == {
        "/etc/systemd/system/multinic.timer": "/usr/lib/systemd/system/multinic.timer"
    }
    assert run(root, "--remove").exit_code == 0
    left = sorted(str(path.parent.relative_to(root)) for path in root.rglob("multinic*"))
    assert left == ["etc/systemd/system/timers.target.wants", "usr/lib/systemd/system"]


UNSEEN = "they have no access to /home, /root, /run/user, /tmp, /var/tmp"
NO_NAME = "a unit cannot name the program"


@pytest.mark.parametrize(
    ("name", "words"),
    [("bin/multinic", UNSEEN), ("odd name", NO_NAME), ("100%", NO_NAME), ("new\nline", NO_NAME)],
)
def test_a_program_that_no_service_could_run_is_refused(
    root: Path, tmp_path: Path, name: str, words: str
) -> None:
    program = tmp_path / name
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)  # below /tmp, which services have for themselves
    done = run(root, "--program", str(program))
    assert (done.exit_code, words in done.output) == (2, True), done.output
    program.chmod(0o644)
    for path in (str(program), f"{program}.not-there", str(tmp_path)):
        done = run(root, "--program", path)
        assert (done.exit_code, "is not a program" in done.output) == (2, True), done.output
    assert written(root) == {}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with the program and its Python, in a place that services see."""
    monkeypatch.setattr(units, "_HIDDEN", (str(tmp_path / "home"),))
    made = tmp_path / "cache" / "multinic"
    (made / "bin").mkdir(parents=True)
    (made / "bin/python").symlink_to("/usr/bin/env")
    (made / "CACHEDIR.TAG").touch()  # as pipx and uv make it in every environment
    (made / "bin/multinic").write_text(f"#!{made}/bin/python\n")
    (made / "bin/multinic").chmod(0o755)
    return made


def test_the_units_run_the_program_of_an_environment(root: Path, environment: Path) -> None:
    program = f"{environment}/bin/multinic"
    assert run(root, "--program", program).exit_code == 0
    assert f"ExecStart={program} reconcile\n" in written(root)["multinic.service"].read_text()


@pytest.mark.parametrize("first", ["#!{}\n", "#!/bin/sh\n'''exec' \"{}\" \"$0\" \"$@\"\n' '''\n"])
def test_an_environment_with_the_python_of_a_home_is_refused(
    root: Path, environment: Path, tmp_path: Path, first: str
) -> None:
    python = environment / "bin/python"
    python.unlink()
    (tmp_path / "home/bin").mkdir(parents=True)
    (tmp_path / "home/bin/python3").touch()
    python.symlink_to(tmp_path / "home/bin/python3")
    (environment / "bin/multinic").write_text(first.format(python))
    done = run(root, "--program", f"{environment}/bin/multinic")
    assert (done.exit_code, "home/bin/python3: they have no access" in done.output) == (2, True)
    assert "/opt/multinic" in done.output
    assert written(root) == {}


def test_the_throw_away_environment_of_a_cache_is_refused(
    root: Path, environment: Path, tmp_path: Path
) -> None:
    (environment.parent / "CACHEDIR.TAG").touch()
    (tmp_path / "multinic").symlink_to(environment / "bin/multinic")
    done = run(root, "--program", str(tmp_path / "multinic"))
    assert (done.exit_code, f"in the cache {environment.parent}" in done.output) == (2, True)
    assert written(root) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_program_that_others_may_change_is_found(environment: Path) -> None:
    program = f"{environment}/bin/multinic"
    assert units.exposed(program) is None
    environment.chmod(0o777)
    assert units.exposed(program) == (str(environment), 0)
    environment.chmod(0o755)
    os.chown(environment / "bin", 4711, -1)
    assert units.exposed(program) == (f"{environment}/bin", 4711)


def test_every_unit_that_is_in_the_repository_is_installed() -> None:
    directory = Path(__file__).parents[2] / "systemd"
    assert {path.name for path in directory.iterdir()} == NAMES == set(units.NAMES)


def test_every_unit_names_the_program_by_one_path_only() -> None:
    for path in (Path(__file__).parents[2] / "systemd").glob("*.service"):
        runs = [line for line in path.read_text().splitlines() if line.startswith("Exec")]
        assert all("multinic " not in line.replace("/usr/bin/multinic ", "") for line in runs)
