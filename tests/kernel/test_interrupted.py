"""Interrupted is not lost: at whichever moment a run ends, a host is as it was before, or as it shall be.

A moment is before or after any single thing that the program does to the host: 20 of each change, spread
evenly, and every one with MULTINIC_TEST_THOROUGH, as in bench/faults.py. After SIGKILL, `multinic rollback
--interrupted` (systemd's ExecStopPost=) makes the host as it was before or leaves it as it shall be: links,
addresses, routes, files; nothing is left over. Without it the next pass does the same. Links of others see
nothing of it all, and the pass after that has nothing to do.
"""

from __future__ import annotations

import pytest

from tests.kernel.interrupting import SCENARIOS, interrupt

AT_EVERY_MOMENT = ("slot taken over", "names exchanged", "all at once", "rollback")


def wrong(namespace, way, scenario):
    """Interrupt a scenario at every moment and return what is neither old nor new."""
    found = interrupt(namespace, way, scenario)
    assert found
    return [case for case in found if case["outcome"] not in ("old", "new")]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_any_moment_a_change_is_undone_or_done(namespace, scenario):
    assert wrong(namespace, "killed", scenario) == []


@pytest.mark.parametrize("scenario", AT_EVERY_MOMENT)
def test_sigterm_at_any_moment_lets_the_program_put_everything_back_itself(namespace, scenario):
    assert wrong(namespace, "ended", scenario) == []


def test_more_sigterms_while_putting_back_change_nothing(namespace):
    assert wrong(namespace, "ended again and again", "all at once") == []


def test_control_c_and_a_closed_terminal_are_no_different(namespace):
    assert wrong(namespace, "ended otherwise", "all at once") == []
