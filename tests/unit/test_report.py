"""What a pass tells: each decision once, and nothing where nothing happened."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from multinic.database.connection import Connection
from multinic.database.session import Session
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.report import database, statefile
from multinic.report.log import log_decisions
from multinic.report.report import Report
from multinic.state.statefile import load_state
from multinic.values.desired import RowFlag
from multinic.values.errors import Exit
from multinic.values.plan import Interface, Result, State
from tests.unit.making import desired, entry, files, invalid, link, mac, observed, policy, ready, want
from tests.unit.model_host import ModelHost

STATE = "/run/multinic/state.json"
HOST_1 = ModelHost(observed(link(1, "ens5")))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


def results(wanted: Any, host: ModelHost, **states: State) -> tuple[Result, ...]:
    """Return the results of a pass over a host in which everything converged, but for `states` by name."""
    done = {State.CREATE: State.CONVERGED, State.UPDATE: State.CONVERGED}
    return tuple(
        Result(i, state, i.reason, f"{state}!" if state is not i.state else i.message)
        for i in host.plan(wanted, policy()).interfaces
        for state in [states.get(i.name, done.get(i.state, i.state))]
    )


def report(*found: Result, time: float = 1000.0, node: str = "node1") -> Report:
    return Report("1.2.3", node, "netplan", time, found)


def said(host: Host, told: Report) -> list[str]:
    """Return what the log says of a pass, and leave the state file as that pass does."""
    stream = io.StringIO()
    log_decisions(host, Log(stream=stream), told)
    statefile.write(host, told)
    return stream.getvalue().splitlines()


def test_a_change_is_told_once_and_a_converged_host_says_nothing(host: Host) -> None:
    wanted = desired(want(1))
    after = HOST_1.carry_out(HOST_1.plan(wanted, policy()))
    assert said(host, report(*results(wanted, HOST_1))) == ["multinic0: created: converged!"]
    assert said(host, report(*results(wanted, after))) == []
    assert said(host, report(*results(wanted, after))) == []


def test_the_log_tells_a_repair_from_a_change_of_the_row(host: Host) -> None:
    applied, other = want(1, "10.0.0.5/24"), want(1, "10.0.0.6/24")
    found = ModelHost(
        observed(ready(1, "multinic0", "10.0.0.5/24"), files=files((0, applied))), {mac(1): entry(0, applied)}
    )
    bare = ModelHost(observed(ready(1, "multinic0"), files=files((0, applied))), {mac(1): entry(0, applied)})
    assert said(host, report(*results(desired(other), found))) == [
        "multinic0: changed by its row: converged!"
    ]
    assert said(host, report(*results(desired(applied), bare))) == ["multinic0: repaired drift: converged!"]


def test_a_host_that_was_converged_before_anyone_looked_says_nothing(host: Host) -> None:
    wanted = desired(want(1))
    found = ModelHost(observed(ready(1, "multinic0"), files=files((0, want(1)))))
    assert said(host, report(*results(wanted, found))) == []


def test_a_failure_is_told_when_it_begins_and_when_it_ends_and_not_between(host: Host) -> None:
    wanted = desired(want(1))
    failed = results(wanted, HOST_1, multinic0=State.FAILED)
    assert said(host, report(*failed)) == ["error: multinic0: failed: failed!"]
    assert said(host, report(*failed)) == []
    assert said(host, report(*results(wanted, HOST_1))) == ["multinic0: created: converged!"]


def test_bad_rows_are_told_once_each_also_where_they_share_a_mac(host: Host) -> None:
    twice = [replace(invalid(1), row_id=number, message=f"row {number}: bad") for number in (7, 8)]
    found = results(desired(invalid=twice), ModelHost(observed()))
    assert said(host, report(*found)) == [
        f"error: fa:16:3e:00:00:01: invalid: row {number}: bad" for number in (7, 8)
    ]
    assert said(host, report(*found)) == []


def test_a_blocked_row_is_a_warning(host: Host) -> None:
    blocked = results(desired(want(1)), ModelHost(observed(link(1, "ens5", "192.0.2.1/24"))))
    (line,) = said(host, report(*blocked))
    assert line.startswith("warning: multinic0: blocked: row 1 is not carried out: link ens5 has the address")
    assert said(host, report(*blocked)) == []


def test_a_repeated_repair_is_told_each_time(host: Host) -> None:
    """Somebody undoes our work again and again: an operator must see that."""
    for _ in range(3):
        assert len(said(host, report(*results(desired(want(1)), HOST_1)))) == 1


def test_a_file_that_is_written_again_for_a_link_not_yet_there_is_told_again(host: Host) -> None:
    waiting = results(desired(want(1)), ModelHost(observed()))
    written = results(desired(want(1)), ModelHost(observed(files=files((0, want(1))))))
    assert [len(said(host, report(*found))) for found in (waiting, written, waiting)] == [1, 0, 1]


def test_the_state_file_has_the_documented_fields(host: Host) -> None:
    statefile.write(host, report(*results(desired(want(1, "10.0.0.5/24", mtu=1450)), HOST_1)))
    found = load_state(host)
    assert found["version"] == 1
    assert (found["node"], found["backend"], found["multinic"]) == ("node1", "netplan", "1.2.3")
    assert (found["time"], found["exit"], found["summary"]) == (1000, 0, {"converged": 1})
    assert found["interfaces"] == [
        {
            "key": "fa:16:3e:00:00:01",
            "name": "multinic0",
            "mac": "fa:16:3e:00:00:01",
            "port_id": "port-1",
            "row_id": 1,
            "state": "converged",
            "reason": "converged",
            "message": "as desired",
            "addresses": ["10.0.0.5/24"],
            "mtu": 1450,
            "since": 1000,
        }
    ]
    assert Path(host.path(STATE)).stat().st_mode & 0o777 == 0o644


def test_an_interface_keeps_the_time_since_when_it_is_in_its_state(host: Host) -> None:
    def since(wanted: Any, found: ModelHost, time: float, **states: State) -> int:
        statefile.write(host, report(*results(wanted, found, **states), time=time))
        (item,) = load_state(host)["interfaces"]
        return int(item["since"])

    wanted = desired(want(1))
    after = HOST_1.carry_out(HOST_1.plan(wanted, policy()))
    assert since(wanted, HOST_1, 1000) == 1000
    assert since(wanted, after, 2000) == 1000
    assert since(wanted, HOST_1, 3000, multinic0=State.FAILED) == 3000
    assert since(wanted, HOST_1, 4000, multinic0=State.FAILED) == 3000
    assert since(wanted, HOST_1, 5000) == 5000
    assert since(wanted, HOST_1, 6000) == 6000, "it was put right again: meanwhile it was not as desired"


def test_what_was_removed_is_not_in_the_state(host: Host) -> None:
    managed = ModelHost(observed(ready(1, "multinic0"), ready(2, "multinic1"), ready(3, "multinic2")))
    found = results(desired(want(1), want(2)), managed)
    assert {result.state for result in found} >= {State.DELETE}
    assert [item["name"] for item in statefile.document(report(*found))["interfaces"]] == [
        "multinic0",
        "multinic1",
    ]


def test_the_state_file_is_left_alone_while_nothing_changes_but_for_a_sign_of_life(host: Host) -> None:
    wanted = desired(want(1))
    found = results(wanted, HOST_1.carry_out(HOST_1.plan(wanted, policy())))

    def written(time: float, node: str = "node1") -> bool:
        place = Path(host.path(STATE))
        before = place.stat().st_ino if place.exists() else None
        statefile.write(host, report(*found, time=time, node=node))
        return place.stat().st_ino != before

    assert written(1000)
    assert not written(1001)
    assert not written(1299)
    assert written(1300)
    assert not written(1301)
    assert written(1302, node="node2")
    assert written(900, node="node2"), "a clock that was set back must not silence us until it has caught up"


def test_what_was_done_since_boot_is_counted_and_the_first_pass_remembered(host: Host) -> None:
    wanted = desired(want(1), want(2))
    statefile.write(host, report(*results(wanted, HOST_1, multinic0=State.FAILED)))
    again = ModelHost(observed(link(1, "ens5")))
    statefile.write(host, report(*results(wanted, again), time=1030.0))
    converged = again.carry_out(again.plan(wanted, policy()))
    statefile.write(host, report(*results(wanted, converged), time=2000.0))
    statefile.write(host, report(*results(desired(want(2)), converged), time=2030.0))
    found = load_state(host)
    assert (found["since"], found["time"]) == (1000, 2030)
    assert found["totals"]["failed"] == 1
    assert found["totals"]["removed"] == 1
    assert found["totals"]["configured"] >= 1


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut"),
        pytest.param("[]", id="a list"),
        pytest.param('{"version": 2}', id="another version"),
        pytest.param('{"version": 1}', id="nothing in it"),
        pytest.param('{"version": 1, "interfaces": null, "time": null}', id="nulls"),
        pytest.param('{"version": 1, "interfaces": [1, {}], "time": "x"}', id="wrong kinds"),
        pytest.param("[" * 200_000, id="too deep"),
    ],
)
def test_a_damaged_state_file_is_none_and_is_replaced(host: Host, damaged: str) -> None:
    host.write(STATE, damaged, 0o644)
    found = report(*results(desired(want(1)), HOST_1))
    assert len(said(host, found)) == 1
    assert json.loads(host.read(STATE) or "") == statefile.document(found)


@pytest.mark.parametrize(
    ("states", "status"),
    [
        pytest.param([], Exit.OK, id="nothing"),
        pytest.param([State.CONVERGED, State.UNCHANGED, State.WAITING, State.DELETE], Exit.OK, id="all fine"),
        pytest.param([State.CONVERGED, State.FAILED], Exit.PARTIAL, id="one failed"),
        pytest.param([State.INVALID], Exit.PARTIAL, id="one invalid"),
        pytest.param([State.BLOCKED], Exit.REFUSED, id="one refused"),
        pytest.param([State.BLOCKED, State.FAILED], Exit.PARTIAL, id="failed says more than refused"),
    ],
)
def test_the_exit_status_says_what_a_script_must_know(states: list[State], status: Exit) -> None:
    interface = Interface("multinic0", None, "", "", 1, State.CREATE, "", "")
    assert report(*(Result(interface, state, "", "") for state in states)).exit is status


@pytest.mark.parametrize(
    ("flag", "state", "written"),
    [
        pytest.param(False, State.CONVERGED, {1: True}, id="success is written"),
        pytest.param(None, State.CONVERGED, {1: True}, id="over NULL too"),
        pytest.param(True, State.CONVERGED, None, id="but not twice"),
        pytest.param(True, State.UNCHANGED, None, id="nor when nothing happened"),
        pytest.param(False, State.UNCHANGED, {1: True}, id="a replaced row is told again"),
        pytest.param(True, State.FAILED, {1: False}, id="failure is written"),
        pytest.param(False, State.FAILED, None, id="but not twice either"),
        pytest.param(True, State.BLOCKED, {1: False}, id="refused is no success"),
        pytest.param(True, State.INVALID, {1: False}, id="invalid is no success"),
        pytest.param(False, State.WAITING, None, id="waiting is neither"),
    ],
)
def test_the_database_is_written_only_where_the_value_changes(
    flag: bool | None, state: State, written: dict[int, bool] | None
) -> None:
    interface = Interface("multinic0", None, "", "", 1, State.CREATE, "", "")
    executed: list[tuple[str, tuple[Any, ...]]] = []

    class Transaction:
        def __enter__(self) -> None:
            executed.append(("BEGIN", ()))

        def __exit__(self, *_: object) -> None:
            executed.append(("COMMIT", ()))

    connection = Connection(
        execute=lambda statement, values: (executed.append((statement, tuple(values))), ([], [], 1))[1],
        close=lambda: None,
        transaction=Transaction,
        where="here",
    )
    rows = replace(desired(), flags=(RowFlag(1, flag),))
    database.write(
        Session([lambda _: connection], placeholder="?", product="sqlite"),
        rows,
        report(Result(interface, state, "", "")),
    )
    values = [(statement, ids) for statement, ids in executed if statement.startswith("UPDATE")]
    if written is None:
        assert executed == []
    else:
        ((statement, ids),) = values
        assert f"SET netplan_success = {int(written[1])} " in statement
        assert ids == (1,)
