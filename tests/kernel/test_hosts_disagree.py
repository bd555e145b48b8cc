"""Several hosts of one database, of which the first has lost its rows: a host made anew, a wrong schema."""

from __future__ import annotations

import json

import pytest

from tests.kernel.node import mac_of
from tests.kernel.test_fuse import a_minute_passes, gone
from tests.kernel.test_lagging_replica import known_for_long
from tests.kernel.test_source_failing import PASSWORD, remote, three  # noqa: F401 - fixtures
from tests.mariadb import PrivateMariaDB
from tests.mariadb import missing as mariadb_missing

pytestmark = pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))


@pytest.fixture
def anew(three):  # noqa: F811
    """A node whose first database host was made anew, with the tables and no rows; the second has all."""
    with PrivateMariaDB() as other:
        other.start()
        other.execute(f"CREATE DATABASE `{three.name}`")
        other.create_user("node", PASSWORD, [f"SELECT, UPDATE ON `{three.name}`.*"])
        connection = other.connect(database=three.name)
        three.node.schema.create(connection)
        connection.close()
        own, three.server = three.server, other
        three.empty = three.way()
        three.server = own
        three.node.url = three.url(three.empty, three.link)
        known_for_long(three.node)  # rows that are new are missed at once
        yield three


def kept(node, reason):
    """Whether a pass removes nothing, for this reason; return what it says."""
    before = node.links()
    document = node.document("reconcile", expect=5)
    assert node.links() == before
    items = {item["mac"]: item for item in document["interfaces"]}
    assert {item["reason"] for item in items.values()} == {reason}
    return items[mac_of(1)]["message"]


def test_an_empty_host_is_not_believed_while_another_one_has_the_rows(anew):
    node = anew.node
    for _ in range(4):
        words = kept(node, "hosts-disagree")
        age(node)
    assert f"127.0.0.1:{anew.empty.port}/{anew.name} has no rows of 3 interfaces" in words
    assert f"127.0.0.1:{anew.link.port}/{anew.name} has 3" in words


def age(node):
    record = json.loads((node.root / "var/lib/multinic/record.json").read_bytes())
    if record["mass_deletion"]:
        a_minute_passes(node)


def test_where_all_hosts_agree_the_removal_takes_effect_at_the_third_read(anew):
    node = anew.node
    node.sql("DELETE FROM multi_interface")
    for _ in range(2):
        words = kept(node, "deletion-fuse")
        age(node)
    assert f"says mysql 127.0.0.1:{anew.empty.port}/{anew.name}" in words
    node.reconcile()
    assert gone(node, 1, 2, 3)


def test_an_empty_host_is_not_believed_alone_and_a_person_may_believe_it(anew):
    node = anew.node
    anew.link.end()
    for _ in range(4):
        assert "no other host of database.url answers" in kept(node, "one-host-only")
        age(node)
    node.multinic("apply", "--yes", "--allow-mass-delete")
    assert gone(node, 1, 2, 3)


def test_a_few_removals_need_no_other_host(anew):
    node = anew.node
    node.url = anew.url(anew.link, anew.empty)
    anew.empty.end()
    node.detach(1)
    node.reconcile()
    assert gone(node, 1)
    assert not gone(node, 2)
