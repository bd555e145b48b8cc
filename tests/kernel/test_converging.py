"""The main job: ten rows become ten links, and then nothing happens any more."""

from __future__ import annotations

import json

import pytest

from tests.kernel.node import mac_of
from tests.mariadb import PrivateMariaDB
from tests.mariadb import missing as mariadb_missing

CONVERGED = "run/multinic/converged"

# Names that a cloud's links have by chance: some sort before ours, some after, two look like the system's.
NAMES = ["ens9", "eth3", "rename7", "zz0", "a", "enp0s31f6", "veth1a2b3c", "tap5", "eth0", "eno1"]


def ten_and_a_foreign_one(node):
    for number, name in enumerate(NAMES, 1):
        node.attach(number, f"10.0.0.{number + 10}", 1400 + number)
        node.namespace.plug(name, mac_of(number))
    node.namespace.plug("own", "52:54:00:00:00:01", up=True)
    node.ip("address", "add", "192.168.7.2/24", "dev", "own")
    node.ip("route", "add", "default", "via", "192.168.7.1")


def ten_links():
    links = {mac_of(n): (f"multinic{n - 1}", True, 1400 + n, (f"10.0.0.{n + 10}/24",)) for n in range(1, 11)}
    return links | {"52:54:00:00:00:01": ("own", True, 1500, ("192.168.7.2/24",))}


def test_ten_rows_become_ten_links_while_a_foreign_link_sees_nothing(node):
    ten_and_a_foreign_one(node)
    with node.events() as events:
        node.reconcile()
    assert node.links() == ten_links()
    assert node.flags() == {mac_of(n): 1 for n in range(1, 11)}
    assert "multinic9" in {event.link for event in events}
    assert [str(event) for event in events if event.link in ("own", "lo")] == []
    assert node.namespace.routes("default")[0]["dev"] == "own"


def test_a_second_pass_changes_no_file_no_row_and_no_link(node):
    ten_and_a_foreign_one(node)
    node.reconcile()
    files = node.files()
    version = node.sql("PRAGMA data_version")[0][0]
    with node.events() as events:
        said = node.reconcile()
    assert events == []
    assert node.files() == files
    assert node.sql("PRAGMA data_version")[0][0] == version
    assert said == ""


def test_a_pass_that_looks_at_everything_and_finds_nothing_changes_nothing_either(node):
    """Every few minutes, and whenever it is not sure, a pass does not take an earlier one's word."""
    ten_and_a_foreign_one(node)
    node.reconcile()
    (node.root / CONVERGED).unlink()
    files = node.files()
    version = node.sql("PRAGMA data_version")[0][0]
    with node.events() as events:
        said = node.reconcile()
    assert (events, said) == ([], "")
    after = node.files()
    assert after.pop(CONVERGED)
    assert after == files
    assert node.sql("PRAGMA data_version")[0][0] == version


def test_a_plan_changes_nothing_and_says_everything(node):
    ten_and_a_foreign_one(node)
    before = node.links()
    version = node.sql("PRAGMA data_version")[0][0]
    with node.events() as events:
        document = node.document("plan")
        pending = node.multinic("plan", "--detailed-exitcode", expect=3).stdout
    assert events == []
    assert (node.links(), node.files(), node.sql("PRAGMA data_version")[0][0]) == (before, {}, version)
    assert (document["version"], document["node"], document["backend"]) == (1, "node1", "netlink")
    assert (document["summary"], document["converged"]) == ({"create": 10}, False)
    third = document["interfaces"][2]
    assert third | {"message": ""} == {
        "name": "multinic2",
        "mac": mac_of(3),
        "port_id": f"port-{mac_of(3)}",
        "row_id": 3,
        "link": "rename7",
        "state": "create",
        "reason": "new",
        "message": "",
        "changes": [
            {"field": "name", "from": "rename7", "to": "multinic2"},
            {"field": "state", "from": "down", "to": "up"},
            {"field": "mtu", "from": "1500", "to": "1403"},
            {"field": "address", "from": None, "to": "10.0.0.13/24"},
            {"field": "accept_ra", "from": "1", "to": "0"},
            {"field": "addr_gen_mode", "from": "0", "to": "1"},
        ],
        "files": [],
    }
    assert "rename7 → multinic2" in pending
    node.reconcile()
    document = node.document("plan")
    assert (document["summary"], document["converged"]) == ({"unchanged": 10}, True)
    assert "10 unchanged: nothing to do" in node.multinic("plan", "--detailed-exitcode").stdout


