"""What `multinic status` says to people, on a terminal of 80 columns and elsewhere."""

from __future__ import annotations

import time
from typing import Any

import pytest

from multinic.report import show
from tests.unit.test_show import lines

ITEM: dict[str, Any] = {
    "name": "multinic0",
    "mac": "fa:16:3e:00:00:01",
    "port_id": "3f0c7d52-0000-4000-8000-00000000000a",
    "row_id": 1,
    "state": "converged",
    "reason": "converged",
    "message": "as desired",
    "since": 86400,
    "link": "multinic0",
    "up": True,
    "carrier": True,
    "mtu": 1450,
    "addresses": ["10.0.0.5/24", "fd00:1234:5678:9abc:def0:1234:5678:9abc/64", "fe80::f816:3eff:fe00:1/64"],
    "held": None,
}
ABSENT = {"link": None, "up": None, "carrier": None, "mtu": None, "addresses": []}
PASSES: dict[str, Any] = {"by": None, "running": False, "last": None, "exit": None, "next": None}
DOCUMENT: dict[str, Any] = {
    "node": "node1",
    "backend": "netplan",
    "time": 86400,
    "exit": 0,
    "error": "",
    "agent": None,
    "passes": PASSES,
    "database": {"read": True, "time": 86400, "since": None, "error": ""},
    "detected": {"backend": "netplan", "why": "it has files here"},
    "interfaces": [ITEM],
}


@pytest.fixture(autouse=True)
def _here_and_now(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The time zone of the documents above, and two minutes after their pass."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("multinic.report.show_status.time.time", lambda: 86520.0)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    from rich.console import Console

    narrow = Console(highlight=False, soft_wrap=True, width=80)
    monkeypatch.setattr("multinic.report.show_status.console", lambda: narrow)
    monkeypatch.setattr("multinic.report.show.console", lambda: narrow)


@pytest.mark.usefixtures("terminal")
def test_on_80_columns_what_has_no_room_is_below_and_nothing_is_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waiting = ITEM | ABSENT | {"name": "multinic1", "state": "waiting", "reason": "not-plugged-in"}
    waiting["message"] = "no link has the MAC address fa:16:3e:00:00:01 yet; it is configured when plugged in"
    other = ITEM | {"name": "multinic2", "link": "eth7", "carrier": False, "addresses": [], "mtu": 9000}
    show.status(DOCUMENT | {"interfaces": [ITEM, waiting, other]})
    assert lines(capsys) == [
        "node       node1, backend netplan",
        "host       managed by netplan: it has files here",
        "last pass  1970-01-02 00:00:00, 2 min ago: exit status 0 (nothing is wrong);",
        "           there may be later ones: without news, one leaves a trace only every",
        "           5 minutes",
        "next pass  not known: neither multinic.timer nor an agent is seen here",
        "database   read by the pass of 1970-01-02 00:00:00, 2 min ago",
        "",
        "interface  mac                state      since",
        "multinic0  fa:16:3e:00:00:01  converged  1970-01-02 00:00:00",
        "    link up, mtu 1450, addresses 10.0.0.5/24",
        "    fd00:1234:5678:9abc:def0:1234:5678:9abc/64 fe80::f816:3eff:fe00:1/64",
        "multinic1  fa:16:3e:00:00:01  waiting    1970-01-02 00:00:00",
        "    link not plugged in",
        "    not-plugged-in: no link has the MAC address fa:16:3e:00:00:01 yet; it is",
        "    configured when plugged in",
        "multinic2  fa:16:3e:00:00:01  converged  1970-01-02 00:00:00",
        "    link eth7 up, no carrier, mtu 9000",
    ]


@pytest.mark.usefixtures("terminal")
def test_wide_is_a_line_for_each_interface_with_its_row_and_port(capsys: pytest.CaptureFixture[str]) -> None:
    show.status(DOCUMENT, wide=True)
    *_, header, row = lines(capsys)
    assert header.split() == [
        "interface",
        "mac",
        "state",
        "since",
        "link",
        "mtu",
        "addresses",
        "row",
        "port",
        "reason",
    ]
    for value in (*map(str, ITEM["addresses"]), ITEM["port_id"], " 1  ", "as desired"):
        assert value in row


@pytest.mark.usefixtures("terminal")
def test_a_value_wider_than_the_terminal_is_folded_in_its_own_column(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "'" + "zz:" * 60 + "'"
    odd = ITEM | {"name": "", "mac": long, "state": "invalid"}
    show.status(DOCUMENT | {"interfaces": [ITEM, odd]})
    found = lines(capsys)
    assert max(map(len, found)) <= 80
    first = found.index("") + 2
    assert found[first].startswith("multinic0  fa:16:3e:00:00:01  converged  1970-01-02 00:00:00  up ")
    folded = [line for line in found[first + 1 :] if line.startswith(("-  ", " " * 11))]
    assert "".join(line[11:28].strip() for line in folded) == long
    assert "  invalid    1970-01-02 00:00:00" in folded[0]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_that_is_narrower_still_cuts_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    tiny = Console(highlight=False, soft_wrap=True, width=32)
    monkeypatch.setattr("multinic.report.show_status.console", lambda: tiny)
    show.status(DOCUMENT)
    found = lines(capsys)
    assert max(map(len, found)) <= 32
    everything = "".join("".join(found).split())
    for value in ("multinic0", "converged", *map(str, ITEM["addresses"])):
        assert value in everything


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"passes": PASSES | {"by": "timer", "last": 86515.0, "exit": 4, "next": 86533.0}},
            "last pass  1970-01-02 00:01:55, 5 s ago: exit status 4 (not every interface is as desired)",
        ),
        ({"passes": PASSES | {"by": "timer", "next": 86533.0}}, "next pass  in 13 s, by multinic.timer"),
        ({"passes": PASSES | {"by": "timer", "running": True}}, "next pass  a pass runs now"),
        ({"passes": PASSES | {"by": "agent"}}, "next pass  by the agent; it does not say when"),
        ({"time": None, "exit": None, "node": None}, "last pass  no pass has finished since boot"),
        (
            {"database": {"read": False, "time": 86400, "since": 43200, "error": "no answer"}},
            "database   not readable since 1970-01-01 12:00:00; seen last 1970-01-02 00:00:00, 2 min ago",
        ),
        (
            {"database": {"read": True, "time": 86500, "since": None, "error": "read-only"}},
            "database   read by the pass of 1970-01-02 00:01:40, 20 s ago,"
            " but the result could not be written",
        ),
        (
            {"database": {"read": None, "time": None, "since": None, "error": ""}},
            "database   not known: no pass says whether it could be read",
        ),
        ({"error": "no database"}, "trouble    no database"),
        ({"interfaces": []}, "no managed interfaces"),
    ],
)
def test_it_says_how_passes_and_database_are(
    changed: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show.status(DOCUMENT | changed)
    assert line in lines(capsys)
