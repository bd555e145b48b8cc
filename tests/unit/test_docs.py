"""The documentation says what the program does: every command, option, setting, status and field."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from multinic.agent import health as agent_health
from multinic.agent.health import Snapshot
from multinic.cli import main
from multinic.database.rows import parse
from multinic.decide import options
from multinic.decide.compare import CASES
from multinic.decide.diff import diff
from multinic.doctor import examine as doctor
from multinic.host import config
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.report import document, events, health, past, statefile
from multinic.report.report import Report
from multinic.report.status import status
from multinic.state.statefile import load_state
from multinic.values.counts import REASONS
from multinic.values.desired import DesiredLink
from multinic.values.errors import Exit
from multinic.values.passed import PASS_REASONS, Passed
from multinic.values.plan import Result, State
from multinic.values.settings import KEYS
from tests.unit.making import desired, link, observed, policy, row, want

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
READERS = tuple(str(page.relative_to(ROOT)) for page in PAGES)
GENERATED = ("commands", "settings")


def commands(group: click.Group = main, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(commands())


def section(title: str, text: str = REFERENCE) -> str:
    """A section of a page, up to the next heading of its level or a higher one."""
    start = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert start, f"no section {title!r}"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows of a text, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {at for at, cells in enumerate(found) if set("".join(cells)) <= set("-: ")}
    return [cells for at, cells in enumerate(found) if at not in rules and at + 1 not in rules]


def code(text: str) -> set[str]:
    """All that a text sets as code."""
    return set(re.findall(r"`([^`\n]+)`", text))


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a text with one of these words after the fence."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


# Commands and options


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example_and_is_in_the_reference(name):
    said = CliRunner().invoke(main, [*name.split(), "--help"])
    assert said.exit_code == 0
    assert COMMANDS[name].help
    example = said.output.partition("Example:")[2]
    assert re.search(rf"multinic .*\b{name}\b", example), f"`multinic {name}` has no example in its help"
    assert re.search(rf"multinic .*\b{name}\b", "".join(blocks(section(f"multinic {name}"), "")))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_in_the_reference_and_no_other(name):
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option)]
    real = {spelling for option in options for spelling in option.opts} - {"-h", "--help"}
    real.remove("--output")  # each takes this global option, too
    documented = {words.split()[0] for cells in rows(section(f"multinic {name}")) for words in code(cells[0])}
    assert documented == real
    assert all(option.help for option in options)


def test_every_global_option_is_in_the_reference_and_no_other():
    real = {spelling for param in main.params for spelling in param.opts} | {"-h", "--help"}
    table = section("Commands").partition("###")[0]
    assert {words.split()[0] for cells in rows(table) for words in code(cells[0])} == real


def test_every_command_is_in_the_reference_and_no_other():
    assert set(re.findall(r"^### multinic (.*)$", REFERENCE, re.MULTILINE)) == set(COMMANDS)


def command_lines(text: str) -> Iterator[str]:
    """Every command line of a page that starts multinic: in its blocks, and in its sentences."""
    for line in "".join(blocks(text, "", "sh", "sh first-host", "text")).splitlines():
        for part in re.split(r"&&|\|\||\|(?= |$)|(?<= )>", line):
            words = part.strip().removeprefix("$ ").removeprefix("sudo ")
            if words.startswith("multinic ") and "[" not in words:
                yield words
    yield from (words for words in code(text) if words.startswith("multinic ") and "…" not in words)


@pytest.mark.parametrize("page", READERS)
def test_every_command_line_in_the_documentation_is_understood(page):
    for line in sorted(set(command_lines((ROOT / page).read_text(encoding="utf-8")))):
        understand(line, page)


def test_every_command_line_in_a_message_of_the_program_is_understood():
    for path in sorted((ROOT / "multinic").rglob("*.py")):
        for text in strings(path):
            for line in re.findall(r"`(multinic [^`]*)`", text):
                understand(line, path.name)


def understand(line: str, where: str) -> None:
    """Parse a command line as the program does, without carrying it out."""
    command: click.Command = main
    context: click.Context | None = None
    rest = shlex.split(line)[1:]
    try:
        while True:
            context = command.make_context(command.name, rest, parent=context)
            kept = vars(context)  # the subcommand's name is in one of two, by the version of click
            rest = [*kept.get("_protected_args", kept.get("protected_args", ())), *context.args]
            if not isinstance(command, click.Group) or not rest:
                return
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command = found
    except click.exceptions.Exit:  # after --help and --version
        return
    except click.UsageError as e:
        named_only = isinstance(e, click.BadOptionUsage) and "requires an argument" in str(e)
        missing_file = isinstance(e, click.BadParameter) and isinstance(e.param, click.Argument)
        if not named_only and not missing_file:
            pytest.fail(f"{where}: {line}: {e}")


def strings(path: Path) -> list[str]:
    """All texts in a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


