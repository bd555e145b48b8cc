"""What a server answers with a number: to be tried again, on the next host, or for a person to correct."""

from __future__ import annotations

import os

import pytest

from multinic.database import schema, source
from multinic.values.errors import Exit, SourceBusy, SourceError, SourceRejected
from tests.db.conftest import settings
from tests.mariadb import PrivateMariaDB
from tests.mysql_player import OK, error, greeting, logged_in, playing, switch
from tests.schemas import BASE, CONTROLLER

# Number, what servers say with it, and what the advice names.
PERMANENT = [
    (1045, "Access denied for user 'n'@'h' (using password: YES)", "REQUIRE SSL"),
    (1130, "Host 'h' is not allowed to connect to this server", "create the user for this host"),
    (1251, "Client does not support authentication protocol", "caching_sha2_password"),
    (1698, "Access denied for user 'root'@'localhost'", "unix_socket"),
    (1862, "Your password has expired.", "expired"),
    (3118, "Access denied for user 'n'@'h'. Account is locked.", "ACCOUNT UNLOCK"),
    (3159, "Connections using insecure transport are prohibited", "ssl_ca="),
    (4151, "Access denied, this account is locked", "ACCOUNT UNLOCK"),
]
OF_STATEMENTS = [
    (1142, "SELECT command denied to user 'n'@'h' for table 'multi_interface'", "grant the user"),
    (1356, "View 'x.multi_interface' references invalid table(s)", "view"),
    (1820, "You must reset your password", "expired"),
]
OF_WRITING = [
    (1142, "UPDATE command denied to user 'n'@'h' for table 'multi_interface'", "grant the user"),
    (1288, "The target table multi_interface of the UPDATE is not updatable", "netplan_success"),
    (3105, "The value specified for generated column is not allowed", "netplan_success"),
]
PASSING = [1040, 1047, 1053, 1105, 1205, 1213, 1836, 1927, 8028, 9001]


def refusing(code, words):
    def play(player):
        player.say(greeting("mysql_native_password"))
        player.hear()
        player.say(error(code, words))

    return play


def ask(port):
    with source.connect(settings(f"mysql://node@127.0.0.1:{port}/x", "pw")) as database:
        database.ask("node1")


def write(port):
    with source.connect(settings(f"mysql://node@127.0.0.1:{port}/x", "pw")) as database:
        database.report_success({1: True})


@pytest.mark.parametrize(("code", "words", "advice"), PERMANENT)
def test_a_login_that_will_never_be_let_in_is_a_persons_matter(code, words, advice):
    with playing(refusing(code, words)) as (port, _), pytest.raises(SourceRejected) as caught:
        ask(port)
    assert caught.value.exit is Exit.USAGE
    assert (words in str(caught.value), advice in caught.value.hint) == (True, True), caught.value.hint


@pytest.mark.parametrize(("code", "words", "advice"), OF_STATEMENTS)
def test_a_statement_that_will_never_be_carried_out_is_a_persons_matter(code, words, advice):
    with (
        playing(logged_in(lambda *_: error(code, words))) as (port, _),
        pytest.raises(SourceRejected) as caught,
    ):
        ask(port)
    assert (caught.value.exit, advice in caught.value.hint) == (Exit.USAGE, True)


@pytest.mark.parametrize(("code", "words", "advice"), OF_WRITING)
def test_a_result_that_will_never_be_taken_is_a_persons_matter(code, words, advice):
    with (
        playing(logged_in(lambda *_: error(code, words))) as (port, _),
        pytest.raises(SourceRejected) as caught,
    ):
        write(port)
    assert (caught.value.exit, advice in caught.value.hint) == (Exit.USAGE, True)


@pytest.mark.parametrize("code", PASSING)
def test_an_error_that_may_pass_is_tried_again_later(code):
    with (
        playing(logged_in(lambda *_: error(code, "not now"))) as (port, _),
        pytest.raises(SourceError) as caught,
    ):
        ask(port)
    assert (caught.value.exit, isinstance(caught.value, SourceBusy)) == (Exit.RETRY, True)


