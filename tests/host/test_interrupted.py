"""Interrupted is not lost, with netplan and networkd: at whichever moment a run is killed.

Also between writing runtime files, telling udevd and networkd of them, and renaming links. networkd goes on
with what it was told; what counts is where the host is once it is done.
"""

from __future__ import annotations

import json

import pytest

from tests.host.interrupting import SCENARIOS, mac_of
from tests.host.nspawn import Box


@pytest.fixture
def box_with_ports(clean: Box) -> Box:
    """A host with five ports plugged in."""
    clean.remove("/root/multinic.db")
    for number in (1, 2, 3, 4, 9):
        clean.plug(f"ens{number}", mac_of(number))
    return clean


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_any_moment_a_change_is_undone_or_done(box_with_ports: Box, scenario: str):
    command = ("python3", "-m", "tests.host.interrupting", scenario)
    done = box_with_ports.run(*command, env={"PYTHONPATH": "/srv/checkout"}, timeout=600)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found
    assert [case for case in found if case["outcome"] not in ("old", "new")] == []
