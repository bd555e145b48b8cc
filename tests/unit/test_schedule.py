"""When passes were and come, as systemd says it."""

from __future__ import annotations

import pytest

from multinic.report.schedule import Schedule, of_systemd, seconds

SHOWN = """\
Id=multinic.timer
ActiveState={timer}
NextElapseUSecMonotonic={next}

ExecMainExitTimestampMonotonic={ended}
ExecMainStatus={status}
Id=multinic.service
ActiveState={service}
"""
QUIET = {
    "timer": "active",
    "next": "1h 2min 3.5s",
    "ended": "3600000000",
    "status": "4",
    "service": "inactive",
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Schedule("timer", running=False, last=1_000_100.0, exit=4, next=1_000_223.5)),
        ({"service": "activating", "next": "infinity"}, Schedule("timer", True, 1_000_100.0, 4, None)),
        ({"timer": "inactive"}, Schedule(None, False, 1_000_100.0, 4, None)),
        ({"ended": "0", "status": "0"}, Schedule("timer", False, None, None, 1_000_223.5)),
        ({"ended": "", "status": "", "next": "1.2.3s"}, Schedule("timer")),
    ],
    ids=["a quiet host", "a pass runs", "the timer is stopped", "before the first pass", "nonsense"],
)
def test_what_systemd_shows_is_when_passes_were_and_come(changed: dict[str, str], expected: Schedule) -> None:
    assert of_systemd(SHOWN.format(**(QUIET | changed)), now=1_000_200.0, monotonic=3700.0) == expected


def test_systemd_that_says_nothing_is_nothing_known() -> None:
    assert of_systemd("", 0.0, 0.0) == Schedule()


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("25.120s", 25.12),
        ("1w 2d 3h", 788400.0),
        ("3min 500ms", 180.5),
        ("99us", 99e-6),
        ("infinity", None),
        ("", None),
        ("0", None),
    ],
)
def test_a_span_of_systemd_is_read(span: str, expected: float | None) -> None:
    assert seconds(span) == (None if expected is None else pytest.approx(expected))