@pytest.mark.parametrize("code", [*PASSING, *(code for code, *_ in PERMANENT + OF_STATEMENTS)])
def test_every_one_of_them_has_the_next_host_asked(mariadb, database, code):
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    CONTROLLER.attach(connection, "fa:16:3e:00:00:01")
    connection.close()
    for play in (refusing(code, "no"), logged_in(lambda *_: error(code, "no"))):
        with playing(play) as (port, _):
            url = f"mysql://root@127.0.0.1:{port},127.0.0.1:{mariadb.port}/{database}"
            with source.connect(settings(url)) as opened:
                assert len(opened.ask("node1").rows) == 1
                opened.report_success({1: True})
    rows = mariadb.execute(f"SELECT netplan_success FROM `{database}`.multi_interface")
    assert rows == [{"netplan_success": 1}]


@pytest.mark.parametrize("code", [1205, 1213])
def test_a_result_that_another_transaction_was_in_the_way_of_is_written_at_once_the_second_time(code):
    tried = []

    def then(player, statement):
        tried.append(statement)
        first = sum(statement.startswith(b"UPDATE") for statement in tried) == 1
        return error(code, "try again") if statement.startswith(b"UPDATE") and first else OK

    with playing(logged_in(then)) as (port, _):
        write(port)
    assert sum(statement.startswith(b"UPDATE") for statement in tried) == 2


def test_a_view_whose_flag_is_computed_is_read_and_the_advice_is_about_it(mariadb, database):
    connection = mariadb.connect(database=database)
    BASE.create(connection)
    BASE.attach(connection, "fa:16:3e:00:00:01")
    cursor = connection.cursor()
    cursor.execute("RENAME TABLE multi_interface TO hidden")
    columns = "id, port_id, subnet_id, macaddress, attached_node_name, netplan_success + 0 AS netplan_success"
    cursor.execute(f"CREATE VIEW multi_interface AS SELECT {columns} FROM hidden")
    with source.connect(settings(mariadb.url(database=database))) as opened:
        (row,) = opened.ask("node1").rows
        with pytest.raises(SourceRejected) as caught:
            opened.report_success({row[0]: True})
    assert (caught.value.exit, "netplan_success" in caught.value.hint) == (Exit.USAGE, True)
    cursor.execute("DROP TABLE hidden")
    with (
        pytest.raises(SourceRejected) as caught,
        source.connect(settings(mariadb.url(database=database))) as opened,
    ):
        opened.ask("node1")
    assert "correct the view" in caught.value.hint
    connection.close()


@pytest.mark.parametrize("plugin", ["client_ed25519", "parsec", "mysql_old_password", "dialog", "unheard-of"])
def test_a_way_to_log_in_that_cannot_be_used_is_a_persons_matter(plugin):
    def play(player):
        player.say(greeting("mysql_native_password"))
        player.hear()
        player.say(switch(plugin))
        player.hear()

    with playing(play) as (port, _), pytest.raises(SourceRejected) as caught:
        ask(port)
    assert (caught.value.exit, "caching_sha2_password" in caught.value.hint) == (Exit.USAGE, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="root logs in as root by who it is")
def test_mariadbs_own_root_is_told_and_its_socket_is_a_way(mariadb, database, tmp_path):
    mariadb.execute("CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED VIA unix_socket")
    try:
        with pytest.raises(SourceRejected) as caught:
            source.connect(settings(mariadb.url(database=database), "pw"))
    finally:
        mariadb.execute("CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY ''")
        mariadb.execute("GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION")
    assert ("unix_socket" in caught.value.hint, "db grants" in caught.value.hint) == (True, True)
    with PrivateMariaDB() as own:
        own.start()
        own.execute("CREATE DATABASE x")
        own.execute("ALTER USER root@localhost IDENTIFIED VIA unix_socket")
        url = own.url(database="x", host="localhost", query=f"unix_socket={own.socket}")
        assert len(list(schema.init(settings(url)))) == 7


@pytest.mark.parametrize("answer", [OK, b"", b"\x00", b"\xfe", b"\x01", b"\xfb/etc/passwd", b"\xff\x00"])
def test_an_answer_that_is_none_is_one_sentence(answer):
    with playing(logged_in(lambda *_: answer)) as (port, _), pytest.raises(SourceError) as caught:
        ask(port)
    assert caught.value.exit in (Exit.RETRY, Exit.USAGE)
