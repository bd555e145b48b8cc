"""Text of others on a terminal: nothing of it acts there, whatever prints it and from wherever it comes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import terminal
from tests.kernel.node import Node, mac_of

# Colour, title, clear, clipboard, bell, line ends, C1 controls, right-to-left, and bytes that are no text.
ATTACK = "\x1b[31m\x1b]0;x\x07\x1b[2J\x1b]52;c;eA==\x07\b\r\x00\n\x7f\x85\x9b2J\u200f\u202e\u2066\u2028\ufeff"
COMMANDS = [
    ["plan"],
    ["--output", "json", "plan"],
    ["plan", "--output", "wide"],
    ["-v", "reconcile"],
    ["--log-format", "json", "reconcile"],
    ["--output", "json", "reconcile"],
    ["status"],
    ["--output", "json", "status"],
    ["status", "--output", "wide"],
    ["status", "--output", "yaml"],
    ["render"],
    ["--output", "json", "render"],
    ["apply", "--yes"],
    ["--log-format", "json", "apply", "--yes"],
    ["rollback", "--plan"],
    ["rollback", "--yes"],
    ["history"],
    ["--output", "json", "history"],
]


def on_terminal(node: Node, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Return what a command writes to a terminal that has colours; assert that nothing of it acts there."""
    environment = {name: text for name, text in node.environment(env).items() if name != "NO_COLOR"}
    done = node.namespace.run_program(node.command(*arguments), environment, on_terminal=True)
    assert terminal.acting(done.stdout) == [], (arguments, done.stdout)
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert "unexpected error" not in done.stdout, done.stdout
    return done.stdout


def every_command(node: Node, env: dict[str, str] | None = None) -> str:
    """Return what all commands together write."""
    return "".join(on_terminal(node, *command, env=env) for command in COMMANDS)


def test_there_are_colours_at_all(node: Node) -> None:
    """Or the tests below would see nothing."""
    node.provide(1)
    assert "\x1b[" in on_terminal(node, "plan")


def test_no_column_of_a_row_acts_on_a_terminal(node: Node) -> None:
    node.provide(1)
    columns = [
        "macaddress",
        "address",
        "mtu",
        "port_id",
        "subnet_id",
        "cidr",
        "status",
        "netplan_success",
        "cr_name",
    ]
    for number, column in enumerate(columns, 2):
        node.namespace.plug(f"eth{number}", mac_of(number))
        good = {"address": f"10.0.0.{number}", "port_id": f"p{number}", "subnet_id": f"s{number}"}
        node.attach(number, **(good | {column: f"x{ATTACK}"}))
    said = every_command(node)
    for column in ("macaddress", "address", "mtu", "port_id", "cidr"):
        assert f"{column} 'x\\x1b[31m" in said.replace("\\\\", "\\")


@pytest.mark.parametrize("table", ["multi_interface", "multi_subnet"])
def test_no_name_of_a_column_acts_on_a_terminal(node: Node, table: str) -> None:
    node.provide(1)
    node.sql(f'ALTER TABLE {table} ADD COLUMN "{ATTACK.replace(chr(0), "")}" TEXT')
    every_command(node)


def test_no_node_name_acts_on_a_terminal(node: Node) -> None:
    """Two that could be meant are named, one that fits is the node's name from then on."""
    shown = "node1.\u00e9\u1200"
    for number, name in enumerate([f"node1.{ATTACK}", f"node1.{ATTACK}b"], 1):
        node.attach(number, node=name)
    assert "ambiguous" in every_command(node)
    node.sql("DELETE FROM multi_interface WHERE id = 2")
    every_command(node)
    for options in (
        ["--node", f"x\x9b{shown}"],
        ["--node", "x\udcff"],
        ["--node", ATTACK.replace("\x00", "")],
    ):
        assert "must not contain" in on_terminal(node, *options, "plan")


RENAME = """\
import os, socket, sys
socket.sethostname(os.fsencode(sys.argv[1]))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_no_host_name_acts_on_a_terminal(node: Node) -> None:
    options = ["--database-url", node.url, "--backend", "netlink", "--root", str(node.root)]
    for name in ("a\x1b[31mb", "a\x9bb", "a\u202eb", "a\udcff\udc9b"):
        renamed = ["unshare", "--uts", sys.executable, "-c", RENAME, name]
        for form in ("text", "json"):
            command = [sys.executable, "-m", "multinic", *options, "--log-format", form, "reconcile"]
            done = node.namespace.run(
                *renamed, sys.executable, terminal.__file__, *command, check=False, env=node.environment()
            )
            assert terminal.acting(done.stdout) == []
            assert (done.returncode, "host name" in done.stdout) == (2, True)


LISTED = "import os; print(b'\\n'.join(os.listdir(b'/sys/class/net')).hex())"
NAMES = ["e\x1b[31m\x07\x08\x7f", os.fsdecode("e\x85\u202e".encode() + b"\xff\x9b2J"), "e'\"`$;|&"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_of_a_link_acts_on_a_terminal(node: Node, name: str) -> None:
    """The kernel takes any bytes but a slash, a colon and blanks."""
    node.provide(1)
    plug(node, name, mac_of(2))
    node.attach(2, "10.0.0.12")
    plug(node, "eth3", mac_of(3))
    node.attach(3, "10.0.0.13")
    node.ip("link", "add", "link", "eth3", "name", f"{name}v", "type", "macvlan")
    node.ip("link", "property", "add", "dev", "eth1", "altname", f"{name}{ATTACK[:9]}-alternative")
    assert "in-use" in every_command(node)
    assert node.flags() == {mac_of(1): 1, mac_of(2): 1, mac_of(3): 0}
    node.detach(1)
    node.detach(2)
    on_terminal(node, "apply", "--yes", "--allow-mass-delete")
    left = bytes.fromhex(node.namespace.run(sys.executable, "-c", LISTED).stdout).split(b"\n")
    assert {b"eth1", os.fsencode(name)} <= set(left)


def plug(node: Node, name: str, mac: str) -> None:
    node.namespace.plug("plugged", mac)
    node.ip("link", "set", "plugged", "name", name)


ANSWER = """\
import socket, sys
listener = socket.create_server(("127.0.0.1", 3306))
print("listening", flush=True)
text = bytes.fromhex(sys.argv[1])
while True:
    connection, _ = listener.accept()
    connection.sendall(len(text).to_bytes(3, "little") + bytes(1) + text)
    connection.close()
