"""The first time: an administrator logs in once; statements that make the other users, and what they may."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from multinic.database import peers, source, status
from multinic.database.tables import OURS
from multinic.values.errors import SourceRejected
from multinic.values.history import Event, Kind
from tests.db.conftest import settings
from tests.schemas import CONTROLLER

ROOT = Path(__file__).parents[2]
OWN, HIS = "own-s3cret", "his-s3cret"


def program(*arguments, tmp_path, before=(), **environment):
    """Run the program with settings that exist already: those of the hosts' user."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "multinic", "--config", tmp_path / "multinic.toml", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert ("Traceback" in said, OWN in said, HIS in said) == (False, False, False)
    return done


@pytest.fixture
def configured(mariadb, tmp_path):
    """A database that does not exist yet: its name, and the settings of its hosts."""
    name = "first_time"
    mariadb.create_user("node", OWN, [f"SELECT ON `{name}`.*"])
    mariadb.create_user("boss", HIS, [f"SELECT, INSERT, CREATE, ALTER, INDEX ON `{name}`.*"])
    (tmp_path / "password").write_text(OWN)
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "multinic.toml").write_text(
        f'[database]\nurl = "{mariadb.url(user="node", database=name)}"\n'
        f'password_file = "{tmp_path / "password"}"\n'
    )
    yield name
    mariadb.execute(f"DROP DATABASE IF EXISTS `{name}`")


def tables(mariadb, name):
    found = mariadb.execute(
        "SELECT TABLE_NAME t FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s", name
    )
    return {row["t"] for row in found}


def test_an_administrator_logs_in_once_by_a_variable_that_beats_the_password_file(
    mariadb, configured, tmp_path
):
    done = program("db", "init", tmp_path=tmp_path)
    assert done.returncode == 2
    assert ("CREATE" in done.stderr, "--ask-password" in done.stderr) == (True, True)
    done = program("db", "init", "--user", "boss", tmp_path=tmp_path, MULTINIC_ADMIN_PASSWORD=HIS)
    assert done.returncode == 0, done.stderr
    assert tables(mariadb, configured) == {"multi_interface", "multi_subnet", "node_table", *OURS}
    done = program("db", "migrate", "--user", "boss", tmp_path=tmp_path, MULTINIC_ADMIN_PASSWORD=HIS)
    assert done.returncode == 0, done.stderr


ON_A_SLOW_MACHINE = """\
import runpy, termios, time
soon = termios.tcsetattr
termios.tcsetattr = lambda *words: (time.sleep(0.5), soon(*words))
runpy.run_module("multinic", run_name="__main__")
"""


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(mariadb, configured, tmp_path):
    command = ["--config", tmp_path / "multinic.toml", "db", "init", "--user", "boss", "--ask-password"]
    terminal, theirs = os.openpty()
    command = ["setsid", "--ctty", sys.executable, "-c", ON_A_SLOW_MACHINE, *command]
    asking = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT)
    os.close(theirs)
    said, told = b"", False
    with suppress(OSError):  # the other end is closed
        while select.select([terminal], [], [], 60)[0]:
            said += os.read(terminal, 4096)
            if b"Password:" in said and not told:
                assert not termios.tcgetattr(terminal)[3] & termios.ECHO
                os.write(terminal, HIS.encode() + b"\n")
                told = True
        asking.kill()
    os.close(terminal)
    assert asking.wait(60) == 0, said
    assert (HIS.encode() in said, b"created" in said) == (False, True)
    assert len(tables(mariadb, configured)) == 3 + len(OURS)


def test_without_a_terminal_nobody_is_asked(configured, tmp_path):
    done = program("db", "init", "--user", "boss", "--ask-password", tmp_path=tmp_path)
    assert (done.returncode, "MULTINIC_ADMIN_PASSWORD" in done.stderr) == (2, True)


