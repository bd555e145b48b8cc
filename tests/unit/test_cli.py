"""The command line: statuses a script can rely on, sentences instead of tracebacks, JSON and nothing else."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from multinic.cli import main
from multinic.host.host import Host
from multinic.host.lock import only_one

ROOT = Path(__file__).parents[2]
# No link of any machine has this MAC: what these tests reconcile is only ever waited for.
ABSENT = "02:de:ad:be:ef:01"
COMMANDS = [["plan"], ["apply", "--yes"], ["reconcile"], ["render"]]


class Program:
    """The program on a root of its own, with a database of its own."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.root.mkdir()
        self.file = directory / "multinic.db"
        self.url = f"sqlite:///{self.file}"

    def __call__(
        self, *arguments: str, status: int = 0, environment: Mapping[str, str] | None = None, url: str = ""
    ) -> subprocess.CompletedProcess[str]:
        options = ["--node", "node1", "--backend", "netlink", "--root", str(self.root)]
        inherited = {
            name: text for name, text in os.environ.items() if name.startswith(("PATH", "COVERAGE_"))
        }
        done = subprocess.run(
            [sys.executable, "-m", "multinic", *options, *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={
                **inherited,
                "PYTHONPATH": str(ROOT),
                "MULTINIC_DATABASE_URL": url or self.url,
                **(environment or {}),
            },
        )
        assert done.returncode == status, done
        assert "Traceback" not in done.stderr
        assert all(character.isprintable() or character == "\n" for character in done.stdout + done.stderr)
        return done

    def init(self, *macs: str, **columns: Any) -> None:
        """Make the tables, and a row for each MAC."""
        self("db", "init")
        self.attach(*macs, **columns)

    def attach(self, *macs: str, **columns: Any) -> None:
        """Insert a row for each MAC."""
        with sqlite3.connect(self.file) as connection:
            for number, mac in enumerate(macs, 1):
                row = {
                    "port_id": f"port-{number}",
                    "subnet_id": "s",
                    "macaddress": mac,
                    "attached_node_name": "node1",
                } | columns
                marks = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO multi_interface ({', '.join(row)}) VALUES ({marks})", [*row.values()]
                )
        connection.close()

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["no-such-command"], "No such command", id="command"),
        pytest.param(["plan", "--no-such-option"], "No such option", id="option"),
        pytest.param(["--backend", "nmcli", "plan"], "nmcli", id="choice"),
        pytest.param(["--output", "xml", "plan"], "xml", id="output"),
        pytest.param(["apply", "/no/such/plan.json"], "/no/such/plan.json", id="a plan that is not there"),
        pytest.param(["--config", "/no/such.toml", "plan"], "/no/such.toml: no such file", id="a file"),
        pytest.param(["--database-url", "x://y", "plan"], "database.url", id="a URL"),
        pytest.param(["--database-url", "mysql://a:b@c/d", "plan"], "password", id="a password"),
    ],
)
def test_a_wrong_call_ends_with_status_2_and_says_why(
    program: Program, arguments: list[str], words: str
) -> None:
    done = program(*arguments, status=2)
    assert words in done.stderr
    assert done.stdout == ""
    assert program.files() == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_missing_database_file_is_status_75_and_is_not_made(program: Program, command: list[str]) -> None:
    done = program(*command, status=75)
    assert f"cannot open the database {program.file}" in done.stderr
    assert "multinic db init" in done.stderr
    assert not program.file.exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_without_tables_is_status_2(program: Program, command: list[str]) -> None:
    sqlite3.connect(program.file).execute("CREATE TABLE other (id)")
    assert "no table multi_interface" in program(*command, status=2).stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_empty_table_is_nothing_to_do(program: Program, command: list[str]) -> None:
    program.init()
    program(*command)


