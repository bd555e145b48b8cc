"""A doubt about who this host is, or which database it asks, removes nothing."""

from __future__ import annotations

import sqlite3

import pytest

from tests.kernel.node import mac_of

HOSTNAME = 'echo "$0" >/proc/sys/kernel/hostname; exec "$@"'
CALLED = ("unshare", "--uts", "sh", "-c", HOSTNAME)


class Named:
    """A node whose name is that of its host, and nothing else."""

    def __init__(self, node):
        self.node, self.name, self.url = node, "node1", node.url

    def run(self, *arguments, expect=0):
        command = self.node.command(*arguments)
        at = command.index("--node")
        command[at : at + 2] = []
        command[command.index("--database-url") + 1] = self.url
        done = self.node.namespace.run(*CALLED, self.name, *command, check=False, env=self.node.environment())
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
def named(node):
    node.provide(2)
    found = Named(node)
    found.run("reconcile")
    assert [node.link(number)[0] for number in (1, 2)] == ["multinic0", "multinic1"]
    return found


@pytest.mark.parametrize("name", ["localhost", "node2", "node1x.example.org"])
def test_another_host_name_removes_nothing_until_a_person_says_so(named, name):
    node = named.node
    before = node.links()
    named.name = name
    for _ in range(4):
        named.run("reconcile", expect=5)
    assert node.links() == before
    words = f"not removed: this host is called {name}; its interfaces are those of node1"
    assert words in named.run("plan", expect=5)
    doctor = named.run("doctor", expect=4)
    assert "multinic0 is blocked" in doctor
    named.name = "node1"
    named.run("reconcile")
    assert node.links() == before
    named.name = name
    named.run("apply", "--yes", "--accept-identity", expect=5)
    assert node.links() == before  # no rows at all: that is for the deletion fuse
    named.run("apply", "--yes", "--accept-identity", "--allow-mass-delete")
    assert [node.link(number)[0] for number in (1, 2)] == ["eth1", "eth2"]


def test_a_new_name_whose_rows_name_the_same_links_is_the_new_identity(named):
    node = named.node
    node.sql("UPDATE multi_interface SET attached_node_name = 'node7'")
    named.name = "node7"
    named.run("reconcile")
    node.detach(1)
    named.run("reconcile")
    assert [node.link(number)[0] for number in (1, 2)] == ["eth1", "multinic1"]


def test_a_name_that_an_operator_sets_is_meant(converged):
    node = converged(3)
    node.sql("UPDATE multi_interface SET attached_node_name = 'node2' WHERE macaddress = %s", mac_of(1))
    node.reconcile()
    assert node.link(1)[0] == "eth1"


def test_another_database_removes_nothing_until_a_person_says_so(named):
    node = named.node
    before = node.links()
    other = node.directory / "other.db"
    with sqlite3.connect(other) as connection:
        node.schema.create(connection)
    named.url = f"sqlite:///{other}"
    assert "not removed: the database is sqlite" in named.run("reconcile", expect=5)
    for _ in range(3):
        named.run("reconcile", expect=5)
    assert node.links() == before
    named.run("apply", "--yes", "--accept-identity", "--allow-mass-delete")
    assert [node.link(number)[0] for number in (1, 2)] == ["eth1", "eth2"]


def test_a_row_under_another_spelling_of_this_node_makes_no_orphan(converged):
    node = converged(3)
    before = node.links()
    node.sql(
        "UPDATE multi_interface SET attached_node_name = 'node1.example.org' WHERE macaddress = %s", mac_of(2)
    )
    for _ in range(3):
        document = node.document("reconcile", expect=5)
    (item,) = (item for item in document["interfaces"] if item["mac"] == mac_of(2))
    assert (item["state"], item["reason"]) == ("blocked", "ambiguous-node")
    assert "under the node name 'node1.example.org'" in item["message"]
    assert node.links() == before


def test_a_row_of_another_host_with_the_same_short_name_is_not_ours(converged):
    node = converged(3)
    node.sql("UPDATE multi_interface SET attached_node_name = 'node1.a'")
    command = node.command("reconcile")
    command[command.index("--node") + 1] = "node1.a"
    node.namespace.run(*command, env=node.environment())
    node.sql("UPDATE multi_interface SET attached_node_name = 'node1.b' WHERE macaddress = %s", mac_of(2))
    node.namespace.run(*command, env=node.environment())
    assert node.link(2)[0] == "eth2"
