"""Help, tables and questions are Korean where the locale says so; what a program reads is English."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from unicodedata import east_asian_width

import pytest
from click.testing import CliRunner

from multinic.cli import main
from multinic.database import schema
from multinic.host import config, language
from tests import texts
from tests.terminal import COLOURS

ROOT = Path(__file__).parents[2]
TERMINAL = ROOT / "tests/terminal.py"
KOREAN = re.compile(r"[가-힣]")
ROWS = (("02:de:ad:be:ef:01", "10.0.0.5/24"), ("02:de:ad:be:ef:02", "10.0.0"))
"""One row that waits for its link, which no machine has, and one that is invalid."""


@pytest.mark.parametrize("name", language.LANGUAGES)
def test_every_text_is_in_every_language_and_no_other_is(name: str) -> None:
    """`make texts` prints what is missing, ready to be filled in."""
    known = language.catalogue(name)
    assert texts.missing(known) == []
    assert texts.unused(known) == []


@pytest.mark.parametrize("name", language.LANGUAGES)
def test_a_translation_has_the_fields_the_commands_and_the_options_of_the_text(name: str) -> None:
    for text, translated in language.catalogue(name).items():
        for pattern in (r"\{[a-z:.0-9]*\}", r"`[^`]+`", r"--[\w-]+", r"\b[A-Z]{4,}\b"):
            there = re.sub(r"\{\d\}", "{}", translated)  # values may come in another order
            found = [re.findall(pattern, part, re.ASCII) for part in (text, there)]
            assert sorted(found[0]) == sorted(found[1]), text
        if "{}" in text:
            assert translated.format(*(f"<{number}>" for number in range(9))).count("<") == text.count("{}")


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LANG": "ko_KR@dict"}, "ko"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR.UTF-8"}, "ko"),
        ({"LC_ALL": "en_US.UTF-8", "LC_MESSAGES": "ko_KR.UTF-8", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "ko"}, "ko"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:ko:en"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LANGUAGE": "en:ko"}, "en"),
        ({"LANG": "ko_KR.UTF-8", "LANGUAGE": "de:fr"}, "en"),
        # C is no language: nothing is translated, whatever LANGUAGE says.
        ({"LC_ALL": "C", "LANG": "ko_KR.UTF-8", "LANGUAGE": "ko"}, "en"),
        ({"LC_ALL": "POSIX", "LANGUAGE": "ko"}, "en"),
        ({"LANGUAGE": "ko"}, "en"),
        ({"LC_CTYPE": "ko_KR.UTF-8"}, "en"),
    ],
    ids=str,
)
def test_the_language_is_chosen_as_gettext_does(environment: dict[str, str], name: str) -> None:
    assert language.chosen(environment) == name


@pytest.fixture
def _korean(monkeypatch: pytest.MonkeyPatch) -> None:
    known = language.catalogue("ko")
    monkeypatch.setattr(language, "_texts", lambda: known)
    language._templates.cache_clear()
    language._understood.cache_clear()


@pytest.mark.usefixtures("_korean")
@pytest.mark.parametrize("values", ["a b c d e f", "10.0.0.5/24 multinic0 fe80::1 7 'x' 0644"])
def test_a_message_is_translated_by_the_template_that_it_was_made_of(values: str) -> None:
    known, words = language.catalogue("ko"), values.split()
    for template in known:
        if "{}" in template:
            assert language.said(template.format(*words)) == known[template].format(*words), template


@pytest.mark.usefixtures("_korean")
@pytest.mark.parametrize(
    ("message", "korean"),
    [
        (
            "cannot set the MTU of multinic0 to 9000: Invalid argument (mtu greater than device maximum)",
            "multinic0의 MTU 설정(9000): 실패했습니다(Invalid argument (mtu greater than device maximum))",
        ),
        (
            "cannot set /proc/sys/net/ipv4/conf/all/x: Permission denied",
            "/proc/sys/net/ipv4/conf/all/x: 값을 지정할 수 없습니다: Permission denied",
        ),
        (
            "option --log-level: log_level = 'very loud': must be one of debug, info",
            "옵션 --log-level: log_level = 'very loud': 다음 중 하나여야 합니다: debug, info",
        ),
        (
            "multinic0: failed 3 times, tried again at 10:00:00 UTC or when its row or carrier changes; "
            "not there after 10 s: address (none) → 10.0.0.5/24; restored as it was",
            "multinic0: 3번 실패, 다시 시도: at 10:00:00 UTC 또는 행이나 캐리어가 바뀔 때; "
            "10초가 지나도 없음: address (none) → 10.0.0.5/24; 원래대로 되돌렸습니다",
        ),
        (
            "changed since the last pass: the link is down; the address fd00::1/64 is missing; "
            "the address 10.0.0.5/24 is missing",
            "마지막 실행 뒤에 바뀜: 링크가 down 상태입니다; 주소 fd00::1/64 없음; 주소 10.0.0.5/24 없음",
        ),
        # A link or a node may have any name.
        ("link port carries the default route", "링크 port에 기본 경로가 걸려 있습니다"),
        (
            "mysql db1:3306/multinic: Access denied for user 'multinic'@'10.0.0.7' (using password: YES)",
            "mysql db1:3306/multinic: Access denied for user 'multinic'@'10.0.0.7' (using password: YES)",
        ),
    ],
)
def test_what_a_message_has_most_of_decides_and_words_of_others_stay(message: str, korean: str) -> None:
    assert language.said(message) == korean


@pytest.mark.usefixtures("_korean")
def test_a_message_is_translated_by_its_template_and_so_is_a_message_in_it() -> None:
    carrier = "it is configured, and works when it has one"
    said = language.said(f"multinic0 has no carrier (its port or cable is down): {carrier}")
    assert said == (
        "multinic0에 캐리어가 없습니다(포트나 케이블이 끊김): 설정은 되어 있으며 캐리어가 생기면 동작합니다"
    )
    assert (
        language.said("the database has 3 rows of node 'n {0}'")
        == "데이터베이스에 노드 'n {0}'의 행 3개가 있습니다"
    )
    assert language.said("netplan is installed, systemd-networkd is running").startswith("netplan이 설치되어")
    # What a hostile row makes long would take a minute to match.
    for unknown in ("a message that nobody has translated", "", "{}", "row 1: " + "x " * 20000, "x; " * 200):
        assert language.said(unknown) == unknown


def cells(line: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in line)


@pytest.mark.usefixtures("_korean")
@pytest.mark.parametrize("width", [78, 100])
def test_korean_help_stays_within_the_terminal_and_its_columns(width: int) -> None:
    for name in texts.commands():
        shown = CliRunner().invoke(main, [*name, "--help"], terminal_width=width).output
        assert KOREAN.search(shown)
        assert "\n옵션:\n" in shown
        assert [line for line in shown.splitlines() if cells(line) > width] == []
        # A meaning that goes on in the next line does so in the column where it began.
        found = re.findall(
            r"^( +\S.*?  )\S.*[가-힣].*\n( +)[^- ]", shown.partition("\n옵션:\n")[2], re.MULTILINE
        )
        assert all(cells(start) == len(indent) for start, indent in found if len(indent) > 4), shown


PLAYER = """
import json, sys
from multinic.cli import main
for arguments in json.loads(sys.argv[1]):
    try:
        main.main(arguments, prog_name="multinic")
    except SystemExit:
        print(flush=True)
    print("=====", flush=True)