@pytest.mark.parametrize(
    ("command", "status"), [("plan", 0), ("reconcile", 0), ("status", 0), ("render", 0)], ids=str
)
def test_json_is_one_document_and_nothing_else(program: Program, command: str, status: int) -> None:
    program.init(ABSENT, address="10.0.0.5/24")
    program("reconcile")
    document = json.loads(program("--output", "json", command, status=status).stdout)
    assert document["version"] == 1


@pytest.mark.parametrize("words", ["plan", "status", "history", "render", "doctor", "db grants", "reconcile"])
def test_the_format_may_stand_after_the_command_and_yaml_says_the_same_as_json(
    program: Program, words: str
) -> None:
    def said(*arguments: str) -> str:
        options = ["--config", str(settings), "--node", "node1", "--backend", "netlink"]
        where = ["--root", str(program.root), "--database-url", program.url]
        return CliRunner().invoke(main, [*options, *where, *arguments]).stdout

    settings = program.root.parent / "multinic.toml"
    settings.touch(0o644)

    said("db", "init")
    program.attach(ABSENT, "zz:", address="10.0.0.5/24")
    said("reconcile")
    command = words.split()
    found = said("--output", "json", *command)
    assert json.loads(found)["version"] == 1
    assert said("--output", "yaml", *command, "--output", "json") == found
    text = said(*command, "--output", "yaml")
    assert text.startswith("version: 1\n")
    assert yaml.safe_load(text) == json.loads(found)
    assert not said("--output", "wide", *command).startswith(("{", "version"))


def test_the_program_alone_shows_its_help() -> None:
    for arguments in ([], ["db"]):
        done = CliRunner().invoke(main, arguments)
        assert "\n  init " in done.output or "\n  plan " in done.output
        assert all(len(line) <= 100 for line in done.output.splitlines())


def test_an_error_is_a_document_too_and_nothing_else_is_on_stdout(program: Program) -> None:
    for command in ("plan", "reconcile"):
        document = json.loads(program("--output", "json", command, status=75).stdout)
        assert yaml.safe_load(program(command, "--output", "yaml", status=75).stdout) == document
        assert (document["version"], document["exit"]) == (1, 75)


