"""What was asked of each host of the URL is counted under its name, also of those that did not answer."""

from __future__ import annotations

import pytest

from multinic.database import source
from multinic.values.asked import Asked
from multinic.values.errors import SourceError
from tests.db.conftest import settings
from tests.mariadb import free_port
from tests.schemas import CONTROLLER


@pytest.fixture
def row(mariadb, database):
    """The id of a row of node1 in a database of a MariaDB."""
    with mariadb.connect(database=database) as connection:
        CONTROLLER.create(connection)
        yield CONTROLLER.attach(connection, "fa:16:3e:00:00:01")


def counted(asked: Asked) -> dict[str, tuple[int, int]]:
    """Return of each host how many requests it got, and how many failed."""
    return {host: (sum(found.durations.values()), found.errors) for host, found in asked.items()}


def test_logins_reads_and_transactions_are_counted_with_their_time_and_their_errors(mariadb, database, row):
    dead, alive = f"127.0.0.1:{free_port()}", f"{mariadb.host}:{mariadb.port}"
    with source.connect(settings(f"mysql://root@{dead},{alive}/{database}")) as session:
        session.ask("node1")
        session.report_success({row: True})
        asked = session.take_asked()
        # A login that failed; a login, a read and a transaction.
        assert counted(asked) == {dead: (1, 1), alive: (3, 0)}
        assert all(found.seconds > 0 for found in asked.values())
        assert counted(session.take_asked()) == {dead: (0, 0), alive: (0, 0)}


def test_an_error_tells_what_was_asked_until_then(mariadb, database):
    dead, alive = f"127.0.0.1:{free_port()}", f"{mariadb.host}:{mariadb.port}"
    url = f"mysql://root@{alive},{dead}/{database}"
    with source.connect(settings(url)) as session, pytest.raises(SourceError) as raised:
        session.ask("node1")  # there is no table
    assert counted(raised.value.asked) == {alive: (2, 1), dead: (1, 1)}


def test_a_socket_and_a_file_have_names_too(store):
    if store.product == "sqlite":
        assert set(store.open().take_asked()) == {"sqlite"}
    else:
        assert all(":" in host for host in store.open().take_asked())