"""


class Program:
    """The program with a root and a database of its own. Several calls in one process are quick."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        (directory / "root").mkdir()
        self.url = f"sqlite:///{directory}/multinic.db"
        list(schema.init(config.load(None, {"database.url": self.url}, {}).database))
        with closing(sqlite3.connect(directory / "multinic.db")) as connection:
            for number, (mac, address) in enumerate(ROWS, 1):
                values = (f"port-{number}", "s", mac, address, "node1")
                columns = "port_id, subnet_id, macaddress, address, attached_node_name"
                connection.execute(f"INSERT INTO multi_interface ({columns}) VALUES (?, ?, ?, ?, ?)", values)
            connection.commit()

    def __call__(self, locale: dict[str, str], *commands: str, terminal: bool = False) -> list[str]:
        """Return all that each command prints, on a terminal or into a pipe."""
        options = ["--node", "node1", "--backend", "netlink", "--root", str(self.directory / "root")]
        calls = json.dumps([[*options, *command.split()] for command in commands])
        command = [sys.executable, "-c", PLAYER, calls]
        kept = {name: text for name, text in os.environ.items() if name.startswith(("PATH", "COVERAGE_"))}
        done = subprocess.run(
            [sys.executable, str(TERMINAL), *command] if terminal else command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**kept, **locale, "PYTHONPATH": str(ROOT), "MULTINIC_DATABASE_URL": self.url},
            timeout=120,
        )
        return done.stdout.decode().split("=====\n")[:-1]


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "ko_KR.UTF-8"}, {"LANG": "C.UTF-8", "LANGUAGE": "ko"}], ids=["LC_ALL", "LANGUAGE"]
)
def test_a_korean_terminal_gets_korean_tables_that_are_aligned(
    tmp_path: Path, locale: dict[str, str]
) -> None:
    commands = ("plan", "doctor", "status", "plan -h", "--config /no/such.toml plan")
    found = Program(tmp_path / "one")(locale, *commands, terminal=True)
    plan, doctor, status, usage, error = (COLOURS.sub("", text) for text in found)
    lines = plan.splitlines()
    assert lines[0] == "노드 node1, 백엔드 netlink (설정에 지정됨)"
    assert lines[1].split() == ["인터페이스", "mac", "상태", "이유", "링크"]
    before = [line.partition(word)[0] for line, word in zip(lines[1:4], ("mac", "02:", "02:"), strict=True)]
    assert [cells(text) for text in before] == [12, 12, 12]
    assert "invalid 1개, waiting 1개: 할 일 없음" in lines
    assert doctor.split()[:3] == ["수준", "점검", "결과"]
    assert re.search(r"^문제 \d+개, .*정상 \d+개$", doctor, re.MULTILINE)
    assert re.search(r"^지난 실행  +부팅 후 끝난 실행 없음$", status, re.MULTILINE)
    assert usage.startswith("사용법: multinic plan ")
    assert "/no/such.toml: 그런 파일이 없습니다\n" in error
    assert "--config에 올바른 경로를 주십시오\n" in error