# Statuses, states, reasons


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(section("Exit statuses"), id="reference"),
        pytest.param(section("For scripts", (ROOT / "README.md").read_text(encoding="utf-8")), id="README"),
        pytest.param(
            section("스크립트에서 쓰기", (ROOT / "README.ko.md").read_text(encoding="utf-8")), id="README.ko"
        ),
    ],
)
def test_the_documented_exit_statuses_are_those_of_the_program(table):
    assert [int(cells[0]) for cells in rows(table)] == sorted(int(status) for status in Exit)


def test_every_state_is_in_the_reference():
    table = section("States and reasons").partition("| Reason |")[0]
    documented = {words for cells in rows(table) for words in code(cells[0])}
    assert documented == {str(state) for state in State} | {
        "unknown",
        "drifted",
    }  # of `multinic status` alone


def test_the_states_that_the_concepts_name_are_those_of_the_program():
    page = (ROOT / "docs/concepts.md").read_text(encoding="utf-8")
    shown = {state for cells in rows(section("States", page)) for state in code(cells[0])}
    after_a_pass = {"converged", "failed"}
    assert shown == {str(state) for state in State} - after_a_pass
    assert after_a_pass <= code(section("States", page))


def test_every_reason_is_in_the_reference():
    found = set()
    package = ROOT / "multinic"
    rows_too = (package / f"database/{name}.py" for name in ("columns", "merge", "rows"))
    for path in (*package.glob("decide/*.py"), *package.glob("change/*.py"), *rows_too):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.keyword)
                and node.arg == "reason"
                and isinstance(node.value, ast.Constant)
            ):
                found.add(node.value.value)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"^[a-z]+(?:-[a-z]+)+$", node.value))
    table = section("States and reasons").partition("| Reason |")[2]
    documented = {words for cells in rows(table) for words in code(cells[0])}
    assert found - documented == {""}  # not decided yet
    assert documented == REASONS | {"recovered", "rollback"}  # of the log alone


def test_the_table_of_what_becomes_of_a_row_is_the_one_that_decides():
    table = rows(section("What becomes of a row", (ROOT / "docs/safety.md").read_text(encoding="utf-8")))
    assert [(when, code(state), code(reasons)) for when, state, reasons in table] == [
        (case.when, {str(case.state)}, set(case.reasons)) for case in CASES
    ]


def test_every_result_of_a_pass_is_in_the_page_of_the_agent():
    table = rows(section("When a pass runs", (ROOT / "docs/agent.md").read_text(encoding="utf-8")))
    assert {word for cells in table for word in code(cells[0])} >= set(PASS_REASONS)


def test_what_doctor_says_of_a_symptom_is_what_it_says():
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    said = "\n".join(text for path in (ROOT / "multinic/doctor").glob("*.py") for text in strings(path))
    checks = {word for cells in rows(section("multinic doctor")) for word in cells[0].split(", ")}
    table = rows(section("By symptom", page))
    assert table
    for _, check, words, _ in table:
        assert check in checks
        for part in re.split("…", "".join(re.findall(r"^`([^`]+)`", words))):
            assert part.strip() in said, words


