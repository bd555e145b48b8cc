"""The exit status of a pass, the one in the state document, and the health of the host agree."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.kernel.node import Node, mac_of

BAD = "UPDATE multi_interface SET mtu = 1 WHERE id = 1"
REFUSES = "CREATE TRIGGER refuses BEFORE UPDATE ON multi_interface BEGIN SELECT RAISE(ABORT, 'no'); END"


def settings(node: Node) -> None:
    node.settings.write_text("max_interfaces = 'many'\n")


def refusal(node: Node) -> None:
    found = node.root / "etc/netplan/95-multinic5.yaml"
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_text("# Managed by multinic.\nnetwork: {version: 2}\n", encoding="utf-8")
    found.chmod(0o600)


def not_written(node: Node) -> None:
    node.sql("UPDATE multi_interface SET netplan_success = 0 WHERE id = 1")
    node.sql(REFUSES)


CASES: dict[str, tuple[Callable[[Node], object], int, str]] = {
    "nothing": (lambda _: None, 0, "healthy"),
    "a bad row": (lambda node: node.sql(BAD), 4, "degraded"),
    "no database": (
        lambda node: (node.directory / "multinic.db").rename(node.directory / "x"),
        75,
        "unhealthy",
    ),
    "no table": (lambda node: node.sql("DROP TABLE multi_interface"), 2, "unhealthy"),
    "a result that is not taken": (not_written, 75, "degraded"),
    "a refusal": (refusal, 5, "unhealthy"),
    "an error of the host": (
        lambda node: (node.root / "etc/multinic/templates").symlink_to("templates"),
        1,
        "unhealthy",
    ),
    "wrong settings": (settings, 2, "unhealthy"),
}


@pytest.mark.parametrize("what", CASES)
def test_process_state_and_health_agree(converged, what):
    node = converged(2)
    (node.root / "etc/multinic").mkdir(parents=True, exist_ok=True)
    happens, status, health = CASES[what]
    happens(node)
    for _ in range(2):
        node.reconcile(expect=status)
        assert json.loads((node.root / "run/multinic/state.json").read_bytes())["exit"] == status
        done = node.multinic("health", expect=None)
        assert (json.loads(done.stdout)["status"], done.returncode) == (health, 4 * (health == "unhealthy"))
        assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))


def test_settings_that_are_right_again_are_forgotten(converged):
    node = converged(1)
    settings(node)
    node.reconcile(expect=2)
    assert "max_interfaces" in node.document("status")["error"]
    node.settings.write_text("")
    assert "passes are finished again" in node.reconcile()
    assert node.document("status")["error"] == ""
    assert node.reconcile() == ""


def test_wrong_settings_leave_nothing_on_a_host_without_passes(node):
    settings(node)
    node.multinic("reconcile", expect=2)
    assert node.files() == {}


def test_a_person_who_asks_is_told_in_two_lines_what_was_looked_at(converged):
    node = converged(2)
    rows, looked = node.multinic("-v", "reconcile").stderr.splitlines()
    assert rows.startswith(
        f"read 2 rows of this node from sqlite {node.directory}/multinic.db: as in the full"
    )
    assert looked.startswith("looked at the links of 2 MAC addresses and ")
    assert looked.endswith(" files and directories: nothing has changed, exit status 0")
    assert node.reconcile() == ""

    node.sql("UPDATE multi_interface SET mtu = 1 WHERE macaddress = %s", mac_of(1))
    for lines in (3, 3):
        said = node.multinic("-v", "reconcile", expect=4).stderr.splitlines()
        assert len(said) == lines
        assert sum("multinic0: invalid: row 1: mtu" in line for line in said) == 1
        assert any(line.startswith("looked at") and line.endswith("exit status 4") for line in said)
    assert node.reconcile(expect=4) == ""


def test_an_outage_that_apply_meets_has_its_exit_status_too(converged):
    node = converged(1)
    node.sql("DROP TABLE multi_interface")
    node.multinic("apply", "--yes", expect=2)
    assert json.loads((node.root / "run/multinic/state.json").read_bytes())["exit"] == 2
    assert node.document("health", expect=4)["status"] == "unhealthy"
