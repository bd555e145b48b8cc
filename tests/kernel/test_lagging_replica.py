"""A replica among the hosts of database.url that lags behind: what was read before does not come back."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from tests.kernel.node import mac_of, until
from tests.kernel.test_source_failing import PASSWORD, QUICK, Remote, nothing_happens
from tests.mariadb import PrivateMariaDB
from tests.mariadb import missing as mariadb_missing

pytestmark = pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))

SEEN = "var/lib/multinic/seen.json"


class Replicated(Remote):
    """A node whose database has a primary and a replica, each behind a way of its own."""

    def lag(self) -> None:
        """Let the replica take nothing of what follows, once it has taken what was."""
        self.catch_up()
        self.replica.execute("STOP SLAVE SQL_THREAD")

    def catch_up(self) -> None:
        """Let the replica take all that the primary has written."""
        self.replica.execute("START SLAVE SQL_THREAD")
        [position] = self.server.execute("SELECT @@gtid_binlog_pos AS at")
        [done] = self.replica.execute("SELECT MASTER_GTID_WAIT(%s, 30) AS done", position["at"])
        assert done["done"] == 0, self.replica.log.read_text(errors="replace")[-2000:]

    def change(self, statement: str, *values: object) -> None:
        """Write to the primary as a controller does, a second after everything before."""
        time.sleep(1.1)  # of such seconds are the times of rows
        self.node.sql(statement, *values)


@pytest.fixture(scope="module")
def servers():
    with PrivateMariaDB() as primary, PrivateMariaDB() as replica:
        log = [f"--log-bin={primary.directory / 'binlog'}", "--server-id=1"]
        primary.start(options=log)
        primary.stop()
        shutil.copytree(primary.data, replica.data)
        primary.start(options=log)
        primary.create_user("replica", PASSWORD, ["REPLICATION SLAVE ON *.*"])
        replica.start(options=["--server-id=2", "--read-only"])
        replica.execute(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}, MASTER_USER='replica', "
            f"MASTER_PASSWORD='{PASSWORD}', MASTER_USE_GTID=slave_pos"
        )
        replica.execute("START SLAVE")
        yield primary, replica
        replica.execute("STOP SLAVE")


@pytest.fixture
def replicated(node, servers, monkeypatch):
    """Three ports that are configured from the primary; the replica has all, and takes nothing more."""
    monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", PASSWORD)
    for key, value in QUICK.items():
        monkeypatch.setenv(key, value)
    primary, replica = servers
    name = primary.fresh_database()
    made = Replicated(node, primary, name)
    made.replica = replica
    with made.ways:
        made.link = made.way()
        made.server = replica
        made.behind = made.way()
        made.server = primary
        node.use(primary, made.url(made.link, made.behind), name)
        primary.create_user("node", PASSWORD, [f"SELECT, UPDATE ON `{name}`.*"])
        node.provide(3)
        node.reconcile()
        made.lag()
        yield made
        made.catch_up()


def known_for_long(node):
    """Let everything that was read so far be of an hour ago."""
    path = node.root / SEEN
    seen = json.loads(path.read_text())
    for row in [*seen["rows"].values(), *seen["gone"].values()]:
        row["at"] -= 3600
    seen["refused_since"] = max(0, seen["refused_since"] - 3600)
    path.write_text(json.dumps(seen))


def detached(node, number):
    """Whether the n-th port's link was freed."""
    return not node.link(number)[0].startswith("multinic")


def test_a_deleted_port_does_not_come_back(replicated):
    node = replicated.node
    replicated.change("DELETE FROM multi_interface WHERE macaddress = %s", mac_of(2))
    node.reconcile()
    assert detached(node, 2)
    replicated.link.end()
    assert nothing_happens(node)
    assert "row 2 is still here, and was gone at" in node.multinic("status", expect=None).stdout.replace(
        "\n", " "
    )
    replicated.catch_up()
    node.reconcile()
    assert detached(node, 2)


def test_a_changed_address_does_not_go_back(replicated):
    node = replicated.node
    change = "UPDATE multi_interface SET address = '10.0.0.99', modified_at = NOW() WHERE macaddress = %s"
    replicated.change(change, mac_of(2))
    node.reconcile()
    replicated.link.end()
    assert nothing_happens(node)
    node.ip("link", "set", "multinic1", "down")
    node.reconcile(expect=75)
    assert node.link(2) == ("multinic1", True, 1402, ("10.0.0.99/24",)), "as it was read last"


def test_a_new_port_does_not_go_away(replicated):
    node = replicated.node
    known_for_long(node)
    node.attach(4, "10.0.0.14")
    node.namespace.plug("eth4", mac_of(4))
    node.reconcile()
    replicated.link.end()
    assert nothing_happens(node)
    assert not detached(node, 4)
    known_for_long(node)  # and the row is deleted after all
    node.reconcile()
    assert detached(node, 4)


def test_the_other_host_is_asked_and_the_first_one_again_when_it_has_caught_up(replicated):
    node = replicated.node
    replicated.change("DELETE FROM multi_interface WHERE macaddress = %s", mac_of(2))
    node.reconcile()
    node.url = replicated.url(replicated.behind, replicated.link)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    node.reconcile()
    assert (detached(node, 2), node.link(1)[2]) == (True, 1300)
    replicated.catch_up()
    replicated.link.end()
    node.reconcile()
    assert detached(node, 2)


def test_after_a_while_and_by_a_person_at_once_the_only_answer_is_believed(replicated):
    node = replicated.node
    replicated.change("DELETE FROM multi_interface WHERE macaddress IN (%s, %s)", mac_of(1), mac_of(2))
    node.reconcile(expect=None)
    node.multinic("apply", "--yes", "--allow-mass-delete")
    assert detached(node, 2)
    replicated.link.end()
    assert nothing_happens(node)
    known_for_long(node)
    node.reconcile(expect=None)
    assert not detached(node, 2)


def test_what_a_person_has_confirmed_is_not_refused_afterwards(replicated):
    node = replicated.node
    replicated.change("DELETE FROM multi_interface WHERE macaddress = %s", mac_of(2))
    node.reconcile()
    replicated.link.end()
    assert nothing_happens(node)
    node.multinic("apply", "--yes", expect=None)
    until(lambda: not detached(node, 2))
    node.reconcile(expect=None)
    assert not detached(node, 2)
