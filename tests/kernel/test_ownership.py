"""Whole passes over paths where somebody planted something: nothing elsewhere changes, and nothing waits."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from multinic.values.paths import (
    CHECKPOINT,
    CONVERGED,
    LAST_CHECKPOINT,
    LOCK,
    OUR_DIRECTORIES,
    RECORD,
    STATE,
)
from tests.kernel.node import Node, until

MODES = {
    "run/multinic": 0o755,
    "run/multinic/lock": 0o600,
    "run/multinic/state.json": 0o644,
    "run/multinic/converged": 0o600,
    "run/multinic/told.json": 0o600,
    "var/lib/multinic/history.jsonl": 0o600,
    "var/lib/multinic/holds.json": 0o600,
    "var/lib/multinic": 0o700,
    "var/lib/multinic/record.json": 0o600,
    "var/lib/multinic/checkpoint-last.json": 0o600,
}


def modes(directory: Path) -> dict[str, int]:
    """Return the permission bits of everything below a directory."""
    return {
        str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) for path in directory.rglob("*")
    }


def start(node: Node, *arguments: str, umask: int = 0o022) -> subprocess.Popen[str]:
    return node.namespace.popen(
        *("sh", "-c", f'umask {umask:03o}; exec "$@"', "sh", *node.command(*arguments)),
        env=node.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids="umask {:03o}".format)
def test_everything_that_is_written_has_its_mode_whatever_the_umask(node: Node, umask: int) -> None:
    node.provide(2)
    node.root.chmod(0o755)
    for command in (
        ["plan", "--out", str(node.directory / "plan.json")],
        ["reconcile"],
        ["hold", "multinic0", "--why", "testing"],
        ["status"],
        ["reconcile"],
    ):
        process = start(node, *command, umask=umask)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    above = {"run": 0o755, "var": 0o755, "var/lib": 0o755}
    assert modes(node.root) == above | MODES
    assert {
        f"/{path}": bits for path, bits in MODES.items() if f"/{path}" in OUR_DIRECTORIES
    } == OUR_DIRECTORIES
    assert stat.S_IMODE((node.directory / "plan.json").stat().st_mode) == 0o600
    assert {path.stat().st_uid for path in node.root.rglob("*")} == {os.geteuid()}


def test_a_checkpoint_is_nobody_elses_to_read_while_a_change_is_made(node: Node) -> None:
    node.provide(1)
    node.slow_down(1)
    process = start(node, "reconcile", umask=0)
    path = node.root / CHECKPOINT.lstrip("/")
    until(path.exists)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    process.kill()
    process.communicate()
    node.speed_up(1)
    node.reconcile()


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "symlink to a file": lambda path, elsewhere: path.symlink_to(elsewhere / "file"),
    "dangling symlink": lambda path, elsewhere: path.symlink_to(elsewhere / "gap"),
    "symlink to a directory": lambda path, elsewhere: path.symlink_to(elsewhere / "directory"),
    "relative symlink": lambda path, elsewhere: path.symlink_to(
        os.path.relpath(elsewhere / "file", path.parent)
    ),
    "hard link": lambda path, elsewhere: path.hardlink_to(elsewhere / "file"),
    "pipe": lambda path, elsewhere: os.mkfifo(path),
    "directory": lambda path, elsewhere: path.mkdir(),
    "huge file": lambda path, elsewhere: path.open("wb").truncate(1 << 40),
}
PATHS = [LOCK, STATE, CONVERGED, RECORD, CHECKPOINT, LAST_CHECKPOINT]


def elsewhere_of(node: Node) -> Path:
    """Make a file and a directory of somebody else's, outside the root."""
    made = node.directory / "elsewhere"
    (made / "directory").mkdir(parents=True)
    for path in (made / "file", made / "directory/file"):
        path.write_text('{"version": 1, "mine": true}')
        path.chmod(0o640)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return made