# Options


def test_every_option_is_in_the_reference_and_no_other():
    of_link, of_route = section("Options").partition("A route is an object")[::2]
    assert [key for cells in rows(of_link) for key in re.findall(r"`(\w+)`", cells[0])] == list(options.KEYS)
    assert [key for cells in rows(of_route) for key in code(cells[0])] == list(options.ROUTE_KEYS)


def test_the_options_in_the_reference_can_be_carried_out():
    found = parse(row(address="10.10.1.11/24", options=json.dumps(example("options"))), {})
    assert isinstance(found, DesiredLink)
    assert options.document(found.options) == example("options")


# Settings


def shown(default: Any) -> str:
    if isinstance(default, float):
        return f"`{default:g}s`"
    if isinstance(default, bool):
        return f"`{default}`".lower()
    return f"`{default}`" if default != "" else "empty"


def test_every_setting_is_in_the_reference_with_its_default_and_its_variables():
    table = {cells[0]: cells[1:] for cells in rows(section("Configuration")) if len(cells) == 4}
    assert list(table) == [f"`{key.name}`" for key in KEYS]
    for key in KEYS:
        default, variables, meaning = table[f"`{key.name}`"]
        assert default == shown(key.default)
        assert code(variables) == {key.variable, *key.variables}
        assert meaning


@pytest.mark.parametrize("page", READERS)
def test_every_configuration_in_the_documentation_is_valid(page, tmp_path):
    for number, text in enumerate(
        blocks((ROOT / page).read_text(encoding="utf-8"), "toml", "toml first-host")
    ):
        file = tmp_path / f"{number}.toml"
        file.write_text(text.replace("/etc/multinic/password", str(tmp_path / "password")))
        (tmp_path / "password").touch()
        url = config.load(str(file), {}, {}).database.url
        assert url.startswith("mysql://") or "[database]" not in text


# JSON


def example(name: str) -> Any:
    (text,) = blocks(REFERENCE, f"json {name}")
    return json.loads(text)


def fields(value: Any, path: str = "") -> set[str]:
    """Every field of a document, as the reference spells them; the keys of `summary` are data."""
    if isinstance(value, list):
        return {found for item in value for found in fields(item, f"{path}[]")}
    if not isinstance(value, dict) or path == "summary":
        return {path}
    return {found for key, item in value.items() for found in fields(item, f"{path}.{key}" if path else key)}


