"""`multinic doctor` and a real server: what the user may do, which host answers, how it is spoken to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from multinic.database import schema
from multinic.database.grants import OF_HOSTS
from multinic.database.session import Session
from multinic.doctor import examine as doctor
from multinic.host import config
from multinic.host.host import Host
from multinic.values.errors import SourceRejected
from tests.db.conftest import settings
from tests.db.test_failures import least_privileges
from tests.mariadb import PrivateMariaDB
from tests.schemas import CONTROLLER

SECRET = "h\u00fcsh-hush"


def examine(tmp_path, url, node="node1"):
    """Return the findings by check: level and words."""
    (tmp_path / "password").write_text(SECRET)
    (tmp_path / "password").chmod(0o600)
    options = {"database.url": url, "node": node, "database.password_file": str(tmp_path / "password")}
    document = doctor.examine(
        lambda: config.load(None, options, {}, default=str(tmp_path / "none")), lambda _: Host(str(tmp_path))
    )
    found = {}
    for item in document["findings"]:
        assert SECRET not in str(item)
        found.setdefault(item["check"], []).append((item["level"], f"{item['message']} {item['hint']}"))
    return found


@pytest.fixture
def examined(mariadb, database, tmp_path):
    """Examine as a user with these grants."""
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, "fa:16:3e:00:00:01")
    connection.close()

    def examined(grants: Sequence[str], **options: str):
        mariadb.create_user("node", SECRET, [grant.format(database) for grant in grants])
        return examine(tmp_path, mariadb.url(user="node", database=database, **options))

    return examined


def test_the_least_privileges_are_enough_for_every_check(examined, database):
    found = examined(least_privileges(database))
    assert [level for level, _ in found["privileges"]] == ["ok"]
    assert [level for level, _ in found["node"]] == ["ok"]
    assert found["index"][0][0] == "warning"  # the controller's tables have none
    assert "problem" not in {level for findings in found.values() for level, _ in findings}


def test_missing_status_tables_are_a_note_and_the_right_to_write_to_them_is_no_excess(
    examined, mariadb, database
):
    least = least_privileges(database)
    reads = f"SELECT ON `{database}`.*"
    for grants in (least, [*least, reads]):
        level, words = examined(grants)["tables"][0]
        assert (level, "multinic db migrate" in words) == ("note", True)
    list(schema.migrate(settings(mariadb.url(database=database))))
    for grants, expected in ((least, "note"), ([*least, reads], "warning")):
        level, words = examined(grants)["tables"][0]
        assert (level, "multinic db grants" in words) == (expected, True)
    ours = [f"{', '.join(rights)} ON `{database}`.{table}" for table, rights in OF_HOSTS.items()]
    found = examined([*least, reads, *ours])
    assert [level for level, _ in found["tables"] + found["privileges"]] == ["ok", "ok"]
    found = examined([*least, reads, *ours, f"DELETE ON `{database}`.multi_interface"])
    assert "DELETE" in found["privileges"][1][1]


def test_a_user_who_may_not_write_is_told_what_to_grant(examined):
    found = examined(["SELECT ON `{}`.*"])
    level, words = found["privileges"][0]
    assert level == "problem"
    assert "UPDATE of netplan_success and modified_at is needed" in words


def test_a_user_who_may_write_one_of_two_columns_only_is_a_problem(examined):
    found = examined(["SELECT ON `{}`.*", "UPDATE (netplan_success) ON `{}`.multi_interface"])
    assert found["privileges"][0][0] == "problem"


def test_a_user_who_may_not_read_is_a_problem(examined):
    found = examined(["UPDATE (netplan_success) ON `{}`.multi_interface"])
    assert found["schema"][0][0] == "problem"
    assert "grant the user SELECT" in found["schema"][0][1]


def test_a_user_who_may_do_too_much_is_a_warning(examined):
    found = examined(["ALL ON `{}`.*"])
    assert [level for level, _ in found["privileges"]] == ["ok", "warning"]
    assert "ALL PRIVILEGES" in found["privileges"][1][1]


def test_a_wrong_password_is_a_problem_and_the_rest_goes_on(mariadb, database, tmp_path):
    mariadb.create_user("node", "another")
    found = examine(tmp_path, mariadb.url(user="node", database=database))
    assert found["database"][0][0] == "problem"
    assert "backend" in found


def test_an_index_is_seen(examined, mariadb, database):
    examined(least_privileges(database))
    mariadb.execute(f"CREATE INDEX two ON `{database}`.multi_interface (status, attached_node_name)")
    assert examined(least_privileges(database))["index"][0][0] == "warning"
    mariadb.execute(f"CREATE INDEX one ON `{database}`.multi_interface (Attached_Node_Name, status)")
    assert examined(least_privileges(database))["index"] == [("ok", "attached_node_name has an index ")]


def test_each_of_several_hosts_is_asked(examined, mariadb, database):
    host = f"{mariadb.host}:1,{mariadb.host}"
    found = examined(least_privileges(database), host=host)
    assert [level for level, _ in found["database"]] == ["warning", "ok", "ok"]
    assert f"{mariadb.host}:1" in found["database"][0][1]


def test_nothing_is_changed_in_the_database(examined, mariadb, database):
    with mariadb.statements(user="node") as statements:
        examined(least_privileges(database))
    after = mariadb.execute(f"SELECT * FROM `{database}`.multi_interface")
    assert [row["netplan_success"] for row in after] == [0]
    changing = [s for s in statements if not s.startswith(("SELECT", "(SELECT", "SHOW"))]
    columns = "netplan_success = netplan_success, modified_at = modified_at"
    assert changing == [f"UPDATE multi_interface SET {columns} WHERE id IN (-1)"]


def test_tls_is_told(tmp_path):
    with PrivateMariaDB() as server:
        server.start(tls=True)
        server.execute("CREATE DATABASE multinic")
        server.create_user("node", SECRET, ["SELECT, UPDATE ON `multinic`.*"])
        found = examine(
            tmp_path,
            server.url(user="node", database="multinic", query=f"ssl_ca={server.ca}", host="localhost"),
        )
        assert [level for level, _ in found["tls"]] == ["ok"]


def test_a_product_that_knows_no_grants_is_no_problem(examined, database, monkeypatch):
    """As go-mysql-server and Dolt answer, which cannot be had everywhere."""
    execute = Session.execute

    def without_grants(self, text, parameters):
        if text == "SHOW GRANTS":
            raise SourceRejected("database not found: mysql")
        return execute(self, text, parameters)

    monkeypatch.setattr(Session, "execute", without_grants)
    found = examined(least_privileges(database))
    assert [level for level, _ in found["privileges"]] == ["ok", "note"]
