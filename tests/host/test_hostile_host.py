"""A host on which somebody planted things: files, names, texts, and a password to be found."""

from __future__ import annotations

import json
import os

import pytest

from tests import terminal
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB
from tests.secrets import SECRET, found

ETC = "/etc/netplan/90-multinic0.yaml"
RUN = [
    "/run/systemd/network/10-netplan-multinic0.link",
    "/run/systemd/network/10-netplan-multinic0.network",
    "/run/udev/rules.d/99-netplan-multinic0.rules",
]
ATTACK = "\x1b[31m\x1b]0;x\x07\x1b[2J\b\r\x7f\x85\x9b2J\u202e\u2028"
TERMINAL = "/srv/checkout/tests/terminal.py"


@pytest.fixture
def node(clean: Box, server: PrivateMariaDB) -> Node:
    return Node(clean, server)


def configured(node: Node, slots: int = 1) -> None:
    for slot in range(slots):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    eventually(lambda: all(node.box.settled(f"multinic{slot}") for slot in range(slots)))


# Modes


def modes(node: Node, *patterns: str) -> dict[str, tuple[int, str, str]]:
    stats = {path: node.box.stat(path) for path in node.box.glob(*patterns)}
    return {path: (stat.mode, stat.owner, stat.group) for path, stat in stats.items()}


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_files_have_the_modes_that_netplan_itself_gives_them_whatever_the_umask(
    node: Node, umask: str
) -> None:
    node.attach(0, link="ens3")
    node.box.run("sh", "-c", f"umask {umask}; exec multinic reconcile")
    node.box.run("sh", "-c", f"umask {umask}; exec multinic hold multinic0 --why testing")
    made = modes(node, ETC, *RUN)
    assert made[ETC] == (0o600, "root", "root")
    node.box.run("sh", "-c", "umask 022; netplan generate")
    assert made == modes(node, ETC, *RUN)
    own = modes(node, "/run/multinic", "/run/multinic/*", "/var/lib/multinic", "/var/lib/multinic/*")
    assert {path: bits for path, (bits, _, _) in own.items()} == {
        "/run/multinic": 0o755,
        "/run/multinic/converged": 0o600,
        "/run/multinic/lock": 0o600,
        "/run/multinic/state.json": 0o644,
        "/run/multinic/told.json": 0o600,
        "/var/lib/multinic": 0o700,
        "/var/lib/multinic/checkpoint-last.json": 0o600,
        "/var/lib/multinic/history.jsonl": 0o600,
        "/var/lib/multinic/holds.json": 0o600,
        "/var/lib/multinic/record.json": 0o600,
        "/var/lib/multinic/seen.json": 0o600,
    }
    assert {(owner, group) for _, owner, group in own.values()} == {("root", "root")}


# Planted files

PLANT = {
    "symlink to a file": "ln -s $2/file $1",
    "dangling symlink": "ln -s $2/gap $1",
    "symlink to a directory": "ln -s $2 $1",
    "hard link": "ln $2/file $1",
    "pipe": "mkfifo $1",
    "device": "mknod $1 c 1 5 || mkfifo $1",  # /dev/zero; not every container may make one
}
ELSEWHERE = """\
rm -rf $1 && mkdir $1 && chmod 0711 $1 && echo precious > $1/file &&
chmod 0604 $1/file && touch -d 2020-01-01 $1/file
"""
LOOK = "cd $1 && stat -c '%n %a %U %s %Y' . * && cat file"


@pytest.mark.parametrize("path", [ETC, *RUN])
def test_what_is_planted_at_a_path_of_netplan_is_replaced_and_leads_nowhere(node: Node, path: str) -> None:
    configured(node)
    elsewhere = (
        "/run/elsewhere" if path.startswith("/run/") else "/srv/elsewhere"
    )  # a hard link leads to no other disk
    before = ""
    for kind, plant in PLANT.items():
        node.box.run("sh", "-c", ELSEWHERE, "sh", elsewhere)
        content = node.box.read(path)
        node.box.remove(path)
        node.box.run("sh", "-c", plant, "sh", path, elsewhere)
        before = node.box.run("sh", "-c", LOOK, "sh", elsewhere).stdout
        node.sql("UPDATE multi_interface SET mtu = mtu - 1")
        node.run("plan")
        node.run("reconcile")
        assert node.box.run("sh", "-c", LOOK, "sh", elsewhere).stdout == before, kind
        assert node.box.run("stat", "--format=%F %h", path).stdout == "regular file 1\n", kind
        if path != RUN[2]:
            assert node.box.read(path) != content, kind
        eventually(lambda: node.box.settled("multinic0"))
    node.run("rollback")
    assert node.box.run("sh", "-c", LOOK, "sh", elsewhere).stdout == before
    node.box.remove(elsewhere)


def test_a_link_that_a_symlinked_file_configures_is_in_use(node: Node) -> None:
    """netplan reads it, so it counts."""
    mac = node.attach(0, link="ens3")
    node.box.write(
        "/srv/others.yaml", f"network: {{ethernets: {{x: {{match: {{macaddress: '{mac}'}}}}}}}}\n", 0o600
    )
    node.box.run("ln", "-s", "/srv/others.yaml", "/etc/netplan/60-others.yaml")
    planned = node.plan(expect=5)["multinic0"]
    assert (planned["state"], planned["reason"]) == ("blocked", "in-use")
    assert "/etc/netplan/60-others.yaml" in planned["message"]


# Terminals


