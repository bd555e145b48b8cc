"""The harness itself: every variant of the tables can be made and filled on both databases."""

from __future__ import annotations

import sqlite3

import pytest

from tests.schemas import VARIANTS, execute, insert


@pytest.fixture(params=["mariadb", "sqlite"])
def connection(request, tmp_path):
    if request.param == "sqlite":
        made = sqlite3.connect(tmp_path / "database", isolation_level=None)
        made.execute("PRAGMA foreign_keys = ON")
    else:
        made = request.getfixturevalue("mariadb").connect(database=request.getfixturevalue("database"))
    yield made
    made.close()


@pytest.mark.parametrize("schema", VARIANTS, ids=str)
def test_a_port_can_be_attached(connection, schema):
    schema.create(connection)
    extra = {"address": "10.0.0.5", "mtu": 1450} if schema.mtu else {}
    first = schema.attach(connection, "fa:16:3e:00:00:01", **extra)
    second = schema.attach(connection, "fa:16:3e:00:00:02", node="node2", netplan_success=1)
    assert (first, second) == (1, 2)
    pending = execute(connection, "SELECT id FROM multi_interface WHERE netplan_success = 0").fetchall()
    assert len(pending) == 1


def test_the_controllers_keys_hold(connection):
    schema = VARIANTS[-1]
    schema.create(connection)
    schema.attach(connection, "fa:16:3e:00:00:01", port_id="same")
    with pytest.raises(Exception, match=r"Duplicate|UNIQUE"):
        schema.attach(connection, "fa:16:3e:00:00:02", port_id="same")
    row = {"port_id": "p", "subnet_id": "unknown", "macaddress": "m", "cr_namespace": "n", "cr_name": "c"}
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        insert(connection, "multi_interface", **row)
