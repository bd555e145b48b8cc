"""Fleets on both products, and a dashboard of each; made once, as reading changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from multinic.demo.fleet import Fleet
from multinic.values.settings import DatabaseSettings, Secret
from tests.mariadb import PrivateMariaDB
from tests.web.server import Dashboard, dashboard

HOSTILE = "<script>alert(1)</script>\"'=1+1 {{7*7}} %(x)s \u202e\u2066\x1b[31m& </title>"
"""As an attacker with rights on the tables could write it; NUL is for the product that takes it."""


def settings(url: str, password: str = "") -> DatabaseSettings:
    return DatabaseSettings(url, Secret(password), connect_timeout=3, read_timeout=5, ignore_deleted_at=False)


class Place(NamedTuple):
    """A fleet and its dashboard."""

    fleet: Fleet
    dashboard: Dashboard
    url: str


@pytest.fixture(scope="module", params=["mariadb", "sqlite"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mariadb: PrivateMariaDB
) -> Iterator[Place]:
    directory: Path = tmp_path_factory.mktemp("place")
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{directory}/fleet.db" if sqlite else mariadb.url(database=mariadb.fresh_database())
    with Fleet(settings(url), nodes=80) as fleet:
        poison(fleet)
        with dashboard(url, directory, retired="retired-*") as running:
            yield Place(fleet, running, url)


def poison(fleet: Fleet) -> None:
    """Write hostile text into every column of a node, its interface, its event, its row and its subnet."""
    database = fleet.database
    mark = database.placeholder
    text = "\x00" + HOSTILE if database.product == "sqlite" else HOSTILE

    def insert(table: str, **values: object) -> None:
        columns = ", ".join(values)
        marks = ", ".join([mark] * len(values))
        database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(values.values()))

    times = {"since": "2026-01-01 00:00:00", "changed": "2026-01-01 00:00:00"}
    words = dict.fromkeys(("version", "error"), text)
    cut = text[:16] if database.product == "mysql" else text
    silent = {"last_seen": "2020-01-01 00:00:00", "last_result": "error"}
    insert("multinic_node", node=HOSTILE, **silent, **words, **times)
    insert("multinic_node", node="retired-1", **silent, **times)
    short = dict.fromkeys(("operational",), cut)
    wide = dict.fromkeys(("name", "mac", "reason", "port_id"), text[:64])
    wide["name"] = "=HYPERLINK(1)"
    long = {"message": text + "x" * 900, "addresses": text}
    insert(
        "multinic_interface", node=HOSTILE, interface_key="k", row_id=900001, state="failed",
        **short, **wide, **long, **times,
    )  # fmt: skip
    insert(
        "multinic_event", node=HOSTILE, number=1, at="2026-01-01 00:00:00", kind="<i>", attempt="", fields="",
        changes='[{"field": "<script>", "from": "<b>", "to": null}]', message=text, reason="<s>",
    )  # fmt: skip
    insert("multi_subnet", subnet_id="<svg onload=x>", subnet_name=HOSTILE, cidr="<u>10.0.0.0/8")
    insert(
        "multi_interface", id=900001, port_id="<p>", subnet_id="<svg onload=x>", macaddress="<img>",
        address=HOSTILE, mtu=1400, attached_node_name=HOSTILE,
    )  # fmt: skip