def on_terminal(node: Node, *arguments: str) -> str:
    """Return what a command writes to a terminal; nothing of it may act there."""
    done = node.box.run("python3", TERMINAL, "multinic", *arguments, check=False)
    assert terminal.acting(done.stdout) == [], (arguments, done.stdout)
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert "unexpected error" not in done.stdout
    return done.stdout


COMMAND_LINES = [
    ["plan"],
    ["--output", "json", "plan"],
    ["reconcile"],
    ["--log-format", "json", "reconcile"],
    ["status"],
    ["--output", "json", "status"],
    ["render"],
    ["apply", "--yes"],
]


def every_command(node: Node) -> str:
    return "".join(on_terminal(node, *command) for command in COMMAND_LINES)


@pytest.mark.parametrize("name", [f"60-{ATTACK}\n.yaml", os.fsdecode(b"60-\xff\xfe\x9b.yaml")], ids=ascii)
def test_no_name_of_a_file_of_others_acts_on_a_terminal(node: Node, name: str) -> None:
    mac = node.attach(0, link="ens3")
    node.attach(1, link="ens4")
    text = f"network: {{ethernets: {{x: {{match: {{macaddress: '{mac}'}}}}}}}}\n"
    node.box.write(f"/etc/netplan/{name}", text, 0o600)
    assert "in-use" in every_command(node)
    assert node.flags() == {"port-0": 0, "port-1": 1}
    node.box.write(
        f"/etc/netplan/{name}", f"network: {{ethernets: {{x: {{dhcp4: {ATTACK!r}{ATTACK}: [}}}}}}\n", 0o600
    )
    node.sql("UPDATE multi_interface SET mtu = 1400")
    assert "netplan cannot read this host's configuration" in every_command(node)


def test_no_content_of_a_managed_file_acts_on_a_terminal(node: Node) -> None:
    """A file of ours that somebody edited is shown as a difference."""
    configured(node)
    node.box.write(ETC, f"network: {{}}\n# {ATTACK}\n{ATTACK}", 0o600)
    assert "+" in on_terminal(node, "plan")
    every_command(node)


@pytest.mark.parametrize(
    "text", [ATTACK, f"{{{{ {ATTACK} }}}}", "{{ link.nothing }}", "{% bad", f"a: [\n{ATTACK}"]
)
def test_no_template_acts_on_a_terminal(node: Node, text: str) -> None:
    """Neither what it says, nor what is said of it."""
    node.attach(0, link="ens3")
    node.box.write("/etc/multinic/templates/netplan.yaml.j2", text)
    every_command(node)


# Secrets

RECORD = """#!/bin/sh
{{ tr '\\0' '\\n' < /proc/$$/environ; tr '\\0' '\\n' < /proc/$$/cmdline; echo "$0 $*"; }} >> /tmp/seen
{outcome}
"""


@pytest.mark.parametrize("outcome", ['exec $0.real "$@"', "echo no >&2; exit 3"])
@pytest.mark.parametrize("way", ["file", "credential", "variable", "seed's variable", "URL"])
def test_no_command_learns_the_password(node: Node, way: str, outcome: str) -> None:
    """Neither by an argument nor by its environment; nor does the journal, nor any file."""
    node.server.create_user("secretive", SECRET, ["SELECT, UPDATE ON *.*"])
    plain = f"mysql://secretive@{node.box.gateway}:{node.server.port}/{node.database}"
    node.configure(f'verify_timeout = "2s"\n[database]\nurl = "{plain}"\n')
    environment = {
        "file": {"MULTINIC_DATABASE_PASSWORD_FILE": "/etc/multinic/given"},
        "credential": {"CREDENTIALS_DIRECTORY": "/etc/multinic/credentials"},
        "variable": {"MULTINIC_DATABASE_PASSWORD": SECRET},
        "seed's variable": {"DB_PASSWORD": SECRET},
        "URL": {
            "MULTINIC_DATABASE_URL": node.server.url(
                user="secretive", password=SECRET, database=node.database
            )
        },
    }[way]
    node.box.write("/etc/multinic/given", SECRET, 0o600)
    node.box.write("/etc/multinic/credentials/multinic-password", SECRET, 0o600)
    node.attach(0, link="ens3")
    node.box.remove("/tmp/seen")
    programs = node.programs()
    for program in programs:
        node.box.run("mv", program, f"{program}.real")
        node.box.write(program, RECORD.format(outcome=outcome), 0o755)
    try:
        done = node.box.multinic("-v", "reconcile", check=False, env=environment)
    finally:
        for program in programs:
            node.box.run("mv", f"{program}.real", program)
    assert done.returncode == (0 if "exec" in outcome else 1), done.stderr
    seen = node.box.read("/tmp/seen")
    assert "generate --root-dir" in seen
    assert "PATH=" in seen
    written = json.loads(node.box.run("python3", "-c", READ).stdout)
    assert any("state.json" in path for path in written)
    journal = node.box.run("journalctl", "--no-pager", "--output=export").stdout
    for text in (done.stdout, done.stderr, seen, journal, *written.values()):
        assert found(text.encode("utf-8", "surrogateescape")) == []


READ = """\
import json, os
places = ["/etc/netplan", "/run/multinic", "/var/lib/multinic", "/run/systemd/network", "/run/udev", "/tmp"]
paths = [os.path.join(at, name) for place in places for at, _, names in os.walk(place) for name in names]
print(json.dumps({path: open(path, errors="replace").read() for path in paths if os.path.isfile(path)}))
"""
