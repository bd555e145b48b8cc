"""How an older answer of the database is told from a newer one."""

from __future__ import annotations

import pytest

from multinic.decide.older import PATIENCE, Seen, after, older, rows_of
from multinic.host.host import Host
from multinic.state.seen import load_seen, save_seen
from multinic.values.paths import SEEN

T1, T2, T3 = "2026-01-01 10:00:00", "2026-01-01 10:00:01", "2026-01-01 10:00:02"
BEFORE = after(after(Seen(), {"1": T1, "2": T2, "3": T1}, "db1", 0.0), {"1": T1, "2": T2}, "db1", 100.0)
"""Row 3 was there, and is gone since second 100."""


@pytest.mark.parametrize(
    ("rows", "where", "now", "sign"),
    [
        pytest.param({"1": T1, "2": T2}, "db2", 110, "", id="the same state"),
        pytest.param({"1": T1, "2": T3}, "db2", 110, "", id="a newer row"),
        pytest.param({"1": T1, "2": T2, "9": T1}, "db2", 110, "", id="a row that was never seen"),
        pytest.param({"1": T1, "2": T1}, "db2", 110, "row 2 is of", id="an older row"),
        pytest.param({"1": T1, "2": T1}, "db1", 1e6, "row 2 is of", id="of the same host, later"),
        pytest.param({"1": T1, "2": T2, "3": T1}, "db2", 110, "row 3 is still here", id="a gone row"),
        pytest.param({"1": T1, "2": T2, "3": T2}, "db2", 110, "", id="that row attached again"),
        pytest.param({"1": T1, "2": T2, "3": ""}, "db1", 110, "", id="that row where nothing tells when"),
        pytest.param({"1": T1}, "db2", 110, "row 2 is not here yet", id="a new row that is missing"),
        pytest.param({"1": T1}, "db1", 110, "", id="a new row that the same host has no more"),
        pytest.param({"1": T1}, "db2", PATIENCE + 1, "", id="a row of long ago that is missing"),
        pytest.param({}, "db1", 110, "", id="no row"),
    ],
)
def test_what_tells_an_older_answer(rows, where, now, sign):
    words = older(BEFORE, rows, where, now)
    assert (words.startswith(sign), bool(words)) == (True, bool(sign))


def test_nothing_read_before_refuses_nothing():
    assert older(Seen(), {"1": T1}, "db1", 0.0) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(T1, T1), (None, ""), (b"\xff", ""), (1767261600, ""), ("0000-00-00 00:00:00", "0000-00-00 00:00:00")],
)
def test_only_a_time_is_compared(value, text):
    assert rows_of(("id", "modified_at"), ((7, value),)) == {"7": text}


def test_a_table_without_that_column_has_no_times():
    assert rows_of(("id",), ((7,),)) == {"7": ""}


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "null", '{"version": 1, "rows": 7}', '{"version": 2}', "\x1b[31m"]
)
def test_what_was_read_before_may_be_lost(tmp_path, text):
    host = Host(str(tmp_path))
    if text is not None:
        host.write(SEEN, text, 0o600)
    assert load_seen(host) == Seen()


def test_what_was_read_is_read_back(tmp_path):
    save_seen(Host(str(tmp_path)), BEFORE)
    assert load_seen(Host(str(tmp_path))) == BEFORE