@pytest.mark.parametrize(
    "words",
    [
        "--output json plan --wrong",
        "--output json --wrong plan",
        "--output json",
        "--output json nosuch",
        "plan --wrong --output=json",
        "plan --output wide --wrong --output json",
        "apply --output json /no/such/plan.json",
        "db check --output json --limit x",
    ],
)
def test_a_wrong_call_for_a_program_is_an_error_document(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = wrong_call(words, capsys)
    document = json.loads(out)
    assert (document["version"], document["exit"]) == (1, 2)
    assert err == f"multinic: {document['error']}\n"
    out, err = wrong_call(words.replace("json", "table"), capsys)
    assert out == ""
    assert "Error: " in err


def test_a_wrong_call_with_a_log_for_a_program_is_a_line_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(wrong_call("plan --wrong --log-format json", capsys)[1])["level"] == "error"
    for words in ("plan --wrong -- --output json", "--output json db"):  # the latter shows the help
        assert "Usage: multinic" in "".join(wrong_call(words, capsys))
    monkeypatch.setenv("MULTINIC_LOG_FORMAT", "json")
    assert json.loads(wrong_call("--wrong", capsys)[1])["level"] == "error"


def wrong_call(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main.main(words.split(), prog_name="multinic")
    assert ended.value.code == 2 or words.endswith(" db")  # 0 with an older click
    return capsys.readouterr()


def test_a_waiting_row_is_no_failure_and_no_pending_change_without_files(program: Program) -> None:
    program.init(ABSENT)
    (interface,) = json.loads(program("--output", "json", "plan", "--detailed-exitcode").stdout)["interfaces"]
    assert (interface["state"], interface["reason"]) == ("waiting", "not-plugged-in")
    program("reconcile")


@pytest.mark.parametrize("command", ["plan", "reconcile"])
def test_a_bad_row_is_status_4_and_named(program: Program, command: str) -> None:
    program.init("zz:", ABSENT)
    done = program(command, status=4)
    assert "row 1: macaddress 'zz:' is not a MAC address" in done.stdout + done.stderr


def test_hostile_rows_reach_neither_terminal_nor_log(program: Program) -> None:
    hostile = "\x1b[2J\x07$(reboot)\n`id`\u202e'\""
    program.init(
        *(ABSENT, "zz:\x1b[31m"),
        address=hostile,
        status=hostile,
        netplan_success=hostile,
        deleted_at="0000-00-00",
        cr_name=hostile,
    )
    for arguments in (["plan"], ["reconcile"], ["reconcile"], ["--log-format", "json", "reconcile"]):
        program(*arguments, status=4)  # which looks at every character
    program("status")
    json.loads(program("--output", "json", "plan", status=4).stdout)


def test_the_second_run_is_status_75_and_names_the_first(program: Program) -> None:
    program.init()
    with only_one(Host(str(program.root))):
        done = program("reconcile", status=75)
    assert f"process {os.getpid()} (" in done.stderr


def test_a_mistake_in_the_file_is_status_2(program: Program) -> None:
    file = program.file.with_name("multinic.toml")
    file.write_text("max_interface = 5", encoding="utf-8")
    done = program("--config", str(file), "plan", status=2)
    assert "unknown key 'max_interface'" in done.stderr
    assert "did you mean 'max_interfaces'?" in done.stderr


def test_an_ambiguous_node_name_is_status_2_with_both_candidates(program: Program) -> None:
    program.init(ABSENT, attached_node_name="node1.a")
    with sqlite3.connect(program.file) as connection:
        connection.execute(
            "INSERT INTO multi_interface (port_id, subnet_id, macaddress, attached_node_name) "
            "VALUES ('p9', 's', '02:de:ad:be:ef:02', 'node1.b')"
        )
    done = program("plan", status=2)
    assert "'node1.a' and 'node1.b'" in done.stderr


@pytest.mark.parametrize("junk", ["", "{", "[]", "null", "\x00", '{"version": 7}'], ids=repr)
def test_what_is_no_plan_is_status_2(program: Program, tmp_path: Path, junk: str) -> None:
    program.init()
    (tmp_path / "plan.json").write_text(junk, encoding="utf-8")
    assert "not a plan" in program("apply", "--yes", str(tmp_path / "plan.json"), status=2).stderr


def test_a_saved_plan_is_carried_out_while_it_holds_and_refused_when_not(
    program: Program, tmp_path: Path
) -> None:
    program.init(ABSENT)
    saved = str(tmp_path / "plan.json")
    program("plan", "--out", saved)
    program("apply", "--yes", saved)
    with sqlite3.connect(program.file) as connection:
        connection.execute("UPDATE multi_interface SET id = 7")
    done = program("apply", "--yes", saved, status=5)
    assert "the saved plan is stale" in done.stderr
    assert "it was not carried out" in done.stderr


def test_a_plan_that_cannot_be_saved_is_status_2(program: Program, tmp_path: Path) -> None:
    program.init()
    assert "cannot write" in program("plan", "--out", str(tmp_path / "no/such/plan"), status=2).stderr


def test_a_plan_is_saved_into_no_pipe_that_nobody_reads(program: Program, tmp_path: Path) -> None:
    program.init()
    os.mkfifo(tmp_path / "pipe")
    said = program("plan", "--out", str(tmp_path / "pipe"), status=2).stderr
    assert f"cannot write {tmp_path}/pipe: it is a pipe that nobody reads" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
def test_a_plan_is_saved_through_no_symlink_of_another_user(program: Program, tmp_path: Path) -> None:
    program.init()
    link = tmp_path / "plan.json"
    link.symlink_to("/dev/stderr")
    os.chown(link, 12345, 12345, follow_symlinks=False)
    done = program("plan", "--out", str(link), status=2)
    assert "it is a symlink of another user (uid 12345)" in done.stderr
    assert '"interfaces"' not in done.stderr


def test_an_interface_that_does_not_exist_cannot_be_rendered(program: Program) -> None:
    program.init(ABSENT)
    done = program("render", "multinic7", status=2)
    assert "'multinic7'" in done.stderr
    assert "multinic0" in done.stderr


def test_a_pass_that_finds_nothing_new_says_nothing(program: Program) -> None:
    program.init(ABSENT)
    assert program("reconcile").stderr.count("\n") == 1
    done = program("reconcile")
    assert (done.stdout, done.stderr) == ("", "")


def test_a_plan_changes_nothing(program: Program) -> None:
    program.init(ABSENT)
    before = program.file.read_bytes()
    program("plan")
    program("render")
    assert program.files() == []
    assert program.file.read_bytes() == before


def test_a_host_on_which_nothing_ran_has_a_status_and_nothing_to_undo(program: Program) -> None:
    assert "no managed interfaces" in program("status").stdout
    assert "no change to undo" in program("rollback").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        *([command, "--help"] for command in ("plan", "apply", "reconcile", "status")),
    ],
    ids=" ".join,
)
def test_help_needs_no_configuration_and_no_database(program: Program, arguments: list[str]) -> None:
    environment = {"MULTINIC_MAX_INTERFACES": "nonsense"}
    assert program(*arguments, environment=environment).stdout