"""


@pytest.fixture
def answering(node: Node) -> Iterator[object]:
    """Let something answer on the port of MySQL: `answering(bytes)`."""
    running = []

    def answer(packet: bytes) -> None:
        server = node.namespace.popen(sys.executable, "-c", ANSWER, packet.hex(), stdout=-1)
        running.append(server)
        assert server.stdout.readline() == "listening\n"

    yield answer
    for server in running:
        server.kill()
        server.communicate()


@pytest.mark.parametrize("code", [1040, 1045, 9999])
def test_no_word_of_a_database_server_acts_on_a_terminal(node: Node, answering, code: int) -> None:
    answering(b"\xff" + code.to_bytes(2, "little") + b"#08004go away " + ATTACK.encode() + b"\xff\x9b")
    node.url = "mysql://multinic@127.0.0.1/multinic"
    said = every_command(node)
    assert "go away \\x1b[31m" in said
    said = on_terminal(node, "db", "init")
    assert "go away" in said


@pytest.mark.parametrize(
    "packet", [ATTACK.encode(), b"\x0a" + ATTACK.encode() * 9, b"\xff" + ATTACK.encode()]
)
def test_nothing_that_answers_instead_acts_on_a_terminal(node: Node, answering, packet: bytes) -> None:
    answering(packet)
    node.url = "mysql://multinic@127.0.0.1/multinic"
    assert "127.0.0.1" in every_command(node)


def test_no_setting_acts_on_a_terminal(node: Node, tmp_path: Path) -> None:
    """Texts that an operator wrote or pasted: what is wrong with one is told, the text itself cannot act."""
    raw = ATTACK.replace("\x00", "")
    escaped = json.dumps(ATTACK)
    config = tmp_path / "multinic.toml"
    for text in (
        f"node = {escaped}",
        f"{escaped} = 1",
        f"[database]\npassword_file = {escaped}",
        f"verify_timeout = {escaped}",
        f"backend = {escaped}",
        f"node = '{raw}'",
        raw,
        f"[{escaped}]\nx = 1",
    ):
        config.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert str(config) in on_terminal(node, "--config", str(config), "plan")
    for options in (
        ["--backend", raw, "plan"],
        ["--config", raw, "plan"],
        [f"--{raw}", "plan"],
        ["apply", raw],
        ["apply", str(config)],
        ["plan", raw],
        ["plan", "--out", f"{tmp_path}/{raw}/x"],
        ["render", raw],
        [raw],
        ["--database-url", f"mysql://h/{raw}", "plan"],
        ["--database-url", "mysql://h/%1b%5b31m%c2%9b", "plan"],
        ["--database-url", f"sqlite:////{raw}", "plan"],
        ["--database-url", "mysql://127.0.0.1:1/%1b%5b31m", "db", "init"],
        ["--database-url", f"{raw}://", "plan"],
    ):
        assert on_terminal(node, *options)
    for variable in (
        "NODE_NAME",
        "MULTINIC_DATABASE_URL",
        "MULTINIC_BACKEND",
        "POLL_INTERVAL",
        "DB_HOST",
        "DB_PORT",
    ):
        on_terminal(node, "plan", env={variable: raw})


def test_no_file_of_ours_that_was_tampered_with_acts_on_a_terminal(node: Node) -> None:
    node.provide(2)
    node.reconcile()
    history = node.root / "var/lib/multinic/history.jsonl"
    own = [node.root / "run/multinic/state.json", *(node.root / "var/lib/multinic").iterdir()]
    own.remove(history)
    assert len(own) == 3
    before = {path: path.read_text() for path in own}
    for path, text in before.items():
        for other in (json.dumps(tampered(json.loads(text))), ATTACK, f'"{ATTACK}"', json.dumps({ATTACK: 1})):
            for every, good in before.items():
                every.write_text(good)
            path.write_text(other)
            for command in ("plan", "status", "rollback --plan", "rollback --yes", "reconcile"):
                on_terminal(node, *command.split())
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    hostile = [json.dumps(tampered(line) | {"event": line["event"]}) for line in lines]
    history.write_text("\n".join([*hostile, ATTACK, f'"{ATTACK}"', json.dumps({ATTACK: 1})]))
    assert on_terminal(node, "history").count("created") >= 2


def tampered(document):
    """Return a JSON document with a hostile text in the place of each text but the first words of a path."""
    if isinstance(document, dict):
        return {key: tampered(value) for key, value in document.items()}
    if isinstance(document, list):
        return [tampered(item) for item in document]
    return ATTACK if isinstance(document, str) else document


def test_no_template_acts_on_a_terminal(node: Node) -> None:
    """The netlink backend has no files; what a broken template of another says is in tests/host."""
    node.provide(1)
    templates = node.root / "etc/multinic/templates"
    templates.mkdir(parents=True)
    (templates / f"x{ATTACK.replace(chr(0), '')}.j2").write_text(ATTACK)
    every_command(node)
