"""States over time: what is known of an interface at the end of each hour, and what is not."""

from __future__ import annotations

from multinic.dashboard.past import Changed, Happened, by_hour, ends
from multinic.values.counts import STATES

NOW = "2026-03-01 02:30:00"
HOURS = ends(NOW, 5)
ONE = ("worker-1", "port-1")


def shown(
    counted: dict[str, int], *changed: Changed, happened: tuple[Happened, ...] = (), begins: str = ""
) -> list[dict[str, int] | None]:
    """Return the figures without the zeros."""
    found = by_hour(HOURS, dict.fromkeys(STATES, 0) | counted, changed, happened, begins)
    return [one and {state: number for state, number in one.items() if number} for one in found]


def test_the_hours_end_with_now_and_cross_a_day() -> None:
    assert HOURS == [
        "2026-02-28 23:00:00",
        "2026-03-01 00:00:00",
        "2026-03-01 01:00:00",
        "2026-03-01 02:00:00",
        NOW,
    ]
    assert ends("2026-03-01 02:00:00", 2) == ["2026-03-01 02:00:00"] * 2


def test_an_interface_was_in_its_state_since_it_began_and_before_in_that_of_the_event() -> None:
    failed = Changed(ONE, "failed", "2026-03-01 01:00:00")
    before = Happened("2026-02-27 10:00:00", ONE, "repaired")
    assert shown({"failed": 1, "converged": 7}, failed, happened=(before,)) == [
        {"converged": 8},
        {"converged": 8},
        {"failed": 1, "converged": 7},  # at the end of the hour itself
        {"failed": 1, "converged": 7},
        {"failed": 1, "converged": 7},
    ]


def test_what_no_event_tells_is_unknown_and_what_was_created_was_not_there() -> None:
    one = Changed(ONE, "converged", "2026-03-01 00:30:00")
    other = {"failed": 2}
    assert shown({"converged": 1, **other}, one)[:3] == [
        {"unknown": 1, **other},
        {"unknown": 1, **other},
        {"converged": 1, **other},
    ]
    created = Happened("2026-03-01 00:29:59", ONE, "created")
    assert shown({"converged": 1, **other}, one, happened=(created,))[:3] == [
        other,
        other,
        {"converged": 1, **other},
    ]


def test_states_between_are_counted_and_events_of_a_whole_pass_or_of_the_same_state_are_not() -> None:
    happened = (
        Happened("2026-02-28 20:00:00", ONE, "created"),
        Happened("2026-02-28 23:10:00", ONE, "failed"),
        Happened("2026-02-28 23:20:00", ("worker-1", ""), "outage"),
        Happened("2026-02-28 23:40:00", ONE, "rolled-back"),
        Happened("2026-03-01 00:10:00", ONE, "blocked"),
        Happened("2026-03-01 01:10:00", ONE, "repaired"),
        Happened("2026-03-01 02:10:00", ONE, "changed"),
        Happened("2026-03-01 02:20:00", ("worker-2", "port-9"), "failed"),  # its state is older
    )
    now = Changed(ONE, "converged", "2026-03-01 01:10:02")
    assert shown({"converged": 1, "failed": 1}, now, happened=happened) == [
        {"converged": 1, "failed": 1},
        {"failed": 2},
        {"blocked": 1, "failed": 1},
        {"converged": 1, "failed": 1},
        {"converged": 1, "failed": 1},
    ]


def test_an_interface_that_is_gone_counts_until_it_was_removed() -> None:
    happened = (
        Happened("2026-02-28 23:30:00", ONE, "waiting"),
        Happened("2026-03-01 01:30:00", ONE, "removed"),
        Happened("2026-03-01 02:10:00", ("worker-2", "aa:bb"), "removed"),
    )
    assert shown({}, happened=happened) == [
        {"unknown": 2},
        {"waiting": 1, "unknown": 1},
        {"waiting": 1, "unknown": 1},
        {"unknown": 1},
        {},
    ]


def test_before_the_oldest_row_that_was_read_there_are_no_figures() -> None:
    assert shown({"failed": 3}, begins="2026-03-01 00:10:00") == [None, None, *[{"failed": 3}] * 3]
