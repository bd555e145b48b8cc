"""Power loss: what was not fsynced is gone, or not; the next start makes files old or new throughout."""

from __future__ import annotations

import pytest

from tests.kernel.power import SCENARIOS, cut_power


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_power_lost_at_any_moment_leaves_files_that_the_next_start_makes_whole(namespace, scenario):
    found = cut_power(namespace, scenario)
    assert {case["outcome"] for case in found} >= {"new"}
    assert [case for case in found if case["outcome"] not in ("old", "new")] == []