def test_the_printed_statements_give_each_user_what_it_needs_and_no_more(mariadb, configured, tmp_path):
    printed = program("db", "grants", tmp_path=tmp_path).stdout
    document = json.loads(program("--output", "json", "db", "grants", tmp_path=tmp_path).stdout)
    statements = [line.removesuffix(";") for line in printed.splitlines() if not line.startswith("--")]
    assert statements == document["statements"]
    mariadb.execute("DROP USER node")
    for statement in statements[:2]:
        mariadb.execute(statement)
    url = mariadb.url(user="node", database=configured)
    environment = {"MULTINIC_ADMIN_PASSWORD": "choose a password"}
    done = program("db", "init", "--user", "multinic-admin", tmp_path=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    for statement in statements[2:]:
        mariadb.execute(statement)
    with source.connect(settings(url, "choose a password")) as database:
        assert database.ask("node1").rows == ()
        assert database.shape.nodes
        database.report_success({1: True})
        for state in ("waiting", "converged"):
            event = Event(1, Kind.CHANGED, attempt="update")
            news = status.News({"last_result": "ok"}, {"m": {"state": state}}, ("n",), (event,), 9000.0)
            status.write(database, "node1", news)
        assert peers.attempts(database, "node2", {"update"}) == []  # long ago
        status.withdraw(database, "node1", (), 9000.0)
        for beyond in (
            "UPDATE multinic_event SET node = 'x'",
            "INSERT INTO multinic_release (at) VALUES (UTC_TIMESTAMP())",
            "DELETE FROM multi_interface",
            "UPDATE multi_interface SET mtu = 1",
            "DROP TABLE node_table",
        ):
            with pytest.raises(SourceRejected, match="denied"):
                database.execute(beyond, ())
    with source.connect(
        settings(url.replace("node@", "multinic-dashboard@"), "choose a password")
    ) as database:
        database.ask("node1")
        assert status.known(database, "node1") == (frozenset(), 1)
        with pytest.raises(SourceRejected, match="denied"):
            database.report_success({1: True})
        with pytest.raises(SourceRejected, match="denied"):
            status.beat(database, "node1")
    environment = {"MULTINIC_ADMIN_PASSWORD": "choose a password"}
    # As in a container, where no user has a name.
    before = ["env", "--unset=SUDO_USER", "--unset=LOGNAME", "--unset=USER"]
    before += ["setpriv", "--ruid=54321"]
    released = ("db", "release-brake", "--user", "multinic-admin")
    done = program(*released, tmp_path=tmp_path, before=before, **environment)
    assert done.returncode == 0, done.stderr
    (row,) = mariadb.execute("SELECT by_whom FROM multinic_release", database=configured)
    assert row["by_whom"] == f"uid 54321 on {os.uname().nodename}"


# One document, whatever happens


@pytest.mark.parametrize("command", [["plan"], ["apply", "--yes"], ["reconcile"], ["db", "init"], ["render"]])
@pytest.mark.parametrize("trouble", ["down", "refused", "no settings", "usage"])
def test_json_is_one_document_in_every_case_and_so_is_every_line_of_the_log(
    mariadb, tmp_path, command, trouble
):
    url = {
        "down": "mysql://node@127.0.0.1:1/x",
        "refused": mariadb.url(user="nobody-known", database="x"),
        "no settings": "",
        "usage": "mysql://node@127.0.0.1:1/x",
    }[trouble]
    (tmp_path / "multinic.toml").write_text(f'[database]\nurl = "{url}"\n')
    more = ["--no-such-option"] if trouble == "usage" else []
    formats = ["--output", "json", "--log-format", "json", "--backend", "netlink"]
    done = program(*formats, "--root", tmp_path / "root", *command, *more, tmp_path=tmp_path)
    expected = 75 if trouble == "down" else 2
    document = json.loads(done.stdout)
    assert (done.returncode, document["exit"]) == (expected, expected), done.stdout + done.stderr
    assert document.get("error") or document["database_error"]
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["error"]


def test_what_init_has_done_is_one_document(mariadb, database, tmp_path):
    (tmp_path / "multinic.toml").write_text(f'[database]\nurl = "{mariadb.url(database=database)}"\n')
    document = json.loads(program("--output", "json", "db", "init", tmp_path=tmp_path).stdout)
    assert [line.rpartition(" ")[2] for line in document["messages"]] == ["created"] * 7


# What the documentation shows


def test_the_example_rows_of_the_documentation_can_be_inserted_and_read(mariadb, database):
    import re

    from multinic.database import rows

    page = (ROOT / "docs/database.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```sql example\n(.*?)```", page, re.DOTALL)
    url = mariadb.url(database=database)
    connection = mariadb.connect(database=database)
    CONTROLLER.create(connection)
    for statement in filter(str.strip, example.split(";\n")):
        mariadb.execute(statement, database=database)
    connection.close()
    with source.connect(settings(url)) as opened:
        found = rows.desired("worker-1", opened.ask("worker-1"), ignore_deleted_at=False, database="")
    assert found.invalid == ()
    assert len(found.links) == example.count("'fa:16:3e")