def documents(root: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One real document of each kind, of an interface with everything it can have."""
    wanted = want(1, "10.10.1.11/24", mtu=1450)
    plan = diff(desired(wanted), observed(link(1, "ens7")), {}, policy())
    done = tuple(Result(item, State.CONVERGED, item.reason, item.message) for item in plan.interfaces)
    host = Host(str(root))
    patch.setattr("multinic.report.status.current_links", lambda: (link(1, "multinic0", "10.10.1.11/24"),))
    told = Report("0.1.0", plan.node, plan.backend, 1.0, done)
    events.record(host, Log(), told, {})
    statefile.write(host, told)
    return {
        "health": health.document(host),
        "agent": agent_health.document(
            Snapshot(0.0, Passed(Exit.OK, "converged", 0.1, idle=False), state=load_state(host))
        ),
        "plan": document.document(plan),
        "state": load_state(host),
        "status": status(host),
        "history": past.document(host),
        "doctor": doctor.examine(
            lambda: config.load(None, {}, {}, default=str(root / "none")), lambda _: Host(str(root))
        ),
    }


@pytest.mark.parametrize("name", ["plan", "state", "status", "health", "agent", "doctor", "history"])
def test_the_documented_json_has_exactly_the_fields_of_the_real_one(name, tmp_path, monkeypatch):
    real = fields(documents(tmp_path, monkeypatch)[name])
    assert fields(example(name)) == real
    told = set()
    for cells in rows(section(f"{name.capitalize()} document")):
        # A nested object is told of in one row: `interfaces[].changes[]`, and its fields in the words.
        for field in code(cells[0]):
            inside = {f"{field}.{word}" for word in code(cells[1])} & real
            told |= inside or {found for found in real if found in (field, f"{field}[]")}
    assert real - told == set()


def test_the_documented_log_line_has_the_fields_of_the_table():
    line = example("log")
    documented = {words for cells in rows(section("The log")) for words in code(cells[0])}
    assert set(line) < documented
    assert documented - set(line) == {"hint"}


def test_a_real_log_line_has_the_documented_fields(capsys):
    Log("json", "info", "worker-3").info(
        "converged", interface_name="multinic0", mac_address="", reason="new"
    )
    assert set(json.loads(capsys.readouterr().err)) == {
        "time",
        "level",
        "msg",
        "node",
        "interface_name",
        "reason",
    }


# Blocks of other languages


def readable(language: str, text: str) -> None:
    """Read a block as the program would that it is for. Raises if that cannot read it."""
    if language == "json":
        json.loads(text)
    elif language == "yaml":
        list(yaml.safe_load_all(text))
    elif language == "ini":
        # A unit may have a setting twice, and a line without a value takes earlier ones away.
        configparser.RawConfigParser(strict=False, interpolation=None).read_string(text)
    elif language == "sh":
        done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", READERS)
def test_every_block_is_in_the_language_that_it_says(page):
    known = {"json", "yaml", "ini", "sh", "sql", "toml", "text", "promql", ""}
    text = (ROOT / page).read_text(encoding="utf-8")
    for info, body in re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        language = info.partition(" ")[0]
        assert language in known
        # A block without a word has commands; some are output, of our program or of others.
        commands = language == "sh" or (not language and re.match(COMMAND, body))
        readable("sh" if commands else language, body)


COMMAND = re.compile(r"(sudo|make|multinic|kubectl|helm|ansible\S*|systemctl|journalctl|curl|[A-Z_]+=)\b")


# Pages that are made from the program


def test_the_pages_made_from_the_program_say_what_it_says_now(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts/pages.py", tmp_path], check=True)
    for name in GENERATED:
        kept = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
        assert (tmp_path / f"{name}.md").read_text(encoding="utf-8") == kept, "run `make pages`"


# The pages themselves


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if target and "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_anchor_is_a_heading(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]*)\)", page.read_text(encoding="utf-8")):
        text = ((page.parent / target) if target else page).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_of_the_repository_that_a_page_names_exists(page):
    roots = "ansible|bench|multinic|packaging|requirements|scripts|systemd|templates|tests"
    named = set(re.findall(rf"`(?:python )?((?:{roots})/[\w./-]+)", page.read_text(encoding="utf-8")))
    assert {name for name in named if "NAME" not in name and not (ROOT / name).exists()} == set()


def test_every_page_that_the_program_names_exists():
    named = {
        name
        for path in (ROOT / "multinic").rglob("*.py")
        for name in re.findall(r"docs/[\w/.-]+\.md", path.read_text())
    }
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_no_message_names_a_file_that_only_a_checkout_has():
    pages = re.compile(
        r"(?<![\w/])(docs|multinic|packaging|scripts|systemd|templates|tests)/[\w-]+\.\w+|\.md\b"
    )
    for path in sorted((ROOT / "multinic").rglob("*.py")):
        documented = docstrings(path)
        assert [text for text in strings(path) if pages.search(text) and text not in documented] == [], path


def docstrings(path: Path) -> set[str]:
    """All texts of a module that stand alone, for readers of the code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = (node.value for node in ast.walk(tree) if isinstance(node, ast.Expr))
    return {node.value for node in alone if isinstance(node, ast.Constant) and isinstance(node.value, str)}