@pytest.fixture
def gone() -> Iterator[int]:
    """The end for writing of a pipe whose reader went away."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def broken(
    program: Program, streams: str, *arguments: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run the program with its streams redirected as a shell writes it."""
    command = [sys.executable, "-m", "multinic", "--node", "node1", "--backend", "netlink"]
    command += ["--root", str(program.root), *arguments]
    return subprocess.run(
        ["sh", "-c", f'"$@" {streams}', "sh", *command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MULTINIC_DATABASE_URL": program.url},
    )


FULL = "multinic: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["plan"], ["--output", "json", "status"], ["--help"]], ids=" ".join)
def test_a_command_that_only_prints_has_failed_where_that_is_lost(
    program: Program, gone: int, arguments: list[str]
) -> None:
    program.init(ABSENT)
    done = broken(program, ">/dev/full", *arguments)
    assert (done.returncode, done.stderr) == (1, FULL)
    done = broken(program, "", *arguments, stdout=gone)
    assert (done.returncode, done.stderr) == (1, ""), "who went away wants no word of it"


@pytest.mark.parametrize(
    "streams", [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&- 2>&-", "<&- >&- 2>&-"]
)
def test_a_change_is_made_and_has_its_exit_status_whatever_becomes_of_the_output(
    program: Program, streams: str
) -> None:
    said = FULL if streams == ">/dev/full" else ""
    done = broken(program, streams, "db", "init")
    assert (done.returncode, done.stderr) == (0, said)
    program.attach(ABSENT)
    assert broken(program, streams, "--output", "json", "reconcile").returncode == 0
    assert (program.root / "run/multinic/state.json").exists()
    for arguments in (["apply", "--yes"], ["rollback"], ["purge", "--yes"]):
        done = broken(program, streams, *arguments)
        assert (done.returncode, done.stderr.endswith(said)) == (0, True), (arguments, done.stderr)
    program.file.unlink()
    assert broken(program, streams, "apply", "--yes").returncode == 75, "there is no database"


@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", "2>&1"])
@pytest.mark.parametrize(
    "arguments", [["reconcile"], ["-v", "reconcile"], ["no-such-command"], ["plan", "--x"]]
)
def test_an_error_that_cannot_be_printed_still_has_its_exit_status(
    program: Program, gone: int, streams: str, arguments: list[str]
) -> None:
    assert broken(program, streams, "--config", "/nope", *arguments, stdout=gone).returncode == 2
