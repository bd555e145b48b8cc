"""A plan as JSON, and whether a saved one may still be carried out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from multinic.report.document import check_fresh, document
from multinic.values.desired import Desired
from multinic.values.errors import ConfigError, Refused
from multinic.values.plan import Plan
from tests.unit.making import desired, entry, files, invalid, link, mac, observed, path, policy, ready, want
from tests.unit.model_host import ModelHost

HOST = ModelHost(
    observed(link(1, "ens5"), ready(2, "multinic1", "10.0.0.6/24"), files=files((1, want(2, "10.0.0.6/24")))),
    {mac(2): entry(1, want(2, "10.0.0.6/24"))},
)
WANTED = desired(want(1, "10.0.0.5/24"), want(2, "10.0.0.6/24"), invalid=[invalid(None)])


def plan(wanted: Desired = WANTED, host: ModelHost = HOST) -> Plan:
    return host.plan(wanted, policy())


def saved(of: Plan) -> Any:
    return json.loads(json.dumps(document(of)))


def test_a_plan_has_the_documented_fields() -> None:
    found = saved(plan())
    assert (found["version"], found["node"], found["backend"]) == (1, "node1", "netplan")
    assert found["summary"] == {"create": 1, "invalid": 1, "unchanged": 1}
    assert found["converged"] is False
    new, unchanged, bad = found["interfaces"]
    assert new == {
        "name": "multinic0",
        "mac": "fa:16:3e:00:00:01",
        "port_id": "port-1",
        "row_id": 1,
        "link": "ens5",
        "state": "create",
        "reason": "new",
        "message": "link ens5 is to become multinic0",
        "changes": [
            {"field": "name", "from": "ens5", "to": "multinic0"},
            {"field": "state", "from": "down", "to": "up"},
            {"field": "address", "from": None, "to": "10.0.0.5/24"},
        ],
        "files": [
            {
                "path": path(0),
                "action": "create",
                "mode": "0600",
                "from": None,
                "to": "multinic0 fa:16:3e:00:00:01 10.0.0.5/24 mtu None\n",
            }
        ],
    }
    assert (unchanged["state"], unchanged["changes"], unchanged["files"]) == ("unchanged", [], [])
    assert (bad["name"], bad["mac"], bad["port_id"], bad["row_id"], bad["link"]) == (
        None,
        "'zz:'",
        None,
        99,
        None,
    )


def test_a_converged_host_is_said_to_be() -> None:
    assert saved(plan(host=HOST.carry_out(plan())))["converged"] is True


def test_a_plan_that_still_holds_is_fresh() -> None:
    check_fresh(saved(plan()), plan())


@pytest.mark.parametrize(
    ("wanted", "host"),
    [
        pytest.param(desired(*WANTED.links), HOST, id="a row was corrected"),
        pytest.param(
            desired(want(1), *WANTED.links[1:], invalid=WANTED.invalid), HOST, id="an address changed"
        ),
        pytest.param(
            desired(want(1, "10.0.0.5/24", row_id=8), *WANTED.links[1:], invalid=WANTED.invalid),
            HOST,
            id="a row was replaced",
        ),
        pytest.param(WANTED, HOST.carry_out(plan()), id="it was carried out already"),
        pytest.param(
            WANTED, ModelHost(replace(HOST.observed, files={}), HOST.entries), id="a file was deleted by hand"
        ),
        pytest.param(
            WANTED,
            ModelHost(replace(HOST.observed, links=(link(1, "ens6"), HOST.observed.links[1])), HOST.entries),
            id="a link has another name now",
        ),
    ],
)
def test_a_plan_that_holds_no_more_is_refused_as_stale(wanted: Desired, host: ModelHost) -> None:
    with pytest.raises(Refused, match=r"the saved plan is stale: .*; it was not carried out"):
        check_fresh(saved(plan()), plan(wanted, host))


def test_a_stale_plan_says_whose_it_is() -> None:
    with pytest.raises(Refused, match="changed for multinic0;"):
        check_fresh(saved(plan()), plan(desired(want(1), *WANTED.links[1:], invalid=WANTED.invalid)))


@pytest.mark.parametrize("field", ["node", "backend"])
def test_a_plan_of_another_host_is_refused(field: str) -> None:
    other = saved(plan()) | {field: "other\x1b[2J"}
    with pytest.raises(Refused, match=f"is for {field} 'other") as refused:
        check_fresh(other, plan())
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"version": 2, "interfaces": []}, id="another version"),
        pytest.param({"version": 1}, id="no interfaces"),
        pytest.param({"version": 1, "interfaces": {}}, id="interfaces of another kind"),
    ],
)
def test_what_is_no_plan_is_a_mistake_of_the_caller(other: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not a plan"):
        check_fresh(other, plan())


@pytest.mark.parametrize("junk", [[1, None, "x"], [{}], [{"name": ["x"]}], []], ids=repr)
def test_junk_among_the_interfaces_is_refused(junk: list[Any]) -> None:
    with pytest.raises(Refused, match="stale"):
        check_fresh(saved(plan()) | {"interfaces": junk}, plan())