MISTAKES = {
    "statsu": "'statsu' 명령은 없습니다",
    "plan --outt json": "--outt",  # each version of click says it in its own way
    "plan --out": "'--out' 옵션에는 값이 필요합니다",
    "rollback everything": "필요 없는 인자가 있습니다 (everything)",
    "status --output xml": "'xml' 값은 다음 중에 없습니다: 'table'",
    "db check --limit many": "'many' 값은 올바른 정수가 아닙니다",
    "apply /no/such/plan": "'/no/such/plan' 파일이 없습니다",
}


def test_a_korean_terminal_is_told_in_korean_what_is_wrong_with_a_command_line(tmp_path: Path) -> None:
    locale = {"LC_ALL": "ko_KR.UTF-8"}
    for command, text in zip(
        MISTAKES, Program(tmp_path / "one")(locale, *MISTAKES, terminal=True), strict=True
    ):
        assert MISTAKES[command] in text
        assert not {"Error", "Usage:", "Try", "Aborted", "No such"} & set(re.findall(r"[\w:]+", text)), text


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "LANGUAGE": "ko"},
        {"LANG": "de_DE.UTF-8"},
        {"LC_ALL": "ko_KR.UTF-8", "PYTHONIOENCODING": "ascii"},  # a terminal without the letters
    ],
    ids=["C", "another", "ASCII"],
)
def test_another_terminal_gets_english(tmp_path: Path, locale: dict[str, str]) -> None:
    plan, usage = Program(tmp_path / "one")(locale, "plan", "--help", terminal=True)
    assert "1 invalid, 1 waiting: nothing to do" in plan
    assert "Usage: multinic " in usage
    assert not KOREAN.search(plan + usage)


def test_what_a_program_reads_is_the_same_in_every_language(tmp_path: Path) -> None:
    commands = (
        "--output json plan",
        "--output json doctor",
        "--output json plan --no-such-option",
        "--output json --config /no/such.toml plan",
        "--log-format json --config /no/such.toml plan",
        "--config /no/such.toml plan",  # no terminal: a collector of logs may read it
        "reconcile",
        "--output json --log-format json apply --yes",
        "--output json history",
        "--output json status",
        "health",
    )
    said = []
    for name, locale in (("one", {"LANG": "C.UTF-8"}), ("two", {"LC_ALL": "ko_KR.UTF-8", "LANGUAGE": "ko"})):
        program = Program(tmp_path / name)
        found = program(locale, *commands)
        assert len(found) == len(commands)
        times = r'("(?:time|number|since|uptime|[a-z_]*seconds)": ?)[^,\n}]+'
        said.append([re.sub(times, r"\1…", text.replace(str(program.directory), "")) for text in found])
    for command, english, korean in zip(commands, *said, strict=True):
        assert english.strip(), command
        assert english == korean, command


def test_who_leaves_a_question_unanswered_is_told_what_became_of_it_in_korean() -> None:
    terminal, theirs = os.openpty()
    url = "mysql://root@127.0.0.1:1/none"
    command = [sys.executable, "-m", "multinic", "--database-url", url, "db", "init", "--ask-password"]
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "LC_ALL": "ko_KR.UTF-8"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as asking:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # the other end is closed
            while part := os.read(terminal, 4096):
                said += part
                if said.decode("utf-8", "replace").endswith("암호: "):
                    os.write(terminal, b"\x04")
    os.close(terminal)
    assert said.decode().endswith("중단했습니다!\r\n")
    assert asking.returncode == 1
