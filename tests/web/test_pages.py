"""What the dashboard answers on real databases: the same on both products."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from multinic.dashboard import export, filters, options, pages, statements
from multinic.dashboard.listings import INTERFACES, LISTINGS, NODES
from multinic.dashboard.pages import Asking
from multinic.dashboard.web import FRESH
from multinic.database import source
from multinic.host import config
from multinic.values.counts import STATES
from tests.web.conftest import HOSTILE, Place
from tests.web.server import Page

NODE = f"/node?{urlencode({'name': HOSTILE})}"
SUBNET = f"/subnet?{urlencode({'id': '<svg onload=x>'})}"
EVERY = ("/", "/nodes", "/interfaces", "/wall", "/node?name=worker-a001", NODE, SUBNET)


def everything(place: Place, name: str, query: str = "") -> list[dict[str, Any]]:
    """Return the whole list, with all columns, as the export gives it."""
    columns = urlencode([("columns", column) for column in LISTINGS[name].columns])
    answer = place.dashboard.get(f"/api/v1/export/{name}.json?{columns}&{query}")
    assert answer.status == 200
    assert answer.json["cut"] is False
    return answer.json["rows"]


@pytest.mark.parametrize("path", EVERY)
def test_a_page_names_its_twin_and_has_nothing_from_elsewhere_or_inline(place: Place, path: str) -> None:
    answer = place.dashboard.get(path)
    assert answer.status == 200, answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert answer.headers["cache-control"] == "no-store"
    page = Page(answer.text)
    assert page.inline == []
    assert len(page.files) == 4
    assert all(file.startswith(("/static/", "/api/v1/")) for file in page.files)
    twin = re.fullmatch(r'<(.*)>; rel="alternate"; type="application/json"', answer.headers["link"])
    assert twin
    assert place.dashboard.get(twin[1]).json["as_of"]


def test_hostile_text_is_shown_as_text_in_every_column(place: Place) -> None:
    for path in EVERY:
        text = place.dashboard.get(path).text
        for harm in (
            *("<script>alert", "<img>", "<i>", "<s>", "<u>", "<svg onload"),
            *"\u202e\u2066\x00\x1b",
        ):
            assert harm not in text, (path, harm)
    assert "&lt;script&gt;alert(1)" in place.dashboard.get(NODE).text
    assert "\\u202e" in place.dashboard.get(NODE).text
    lines = list(csv.reader(io.StringIO(place.dashboard.get("/api/v1/export/interfaces.csv").text)))
    assert [line[0] for line in lines].count("node") == 1
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@"))]
    assert "'=HYPERLINK(1)" in {cell for line in lines for cell in line}
    asked = "/nodes?" + urlencode({"q": "<b>%(x)s%s{{7*7}}"})
    assert "&lt;b&gt;%(x)s%s{{7*7}}" in place.dashboard.get(asked).text
    refused = place.dashboard.get("/nodes?" + urlencode({"<b>%(x)s%s": "1"}))
    assert refused.status == 400
    assert "<b>" not in refused.text
    assert "&lt;b&gt;%(x)s%s" in refused.text


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=lambda listing: listing.name)
def test_the_parts_of_a_list_have_each_row_once_in_every_order(place: Place, listing: Any) -> None:
    whole = {row[listing.key] for row in everything(place, listing.name)}
    for order in (sign + name for name in listing.orders for sign in ("", "-")):
        parts, query = [], f"sort={order}&size=50"
        while query:
            parts.append(place.dashboard.get(f"/api/v1/{listing.name}?{query}").json)
            query = parts[-1]["next"]
        found = [row[listing.key] for part in parts for row in part["rows"]]
        assert len(found) == len(whole) == parts[0]["total"]
        assert set(found) == whole
        key = order.removeprefix("-")
        values = [row[key] for part in parts for row in part["rows"]]
        assert values == sorted(values, reverse=order.startswith("-"))
        back, query = [parts[-1]], parts[-1]["previous"]
        while query:
            back.append(place.dashboard.get(f"/api/v1/{listing.name}?{query}").json)
            query = back[-1]["previous"]
        assert [part["rows"] for part in reversed(back)] == [part["rows"] for part in parts]
        assert parts[0]["previous"] is None


def test_filters_and_counts_say_the_truth(place: Place) -> None:
    rows = everything(place, "interfaces")
    assert {row["state"] for row in rows} >= {"converged", "failed", "invalid", "waiting"}
    cases: dict[str, Any] = {
        "state=failed": lambda row: row["state"] == "failed",
        "state=failed&state=invalid": lambda row: row["state"] in ("failed", "invalid"),
        "state=!converged&state=!waiting": lambda row: row["state"] not in ("converged", "waiting"),
        "state=!converged&reason=bad-cidr&reason=in-use": lambda row: row["reason"] in ("bad-cidr", "in-use"),
        "q=worker-a&state=!failed": lambda row: (
            row["node"].startswith("worker-a") and row["state"] != "failed"
        ),
    }
    for query, fits in cases.items():
        expected = [row["id"] for row in rows if fits(row)]
        assert expected, query
        answer = place.dashboard.get(f"/api/v1/interfaces?size=500&{query}").json
        assert sorted(row["id"] for row in answer["rows"]) == sorted(expected)
        assert answer["total"] == len(expected)
        assert [row["id"] for row in everything(place, "interfaces", query)]
    # A number beside a value is what the list would have with that value instead.
    for query, fits in {
        "": lambda row: True,
        "&q=worker-a": lambda row: row["node"].startswith("worker-a"),
    }.items():
        answer = place.dashboard.get(f"/api/v1/interfaces?state=failed&reason=!in-use{query}").json
        states = Counter(row["state"] for row in rows if fits(row) and row["reason"] != "in-use")
        assert {word: number for word, number in answer["facets"]["state"].items() if number} == dict(states)
        reasons = Counter(row["reason"] for row in rows if fits(row) and row["state"] == "failed")
        assert answer["facets"]["reason"] == dict(reasons)
    nodes = everything(place, "nodes")
    silent = {row["node"] for row in nodes if row["silent"]}
    assert silent
    found = place.dashboard.get("/api/v1/nodes?silent=yes").json
    assert {row["node"] for row in found["rows"]} == silent
    assert found["facets"]["silent"] == {"yes": len(silent), "no": len(nodes) - len(silent)}


def test_a_search_finds_by_what_it_looks_like_and_nothing_else(place: Place) -> None:
    rows = everything(place, "interfaces")
    one = next(row for row in rows if row["state"] == "converged")
    address = one["addresses"].partition("/")[0]
    for text, fits in {
        one["mac"].upper().replace(":", "-"): lambda row: row["mac"] == one["mac"],
        one["mac"][:11]: lambda row: row["mac"].startswith(one["mac"][:11]),
        one["port_id"]: lambda row: row["port_id"] == one["port_id"],
        one["port_id"][:13]: lambda row: row["port_id"].startswith(one["port_id"][:13]),
        address: lambda row: row["addresses"].startswith(f"{address}/"),
        one["node"]: lambda row: row["node"] == one["node"],
        one["node"][:8]: lambda row: row["node"].startswith(one["node"][:8]),
        "bad-cidr": lambda row: row["reason"] == "bad-cidr",
        "*no carrier*": lambda row: "no carrier" in row["message"],
        "100%_!": lambda row: False,
        "*%*": lambda row: "%" in row["message"] + row["node"],
    }.items():
        found = everything(place, "interfaces", urlencode({"q": text}))
        assert sorted(row["id"] for row in found) == sorted(row["id"] for row in rows if fits(row)), text
    for text, path in {
        one["mac"].replace(":", "-"): f"/node?name={one['node']}",
        one["port_id"]: f"/node?name={one['node']}",
        one["node"]: f"/node?name={one['node']}",
        one["node"][:8]: f"/nodes?q={one['node'][:8]}",
        address: f"/interfaces?q={address}",
    }.items():
        answer = place.dashboard.get(f"/jump?{urlencode({'q': text})}")
        assert (answer.status, answer.headers["location"]) == (303, path)


def test_the_overview_counts_what_the_lists_have_and_leaves_out_who_is_retired(place: Place) -> None:
    found = place.dashboard.get("/api/v1/overview").json
    rows, nodes = everything(place, "interfaces"), everything(place, "nodes")
    assert "retired-1" not in {row["node"] for row in nodes}
    assert found["nodes"]["total"] == len(nodes)
    assert found["nodes"]["silent"] == sum(row["silent"] for row in nodes)
    # The hostile node has one interface more than its own row counts.
    assert found["interfaces"]["total"] == len(rows) - 1
    bad = [row for row in rows if row["state"] in ("failed", "invalid", "blocked")]
    reasons = Counter((row["state"], row["reason"]) for row in bad)
    assert {(row["state"], row["reason"]): row["interfaces"] for row in found["reasons"]} == dict(reasons)
    assert sum(row["interfaces"] for row in found["subnets"]) == reasons.total()
    assert {row["version"]: row["nodes"] for row in found["versions"]} == dict(
        Counter(row["version"] for row in nodes)
    )
    assert sum(hour["changes"] for hour in found["hours"]) > 0
    wall = place.dashboard.get("/wall").text
    assert re.search(r"<title>✕ \d+ not as desired", wall)


def test_a_node_shows_what_it_should_have_beside_what_it_has(place: Place) -> None:
    bad = next(row for row in everything(place, "interfaces", "state=failed") if row["mac"].startswith("fa:"))
    found = place.dashboard.get(f"/api/v1/node?{urlencode({'name': bad['node']})}").json
    one = next(row for row in found["interfaces"] if row["id"] == bad["id"])
    fields = {field["field"]: field for field in one["fields"]}
    assert fields["addresses"]["differs"]
    assert fields["addresses"]["desired"].endswith("/16")
    assert not fields["mac"]["differs"]
    assert one["subnet"]["cidr"].startswith("10.")
    assert found["events"][0]["at"] >= found["events"][-1]["at"]
    good = next(row for row in everything(place, "interfaces", "state=converged"))
    found = place.dashboard.get(f"/api/v1/node?{urlencode({'name': good['node']})}").json
    one = next(row for row in found["interfaces"] if row["id"] == good["id"])
    assert not any(field["differs"] for field in one["fields"])
    subnet = place.dashboard.get(f"/api/v1/subnet?{urlencode({'id': one['subnet']['subnet_id']})}").json
    taken = next(row for row in subnet["rows"] if row["port_id"] == good["port_id"])
    assert taken["state"] == "converged"
    assert taken["taken"] == [good["addresses"].partition("/")[0]]


@pytest.mark.parametrize(
    "path",
    [
        *("nodes?size=51", "nodes?sort=error", "nodes?columns=password", "nodes?q=a&q=b", "overview?x=1"),
        "node",
        *("nodes?after=x", "nodes?after=WyJhIiwxXQ&before=WyJhIl0", "nodes?q=" + "a" * 256),
        *("interfaces?after=WzEsMV0" + "A" * 5000, "interfaces?after=WyJhIiwxZTk5XQ", "subnet?id=a&after=-1"),
        "interfaces?" + "&".join(["state=failed"] * 61),
        "interfaces?after=" + filters.written(["a", 2**70]),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused_in_one_shape(place: Place, path: str) -> None:
    answer = place.dashboard.get(f"/api/v1/{path}")
    assert answer.status == 400, answer.text
    assert answer.json["error"]["code"] == "invalid"
    assert answer.json["error"]["message"]
    assert place.dashboard.get(f"/{path}" if "overview" not in path else "/?x=1").status == 400


def test_what_is_not_there_is_not_found_and_nothing_can_be_changed(place: Place) -> None:
    for path in (
        *("/nope", "/overview", "/api/v1/nope", "/api/v2/nodes", "/static/../web.py", "/node?name=nobody"),
        *("/subnet?id=none", "/api/v1/export/nodes.xml"),
    ):
        assert place.dashboard.get(path).status == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = place.dashboard.get("/nodes", method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert place.dashboard.get("/nodes", "HEAD").body == b""
    assert place.dashboard.get("/nodes?q=" + "a" * 9000).status == 414
    assert place.dashboard.get("/api/v1/nodes?q=" + "a" * 9000).json["error"]["code"] == "too-long"


def asking(place: Place, query: str = "") -> Asking:
    found = config.load(None, {"database.url": place.url}, {}, default="/nonexistent")
    return Asking(source.connect(found.database), options.of_settings(found), parse_qsl(query))


STATEMENTS = {"overview": 11, "wall": 3, "nodes": 3, "interfaces": 3, "node": 6, "subnet": 4}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_page_asks_no_more_of_the_database_than_it_did(place: Place, name: str) -> None:
    assert pages.PAGES.keys() == STATEMENTS.keys()
    queries = {"node": "name=worker-a001", "subnet": "id=00000000-5b1e-4000-8000-000000000000"}
    asked = asking(place, queries.get(name, ""))
    sent: list[str] = []
    execute = asked.database.execute
    asked.database.execute = lambda text, values: (sent.append(text), execute(text, values))[1]  # type: ignore[method-assign]
    with asked.database:
        pages.PAGES[name].make(asked)
    assert len(sent) <= STATEMENTS[name], "\n".join(sent)


def test_the_states_of_the_last_hours_end_with_those_of_now(place: Place) -> None:
    for span, hours in (("24h", 24), ("7d", 168)):
        found = place.dashboard.get(f"/api/v1/overview?span={span}").json
        now = found["states"][-1]
        assert [len(found["states"]), now["at"]] == [hours, found["as_of"]]
        assert {name: now[name] for name in STATES} == {name: found["interfaces"][name] for name in STATES}
        assert now["unknown"] == 0
        for hour in found["states"]:
            database = place.fleet.database
            until = hour["at"].replace("T", " ").rstrip("Z")
            text = (
                "SELECT COUNT(*) FROM multinic_interface "
                f"WHERE state = 'failed' AND since <= '{until}' AND node LIKE 'worker-%'"
            )
            _, ((since,),), _ = database.execute(text, ())
            assert hour["failed"] >= since  # and those that have recovered
            assert sum(hour[name] for name in (*STATES, "unknown")) == found["interfaces"]["total"]
    page = place.dashboard.get("/").text
    assert page.count("<rect") > 24
    assert place.dashboard.get("/?span=1y").status == 400


def test_an_export_is_cut_at_its_limit_and_says_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROWS_MAX", 60)
    asked = asking(place)

    async def read(listed: filters.Filter) -> Any:
        found = statements.page(asked.database, replace(listed, size=20), asked.words)
        return found.rows, replace(listed, after=found.last) if found.last else None

    async def gather(lines: Any) -> str:
        return "".join([line async for line in lines])

    with asked.database:
        document = json.loads(asyncio.run(gather(export.as_json(filters.Filter(INTERFACES), read))))
        assert document["cut"] is True
        assert len({row["mac"] for row in document["rows"]}) == 60
        lines = asyncio.run(gather(export.as_csv(filters.Filter(INTERFACES), read))).splitlines()
        assert lines[-1].startswith("# cut after 60 rows")
        few = filters.Filter(NODES, search="worker-a00")
        assert "cut" not in asyncio.run(gather(export.as_csv(few, read)))


def test_many_readers_of_one_page_ask_the_database_once(place: Place) -> None:
    def reads() -> int:
        text = place.dashboard.get("/metrics").text
        return int(re.search(r"^multinic_dashboard_database_reads_total (\d+)", text, re.MULTILINE)[1])

    before, begun = reads(), time.monotonic()
    with ThreadPoolExecutor(5) as readers:
        found = list(readers.map(lambda _: place.dashboard.get("/nodes?q=worker-c").status, range(50)))
    assert found == [200] * 50
    assert reads() - before <= 2 + (time.monotonic() - begun) / FRESH  # however slow the machine is


def test_a_fragment_has_no_frame_and_is_not_sent_again_while_it_is_the_same(place: Place) -> None:
    answer = place.dashboard.get("/nodes?q=worker-b", X_Fragment="1")
    assert '<main id="content"' in answer.text
    assert "<header>" not in answer.text
    again = place.dashboard.get("/nodes?q=worker-b", X_Fragment="1", If_None_Match=answer.headers["etag"])
    assert again.status == 304
    assert again.headers["x-as-of"].endswith("Z")
    other = place.dashboard.get(
        "/nodes?q=worker-b", X_Fragment="1", If_None_Match=answer.headers["etag"], Accept_Language="ko"
    )
    assert other.status == 200


def test_the_description_of_the_api_names_what_there_is(place: Place) -> None:
    found = place.dashboard.get("/api/v1/openapi.json").json
    assert set(found["paths"]) == {
        *(f"/{name}" for name in pages.PAGES),
        *(f"/export/{name}.{kind}" for name in LISTINGS for kind in ("csv", "json")),
    }
    examples = {"node": "worker-a001", "subnet": "00000000-5b1e-4000-8000-000000000000"}
    for path, of in found["paths"].items():
        given = {}
        for parameter in of["get"]["parameters"]:
            schema = parameter["schema"]
            schema = schema.get("items", schema)
            if parameter["required"]:
                given[parameter["name"]] = examples[path.strip("/")]
            elif parameter["name"] not in ("after", "before"):
                given[parameter["name"]] = str(schema["enum"][-1]) if "enum" in schema else "a"
        answer = place.dashboard.get(f"/api/v1{path}?{urlencode(given)}")
        assert answer.status == 200, (path, answer.text)
