"""`netplan_success` 1 is about the row that was carried out, not about what the row asks for by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from multinic.database import rows
from multinic.report import database as rows_report
from multinic.report.report import Report
from multinic.values.errors import SourceRejected
from multinic.values.plan import Interface, Result, State
from tests.schemas import BASE, CONTROLLER, VARIANTS

OPTIONS = '{"description": "Uplink", "rp_filter": 2}'
STAYS = "mtu = mtu"
CHANGES = [
    "address = '10.0.0.99'",
    "address = NULL",
    "mtu = 1300",
    "mtu = NULL",
    "macaddress = 'fa:16:3e:00:09:99'",
    "options = NULL",
    # The collation of a column may take this for the same text.
    f"options = '{OPTIONS.replace('Uplink', 'uplink')}'",
    "deleted_at = '2026-01-01 00:00:00'",
    "status = 'deleted'",
    "attached_node_name = 'node2'",
    "attached_node_name = ''",  # of this node by its id, as before
    STAYS,
]


def attach(store, variant, count, **values):
    """Insert `count` rows; their ids are 1 and so on."""
    for number in range(1, count + 1):
        variant.attach(store.connection, f"FA:16:3E:00:00:{number:02X}", **values)


def written(
    store, meanwhile: Sequence[str] = (), state=State.CONVERGED, *, then: Sequence[str] = ()
) -> Mapping[int, int]:
    """Report a pass that carried out all rows; row N meets the N-th change after its last read.

    `then`: statements of another program at that time.
    """
    with store.open() as database:
        answer = database.ask("node1")
        desired = rows.desired("node1", answer, ignore_deleted_at=False, database="")
        results = tuple(
            Result(Interface("", link.mac, "", "", link.row_id, state, "", ""), state, "", "")
            for link in desired.links
        )
        for number, change in enumerate(meanwhile, 1):
            store.sql(f"UPDATE multi_interface SET {change} WHERE id = {number}")
        for statement in then:
            store.sql(statement)
        report = Report("1", "node1", "", 0.0, results)
        rows_report.write(database, desired, report, answer=answer)
    found = store.sql("SELECT id, netplan_success FROM multi_interface ORDER BY id")
    return {row["id"]: row["netplan_success"] for row in found}


def test_a_row_that_changes_after_the_last_read_does_not_get_a_one(store):
    CONTROLLER.create(store.connection)
    if store.product == "mariadb":
        store.sql("ALTER TABLE multi_interface MODIFY options JSON")
    attach(store, CONTROLLER, len(CHANGES), mtu=1450, options=OPTIONS)
    for number in range(1, len(CHANGES) + 1):
        store.sql(f"UPDATE multi_interface SET address = '10.0.0.{number}' WHERE id = {number}")
    found = written(store, CHANGES)
    assert [CHANGES[row - 1] for row, flag in found.items() if flag] == ["attached_node_name = ''", STAYS]


SUBNETS = {
    "subnet-0": "subnet_name = subnet_name",
    "subnet-1": "cidr = '10.0.0.0/16'",
    "subnet-2": "options = '{}'",
    "subnet-3": "options = NULL",
    "subnet-4": "subnet_id = 'elsewhere'",
    "subnet-5": "subnet_name = 'renamed'",
    "subnet-6": "id = id",  # another row with this subnet_id
    "subnet-7": "id = id",  # one of two rows with this subnet_id goes
    "none": "id = id",  # a subnet comes where there was none
}


def test_a_subnet_that_changes_after_the_last_read_keeps_its_rows_from_a_one(store):
    BASE.create(store.connection)
    columns = "id INTEGER PRIMARY KEY, subnet_id VARCHAR(36), subnet_name TEXT, cidr TEXT, options TEXT"
    store.sql(f"CREATE TABLE multi_subnet ({columns})")
    insert = "INSERT INTO multi_subnet (id, subnet_id, cidr, options) VALUES (%s, %s, '10.0.0.0/24', %s)"
    for number, subnet in enumerate(SUBNETS):
        if subnet != "none":
            store.sql(insert, number, subnet, OPTIONS)
        mac, address = f"FA:16:3E:00:00:{number:02X}", f"10.0.0.{number + 1}/24"
        BASE.attach(store.connection, mac, subnet_id=subnet, address=address)
    store.sql(insert, 77, "subnet-7", OPTIONS)
    then = [
        *(f"UPDATE multi_subnet SET {change} WHERE subnet_id = '{name}'" for name, change in SUBNETS.items()),
        f"INSERT INTO multi_subnet VALUES (66, 'subnet-6', '', '10.0.0.0/24', '{OPTIONS}')",
        "DELETE FROM multi_subnet WHERE id = 77",
        "INSERT INTO multi_subnet VALUES (88, 'none', '', '10.0.0.0/24', NULL)",
    ]
    flags = dict(zip(SUBNETS, written(store, then=then).values(), strict=True))
    assert [subnet for subnet, flag in flags.items() if flag] == ["subnet-0", "subnet-5"]
    assert set(written(store).values()) == {1}, "the next pass writes what this one did not"


def test_a_table_of_subnets_that_goes_meanwhile_is_said(store):
    CONTROLLER.create(store.connection)
    attach(store, CONTROLLER, 1)
    with pytest.raises(SourceRejected, match="its tables are others by now"):
        written(store, then=["ALTER TABLE multi_subnet RENAME TO gone"])


def test_a_value_that_comes_where_none_was_counts_too(store):
    BASE.create(store.connection)
    attach(store, BASE, 4)
    changes = ["address = '10.0.0.5/24'", "mtu = 1450", f"options = '{OPTIONS}'", STAYS]
    assert written(store, changes) == {1: 0, 2: 0, 3: 0, 4: 1}


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_row_that_stays_as_it_is_gets_its_one_in_tables_of_every_kind(store, variant):
    variant.create(store.connection)
    attach(store, variant, 2)
    assert written(store) == {1: 1, 2: 1}


def test_a_value_of_another_type_is_compared_as_it_came(store):
    BASE.create(store.connection)
    for kind in ("BLOB", "VARCHAR(20)", "DECIMAL(10,2)", "DOUBLE", "BIGINT"):
        store.sql("DELETE FROM multi_interface")
        store.sql("ALTER TABLE multi_interface DROP COLUMN mtu")
        store.sql(f"ALTER TABLE multi_interface ADD COLUMN mtu {kind}")
        attach(store, BASE, 2, mtu=b"1450" if kind == "BLOB" else 1450)
        first = store.sql("SELECT MIN(id) id FROM multi_interface")[0]["id"]
        store.sql("UPDATE multi_interface SET id = id - %s", first - 1)
        assert written(store, ["mtu = 1400", STAYS]) == {1: 0, 2: 1}, kind


def test_a_text_in_another_character_set_gets_its_one(store):
    BASE.create(store.connection)
    if store.product == "mariadb":
        store.sql("ALTER TABLE multi_interface MODIFY options TEXT CHARACTER SET latin1")
    attach(store, BASE, 2, options='{"description": "\N{LATIN SMALL LETTER U WITH DIAERESIS}ber"}')
    assert written(store, ["mtu = 1400", STAYS]) == {1: 0, 2: 1}


def test_many_rows_are_compared(store):
    BASE.create(store.connection)
    attach(store, BASE, 100, mtu=1450)
    changes = [STAYS] * 100
    changes[2] = changes[76] = "mtu = 1400"
    assert [row for row, flag in written(store, changes).items() if not flag] == [3, 77]


def test_a_failure_is_written_whatever_the_row_asks_for_by_now(store):
    BASE.create(store.connection)
    attach(store, BASE, 2, netplan_success=1)
    assert written(store, ["mtu = 1300", STAYS], State.FAILED) == {1: 0, 2: 0}
