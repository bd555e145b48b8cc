"""Finding the database: what a URL means, which node names are asked for, and files that are no database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.database import rows, schema, source
from multinic.database.session import Session
from multinic.database.statement import Shape, parameters
from multinic.database.url import Target, parse_url
from multinic.values.desired import Desired
from multinic.values.errors import ConfigError, Exit, SourceError, SourceRejected
from multinic.values.settings import DatabaseSettings, Secret

SECRET = "s3cr3t"


def settings(url: str) -> DatabaseSettings:
    return DatabaseSettings(url, Secret(""), 1.0, 1.0, ignore_deleted_at=False)


def wanted(database: Session) -> Desired:
    return rows.desired("node1", database.ask("node1"), ignore_deleted_at=False, database="")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        pytest.param("mysql://db/cloud", ("", [("db", 3306)], "cloud"), id="the least"),
        pytest.param("mysql://nic@db:3307/cloud", ("nic", [("db", 3307)], "cloud"), id="a port"),
        pytest.param(
            "mysql://nic@db1,db2/cloud", ("nic", [("db1", 3306), ("db2", 3306)], "cloud"), id="two hosts"
        ),
        pytest.param(
            "mysql://nic@db1,db2:3310/cloud",
            ("nic", [("db1", 3310), ("db2", 3310)], "cloud"),
            id="a port at the end is for all",
        ),
        pytest.param(
            "mysql://nic@db1:1,db2/cloud",
            ("nic", [("db1", 1), ("db2", 3306)], "cloud"),
            id="of one",
        ),
        pytest.param(
            "mysql://nic@[2001:db8::1]:3310,10.0.0.1/cloud",
            ("nic", [("2001:db8::1", 3310), ("10.0.0.1", 3306)], "cloud"),
            id="addresses",
        ),
        pytest.param("mysql://n%40c@db/c%2Fd", ("n@c", [("db", 3306)], "c/d"), id="escaped"),
    ],
)
def test_a_url_says_where_the_database_is(url: str, target: tuple[str, list[object], str]) -> None:
    user, hosts, name = target
    assert parse_url(url) == Target(user, tuple(hosts), name, {})  # type: ignore[arg-type]


def test_parameters_of_a_url_are_read() -> None:
    found = parse_url("mysql://nic@db/cloud?ssl_ca=/etc/ca.pem&unix_socket=/run/my%20sql.sock")
    assert found.parameters == {"ssl_ca": "/etc/ca.pem", "unix_socket": "/run/my sql.sock"}


@given(user=st.text(min_size=1), name=st.text(min_size=1))
def test_user_and_name_may_hold_any_sign_when_escaped(user: str, name: str) -> None:
    parts = [quote(part, safe="", errors="surrogatepass") for part in (user, name)]
    found = parse_url("mysql://{}@db/{}".format(*parts))
    if all(part.isprintable() for part in (user, name)):
        assert (found.user, found.name) == (user, name)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://",
        "mysql://db",
        "mysql://db/",
        f"mysql://nic:{SECRET}@/cloud",
        f"mysql://nic:{SECRET}@db",
        f"mysql://nic:{SECRET}@db:0/cloud",
        f"mysql://nic:{SECRET}@db:99999/cloud",
        f"mysql://nic:{SECRET}@db:x/cloud",
        f"mysql://nic:{SECRET}@db,,db2/cloud",
        f"mysql://nic:{SECRET}@d b/cloud",
        f"mysql://nic:{SECRET}@db/cloud?ssl=1",
        f"mysql://nic:x@{SECRET}@d b/cloud",
        f"mysql://nic:x/{SECRET}@db/cloud",
        f"mysql://nic:x/{SECRET}@db",
        f"mysql://nic:17/{SECRET}@db",
        f"mysql://nic:{SECRET}@db/cloud",
        f"mysql:/nic:{SECRET}@db/cloud",
        f"postgres://nic:{SECRET}@db/cloud",
        f"{SECRET}@db/cloud",
        "sqlite://relative.db",
        "sqlite:///",
        "",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_and_no_password_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        source.connect(settings(url))
    assert error.value.exit is Exit.USAGE
    assert SECRET not in f"{error.value} {error.value.hint}"


@pytest.mark.parametrize(
    ("node", "patterns"),
    [
        ("node1", ("node1", "node1", "node1.%")),
        ("node1.example.org", ("node1.example.org", "node1", "node1.%")),
        ("my_node%!", ("my!_node!%!!", "my!_node!%!!", "my!_node!%!!.%")),
    ],
)
def test_a_node_name_is_asked_for_as_text_and_not_as_a_pattern(
    node: str, patterns: tuple[str, str, str]
) -> None:
    assert parameters(Shape(nodes=False), node) == patterns
    assert parameters(Shape(), node) == patterns * 2


def test_a_missing_file_is_an_unreachable_database_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        source.connect(settings(f"sqlite:///{tmp_path}/none.db"))
    assert error.value.exit is Exit.RETRY
    assert "none.db" in str(error.value)
    assert "multinic db init" in error.value.hint
    assert list(tmp_path.iterdir()) == []


def test_only_init_makes_the_file_and_it_leaves_what_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a ?#%20b.db"
    assert [line.rpartition(" ")[2] for line in schema.init(settings(url))] == ["created"] * 7
    assert [path.name for path in tmp_path.iterdir()] == ["a ?#%20b.db"]
    assert all(line.endswith("left as it is") for line in schema.init(settings(url)))
    with source.connect(settings(url)) as database:
        assert wanted(database).links == ()


def test_a_file_that_is_no_database_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but text that is long enough to look at" * 40)
    with pytest.raises(SourceRejected), source.connect(settings(f"sqlite:///{tmp_path}/x.db")) as database:
        wanted(database)


def test_text_that_is_no_utf8_is_one_rows_problem(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    list(schema.init(settings(url)))
    connection = sqlite3.connect(tmp_path / "x.db")
    insert = (
        "INSERT INTO multi_interface (port_id, subnet_id, macaddress, attached_node_name, address) "
        "VALUES (?, 's', ?, 'node1', CAST(? AS TEXT))"
    )
    connection.execute(insert, ("port-1", "fa:16:3e:00:00:01", b"\xff\xfe"))
    connection.execute(insert, ("port-2", "fa:16:3e:00:00:02", b"10.0.0.5/24"))
    connection.commit()
    connection.close()
    with source.connect(settings(url)) as database:
        found = wanted(database)
    assert [link.port_id for link in found.links] == ["port-2"]
    assert [row.port_id for row in found.invalid] == ["port-1"]
    assert found.invalid[0].message.isprintable()


def test_a_file_that_only_may_be_read_is_enough_to_plan(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    list(schema.init(settings(url)))
    (tmp_path / "x.db").chmod(0o444)
    with source.connect(settings(url)) as database:
        assert wanted(database).links == ()