def test_status_tells_the_last_result_beside_what_the_links_are_now(converged):
    node = converged(2)
    node.attach(3, "10.0.0.9", 1500)
    node.reconcile()
    node.ip("link", "set", "multinic1", "down")
    document = node.document("status")
    assert [
        (i["name"], i["state"], i["link"], i["up"], i["mtu"], i["addresses"]) for i in document["interfaces"]
    ] == [
        ("multinic0", "converged", "multinic0", True, 1401, ["10.0.0.11/24"]),
        ("multinic1", "drifted", "multinic1", False, 1402, ["10.0.0.12/24"]),
        ("multinic2", "waiting", None, None, None, []),
    ]
    assert (document["node"], document["backend"], document["exit"]) == ("node1", "netlink", 0)
    table = node.multinic("status").stdout
    assert "the link is down" in table
    assert "not plugged in" in table


def test_status_needs_no_database_and_no_earlier_pass(node):
    node.namespace.plug("eth0", mac_of(1))
    node.url = "sqlite:////nowhere/at/all"
    assert "no pass has finished" in node.multinic("status").stdout
    assert node.document("status")["interfaces"] == []


def test_render_prints_files_and_says_when_there_are_none(node):
    node.attach(1, "10.0.0.11", 1401)
    done = node.multinic("render")
    assert (done.stdout, "writes no files" in done.stderr) == ("", True)
    assert node.document("render") == {"version": 1, "backend": "netlink", "files": {}}
    node.multinic("render", "multinic7", expect=2)
    assert node.files() == {}


def test_a_reconcile_prints_one_document_where_json_is_asked_for(node):
    node.provide(2)
    document = node.document("reconcile")
    assert [(i["name"], i["state"]) for i in document["interfaces"]] == [
        ("multinic0", "converged"),
        ("multinic1", "converged"),
    ]
    assert (document["exit"], document["summary"]) == (0, {"converged": 2})


def test_the_json_log_has_one_object_a_decision(node):
    node.provide(1)
    node.attach(2, "nonsense")
    lines = [
        json.loads(line)
        for line in node.multinic("--log-format", "json", "reconcile", expect=4).stderr.splitlines()
    ]
    assert [(line["level"], line["mac_address"]) for line in lines] == [
        ("info", mac_of(1)),
        ("error", mac_of(2)),
    ]
    assert {"time", "level", "msg", "node", "interface_name", "mac_address", "interface_id", "reason"} == set(
        lines[0]
    )


def test_sixty_four_slots(node):
    for number in range(1, 65):
        node.attach(number, f"10.0.0.{number + 10}", 1400 + number)
        node.namespace.plug(f"x{number}", mac_of(number))
    node.reconcile(env={"MULTINIC_MAX_INTERFACES": "64"})
    assert node.link(64) == ("multinic63", True, 1464, ("10.0.0.74/24",))
    assert set(node.flags().values()) == {1}
    assert len(node.flags()) == 64
    node.sql("DELETE FROM multi_interface WHERE id = 20")
    node.reconcile(env={"MULTINIC_MAX_INTERFACES": "64"})
    node.attach(65, "10.0.1.1", cidr="10.0.1.0/24", subnet_id="subnet-2")
    node.namespace.plug("late", mac_of(65))
    node.reconcile(env={"MULTINIC_MAX_INTERFACES": "64"})
    assert node.link(65)[0] == "multinic19"
    assert node.link(20) == ("x20", False, 1500, ())


def test_both_families_and_several_addresses_on_one_link(node):
    node.namespace.plug("eth0", mac_of(1))
    node.attach(1, "10.0.0.11, fd00::11/64 10.5.0.1/32", 1500, cidr="10.0.0.0/8")
    node.reconcile(expect=0)
    assert node.link(1) == ("multinic0", True, 1500, ("10.0.0.11/8", "10.5.0.1/32", "fd00::11/64"))
    with node.events() as events:
        node.reconcile()
    assert events == []