def snapshot(directory: Path) -> object:
    return [
        (
            path,
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            path.is_file() and path.read_bytes(),
        )
        for path in sorted([directory, *directory.rglob("*")])
        for status in [path.lstat()]
    ]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_that_is_planted_at_a_path_of_ours_leads_elsewhere(node: Node, path: str) -> None:
    """Every command ends, nothing elsewhere changes, and the pass works or says what is wrong."""
    node.provide(1)
    elsewhere = elsewhere_of(node)
    node.reconcile()
    where = node.root / path.lstrip("/")
    for kind, plant in PLANTED.items():
        before = snapshot(elsewhere)
        where.unlink(missing_ok=True)
        plant(where, elsewhere)
        node.sql("UPDATE multi_interface SET mtu = mtu + 1")
        for command in (["plan"], ["reconcile"], ["status"], ["reconcile"], ["apply", "--yes"], ["rollback"]):
            # With this level an error is logged by every pass that meets it, not by the first one alone.
            done = node.multinic(*command, expect=None, env={"MULTINIC_LOG_LEVEL": "debug"})
            said = done.stdout + done.stderr
            assert "unexpected error" not in said, (kind, command, said)
            assert done.returncode == 0 or path in said, (kind, command, said)
            if done.returncode:
                assert kind in ("directory", "huge file") or path == LOCK, (kind, command, said)
                assert "multinic: " in said or "error: " in said
        assert snapshot(elsewhere)[1:] == before[1:], kind  # a hard link was made by the planting itself
        where.rmdir() if where.is_dir() and not where.is_symlink() else where.unlink(missing_ok=True)
        node.reconcile()
        assert node.link(1)[:2] == ("multinic0", True)


@pytest.mark.parametrize("directory", sorted(OUR_DIRECTORIES))
@pytest.mark.parametrize("way", ["symlink", "of another user", "open to all"])
def test_a_directory_that_is_not_ours_alone_stops_a_pass_before_it_changes_anything(
    node: Node, directory: str, way: str
) -> None:
    node.provide(1)
    elsewhere = elsewhere_of(node)
    where = node.root / directory.lstrip("/")
    where.parent.mkdir(parents=True, mode=0o755)
    if way == "symlink":
        where.symlink_to(elsewhere / "directory")
    else:
        where.mkdir()
        where.chmod(0o1777 if way == "open to all" else 0o755)
        if way == "of another user":
            if os.geteuid() != 0:
                pytest.skip("only root can make a directory of another user")
            os.chown(where, 12345, 12345)
    before, link = snapshot(elsewhere), node.link(1)
    for command in (["reconcile"], ["apply", "--yes"], ["rollback"]):
        done = node.multinic(*command, expect=1)
        assert f"{directory} " in done.stderr
        assert "only root may write" in done.stderr
    assert (snapshot(elsewhere), node.link(1)) == (before, link)
    assert list((where if way != "symlink" else elsewhere / "directory").glob("*.json")) == []


TEMPLATE = "etc/multinic/templates/netplan.yaml.j2"
STRANGER = 12345


def made_by_a_stranger(template: Path, _: Path) -> None:
    os.chown(template, STRANGER, STRANGER)


def open_to_all(template: Path, _: Path) -> None:
    template.chmod(0o666)


def in_a_directory_of_a_stranger(template: Path, _: Path) -> None:
    os.chown(template.parents[1], STRANGER, STRANGER)


def in_a_directory_open_to_all(template: Path, _: Path) -> None:
    template.parent.chmod(0o777)


def outside(template: Path, elsewhere: Path) -> None:
    template.rename(elsewhere / "elsewhere.j2")
    template.symlink_to(elsewhere / "elsewhere.j2")


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (made_by_a_stranger, "belongs to another user (uid 12345)"),
        (open_to_all, "can be written by other users (mode 0666)"),
        (in_a_directory_of_a_stranger, "belongs to another user (uid 12345)"),
        (in_a_directory_open_to_all, "can be written by other users (mode 0777)"),
        (outside, "leads out of"),
    ],
)
def test_a_template_that_another_user_may_change_is_run_by_no_command(
    node: Node, plant: Callable[[Path, Path], None], words: str
) -> None:
    node.provide(1)
    template = node.root / TEMPLATE
    template.parent.mkdir(parents=True)
    template.write_text("{{ nobody_knows_this }}")
    plant(template, node.directory)
    for command in (["plan"], ["render"], ["reconcile"], ["apply", "--yes"]):
        said = node.multinic(*command, expect=1).stderr
        assert words in said, command
    assert words in node.multinic("doctor", expect=4).stdout


def test_another_root_that_a_stranger_made_is_read_by_no_command(node: Node) -> None:
    node.provide(1)
    os.chown(node.root, STRANGER, STRANGER)
    for command in (["plan"], ["render"], ["doctor"], ["status"], ["reconcile"]):
        assert "belongs to another user" in node.multinic(*command, expect=1).stderr