def test_a_row_without_address_and_mtu_names_the_link_and_sets_it_up(node):
    node.namespace.plug("eth0", mac_of(1), mtu=9000)
    node.attach(1)
    node.reconcile()
    assert node.link(1) == ("multinic0", True, 9000, ())
    assert node.flags() == {mac_of(1): 1}


def test_routers_and_the_kernel_add_no_address_to_a_managed_link(node):
    node.namespace.plug("eth0", mac_of(1))
    node.attach(1, "10.0.0.11")
    node.reconcile()
    info = node.namespace.links()["multinic0"]["addr_info"]
    assert [entry["local"] for entry in info] == ["10.0.0.11"]
    assert node.namespace.run("cat", "/proc/sys/net/ipv6/conf/multinic0/accept_ra").stdout == "0\n"


@pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))
class TestWithMariaDB:
    """The same against a MariaDB."""

    @pytest.fixture
    def server(self, node):
        """One that listens where only the namespace reaches it."""
        with PrivateMariaDB() as server:
            server.start(node.namespace.prefix, port=3306)
            server.create_user("node", "pass:word/@", ["SELECT, UPDATE ON `multinic`.*"])
            server.execute("CREATE DATABASE multinic CHARACTER SET utf8mb4")
            node.use(server, "mysql://node@127.0.0.1/multinic", "multinic")
            yield server

    def test_ten_rows_become_ten_links_and_an_idle_pass_is_one_statement(self, node, server, monkeypatch):
        monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "pass:word/@")
        ten_and_a_foreign_one(node)
        with node.events() as events:
            node.reconcile()
        assert node.links() == ten_links()
        assert node.flags() == {mac_of(n): 1 for n in range(1, 11)}
        assert [event for event in events if event.link in ("own", "lo")] == []
        files = node.files()
        with server.statements("node") as statements, node.events() as events:
            assert node.reconcile() == ""
        assert events == []
        assert node.files() == files
        assert len(statements) == 1
        assert statements[0].startswith("SELECT")

    def test_a_missing_subnet_table_costs_a_second_statement_once_and_not_on_every_pass(
        self, node, server, monkeypatch
    ):
        monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "pass:word/@")
        node.sql("DROP TABLE multi_interface")
        node.sql("DROP TABLE multi_subnet")
        node.sql(
            "CREATE TABLE multi_interface (id INT PRIMARY KEY AUTO_INCREMENT, port_id VARCHAR(36) NOT NULL,"
            " subnet_id VARCHAR(36) NOT NULL, macaddress VARCHAR(17) NOT NULL,"
            " attached_node_name VARCHAR(255), netplan_success TINYINT(1) DEFAULT 0)"
        )
        node.sql(
            "INSERT INTO multi_interface (port_id, subnet_id, macaddress, attached_node_name)"
            " VALUES ('p', 's', %s, 'node1')",
            mac_of(1),
        )
        node.namespace.plug("eth0", mac_of(1))
        node.reconcile()
        assert node.link(1) == ("multinic0", True, 1500, ())
        assert node.flags() == {mac_of(1): 1}
        with server.statements("node") as statements:
            node.reconcile()
        assert len(statements) == 1

    def test_a_subnet_table_that_comes_back_is_read_by_the_next_pass_and_plan(
        self, node, server, monkeypatch
    ):
        monkeypatch.setenv("MULTINIC_DATABASE_PASSWORD", "pass:word/@")
        node.namespace.plug("eth0", mac_of(1))
        node.attach(1, "10.0.0.11")
        node.sql("RENAME TABLE multi_subnet TO elsewhere")
        node.reconcile(expect=4)
        assert node.flags() == {mac_of(1): 0}
        node.sql("RENAME TABLE elsewhere TO multi_subnet")
        assert node.plan()[mac_of(1)]["state"] == "create"
        node.reconcile()
        assert node.flags() == {mac_of(1): 1}
