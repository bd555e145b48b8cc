"""The database's password is in nothing that the program says, writes or hands on, however a pass ends."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.kernel.node import ROOT, Node, mac_of, until
from tests.mariadb import PrivateMariaDB
from tests.secrets import SECRET, files, forms, found

HINT = b"here it would be seen: "


def test_the_search_finds_a_secret_in_every_form() -> None:
    for data in (
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        repr(SECRET),
        json.dumps(SECRET),
        SECRET[3:12],
    ):
        assert found(HINT + data.encode()), data
    for shift in range(7):
        assert found(base64.b64encode(HINT[:shift] + SECRET.encode() + HINT)), shift
    assert not found(HINT)
    assert len(list(forms(SECRET))) > 50


def by_credential(node: Node, secret: str) -> Mapping[str, str]:
    directory = node.directory / "given/credentials"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "multinic-password").write_text(secret)
    return {"CREDENTIALS_DIRECTORY": str(directory), "MULTINIC_DATABASE_URL": node.url}


def by_file(node: Node, secret: str) -> Mapping[str, str]:
    path = node.root / "etc/multinic/password"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{secret}\n")
    path.chmod(0o600)
    (node.root / "etc/multinic/multinic.toml").write_text(
        f'[database]\nurl = "{node.url}"\npassword_file = "{path}"\n'
    )
    return {"MULTINIC_CONFIG": str(node.root / "etc/multinic/multinic.toml")}


def by_seed_variables(node: Node, secret: str) -> Mapping[str, str]:
    return {"MULTINIC_DATABASE_URL": node.url, "DB_PASSWORD": secret}


def by_url(node: Node, secret: str) -> Mapping[str, str]:
    return {"MULTINIC_DATABASE_URL": node.url.replace("@", f":{quote(secret, safe='')}@", 1)}


WAYS = {
    "file": by_file,
    "credential": by_credential,
    "MULTINIC_DATABASE_PASSWORD": lambda node, secret: {
        "MULTINIC_DATABASE_URL": node.url,
        "MULTINIC_DATABASE_PASSWORD": secret,
    },
    "DB_PASSWORD": by_seed_variables,
    "URL": by_url,
}


@dataclass
class Searched:
    """A node whose every word is searched for the password."""

    node: Node
    server: PrivateMariaDB
    environment: dict[str, str] = field(default_factory=dict)

    def give(self, way: str, secret: str = SECRET) -> None:
        """Give the program a password in one way, and in no other."""
        self.environment = dict(WAYS[way](self.node, secret))

    def command(self, *arguments: str) -> list[str]:
        options = ["--node", "node1", "--backend", "netlink", "--root", str(self.node.root)]
        return [sys.executable, "-m", "multinic", *options, *arguments]

    def run(self, *arguments: str, expect: int, env: Mapping[str, str] | None = None) -> str:
        """Run the program; return what it said."""
        environment = self.node.environment({**self.environment, **(env or {})})
        done = self.node.namespace.run_program(self.command(*arguments), environment)
        said = done.stdout + done.stderr
        assert done.returncode == expect, said
        assert found(said.encode()) == [], (arguments, said)
        return said

    def search_files(self) -> int:
        """Search what is on disk, but for what was given; return how many files."""
        given = {
            self.node.root / "etc/multinic/password",
            self.node.directory / "given/credentials/multinic-password",
        }
        written = [path for path in files(self.node.directory) if path not in given]
        for path in written:
            assert found(path.read_bytes()) == [], path
        return len(written)


@pytest.fixture
def searched(node: Node, mariadb: PrivateMariaDB, database: str) -> Searched:
    server = mariadb
    server.create_user("secretive", SECRET, [f"SELECT, UPDATE ON `{database}`.*"])
    node.use(server, f"mysql://secretive@localhost/{database}?unix_socket={server.socket}", database)
    node.provide(2)
    return Searched(node, server)


@pytest.mark.parametrize("way", WAYS)
def test_a_pass_that_succeeds_tells_no_password(searched: Searched, way: str, tmp_path: Path) -> None:
    searched.give(way)
    out = str(tmp_path / "plan.json")
    searched.run("-v", "plan", "--out", out, expect=0)
    searched.run("--output", "json", "-v", "plan", expect=0)
    assert "multinic0" in searched.run("-v", "apply", "--yes", out, expect=0)
    assert searched.node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
    searched.run("-v", "--log-format", "json", "reconcile", expect=0)
    searched.run("--output", "json", "status", expect=0)
    searched.run("-v", "render", expect=0)
    assert (searched.node.root / "run/multinic/converged").exists()
    assert searched.search_files() >= 5
    searched.run("-v", "rollback", expect=0)
    searched.run("--help", expect=0)
    searched.search_files()


@pytest.mark.parametrize("way", WAYS)
def test_a_pass_that_fails_tells_no_password(searched: Searched, way: str) -> None:
    """A wrong password, one server away and another's name, a table that is missing."""
    searched.give(way)
    searched.run("reconcile", expect=0)
    searched.server.create_user("secretive", "another")
    for arguments in (["--log-format", "json", "reconcile"], ["-v", "reconcile"], ["plan"], ["db", "init"]):
        assert "Access denied" in searched.run(*arguments, expect=2)
    searched.node.url = searched.node.url.replace("unix_socket=", "unix_socket=/nowhere")
    searched.give(way)
    for arguments in (
        ["-v", "reconcile"],
        ["--output", "json", "plan"],
        ["--log-format", "json", "apply", "--yes"],
    ):
        searched.run(*arguments, expect=75)
    searched.search_files()


def test_a_password_that_is_almost_right_is_not_told_either(searched: Searched) -> None:
    """What is wrong with a URL is told without it."""
    host = searched.node.url.partition("@")[2]
    for before, after in (
        ("mysql:/", host),
        ("mysqL://", host),
        ("mysql://", "a b/c"),
        ("mysql://", "h"),
        ("", "h/d"),
    ):
        for secret in (SECRET, quote(SECRET), quote(SECRET, safe="")):
            url = f"{before}u:{secret}@{after}"
            searched.run("-v", "plan", expect=2, env={"MULTINIC_DATABASE_URL": url})
            searched.run("--database-url", url, "-v", "plan", expect=2)
            text = json.dumps(url, ensure_ascii=False)
            config = searched.node.directory / "given.toml"
            config.write_text(f"[database]\nurl = {text}\n")
            searched.run("--config", str(config), "plan", expect=2)
            config.write_text(f"[database]\npassword = {text}\n")
            searched.run("--config", str(config), "plan", expect=2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "multinic.kernel.pyroute",
            "class IPRoute:\n    def __init__(self, **_): 1 / 0\ndef iproute(): return IPRoute, OSError\n",
        ),
        ("base64", "1 / 0\n"),
        ("multinic.database.rows", "1 / 0\n"),
        (
            "multinic.report.database",
            "def write(database, *_, **__): password = database; 1 / 0\n",
        ),
    ],
)
def test_a_traceback_tells_no_password(searched: Searched, way: str, module: str, text: str) -> None:
    """Something breaks where nobody expected it: before, in the middle of and after a change."""
    searched.give(way)
    hook = searched.node.directory / "broken"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sys, importlib.abc, importlib.util\n"
        "class Break(importlib.abc.MetaPathFinder, importlib.abc.Loader):\n"
        f"    def find_spec(self, name, path, target=None):\n"
        f"        return importlib.util.spec_from_loader(name, self) if name == {module!r} else None\n"
        f"    def exec_module(self, module): exec({text!r}, vars(module))\n"
        "sys.meta_path.insert(0, Break())\n"
        f"sys.modules.pop({module!r}, None)\n"  # what starts a program here may have needed it already
    )
    env = {"PYTHONPATH": f"{hook}:{ROOT}", "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    said = searched.run("-v", "reconcile", expect=1, env=env)
    assert "Traceback" in said
    assert "ZeroDivisionError" in said
    # What broke in the middle of a change, and was undone, is not attempted again at once.
    again = 4 if module == "multinic.kernel.pyroute" else 1
    said = searched.run("reconcile", expect=again, env=env)
    assert ("ZeroDivisionError" in said) is (again == 1)
    searched.search_files()


def test_a_server_that_goes_away_in_mid_pass_makes_nobody_tell_the_password(searched: Searched) -> None:
    searched.give("URL")
    node = searched.node
    node.slow_down(1)
    environment = node.environment({**searched.environment, "MULTINIC_VERIFY_TIMEOUT": "2s"})
    process = node.namespace.popen(
        *searched.command("-v", "reconcile"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until((node.root / "var/lib/multinic/checkpoint.json").exists)
    searched.server.execute("DROP USER secretive")
    searched.server.execute("KILL USER secretive")
    said, _ = process.communicate(timeout=60)
    assert process.returncode in (1, 2, 4, 75)
    assert "database" in said
    assert found(said.encode()) == []
    assert searched.search_files()


@pytest.mark.parametrize("end", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_leaves_no_core_with_the_password_in_it(searched: Searched, end: signal.Signals) -> None:
    """As far as the program can say so: what the kernel hands to a program is that program's to keep."""
    searched.give("URL")
    node = searched.node
    node.slow_down(1)
    inside = searched.node.directory / "cores"
    inside.mkdir()
    script = 'ulimit -c unlimited; cd "$1"; shift; exec "$@"'
    process = node.namespace.popen(
        *("sh", "-c", script, "sh", str(inside), *searched.command("reconcile")),
        env=node.environment(searched.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    until((node.root / "var/lib/multinic/checkpoint.json").exists)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert "Max core file size        0 " in limits
    os.kill(process.pid, end)
    said, _ = process.communicate(timeout=60)
    assert found(said.encode()) == []
    assert list(inside.iterdir()) == []
    searched.search_files()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_remembered_of_a_converged_host_does_not_depend_on_the_password(
    searched: Searched, way: str
) -> None:
    """So it can be guessed from nothing that is written."""
    searched.give(way)
    searched.run("reconcile", expect=0)
    memo = searched.node.root / "run/multinic/converged"
    before, inode = memo.read_bytes(), memo.stat().st_ino
    other = "an0ther-pa55word"
    searched.server.create_user("secretive", other, ["SELECT, UPDATE ON *.*"])
    searched.give(way, other)
    with searched.node.events() as events:
        assert searched.run("reconcile", expect=0) == ""
    assert events == []
    assert (memo.read_bytes(), memo.stat().st_ino) == (before, inode)


def test_a_password_that_is_no_text_is_sent_as_it_is(searched: Searched) -> None:
    odd = os.fsdecode(b"\xff\xfe odd")
    searched.server.execute(
        "CREATE OR REPLACE USER secretive IDENTIFIED BY PASSWORD %s", native(b"\xff\xfe odd")
    )
    searched.server.execute("GRANT SELECT, UPDATE ON *.* TO secretive")
    searched.give("MULTINIC_DATABASE_PASSWORD", odd)
    searched.run("reconcile", expect=0)


def native(password: bytes) -> str:
    """Return what MariaDB keeps of a password."""
    import hashlib

    return "*" + hashlib.sha1(hashlib.sha1(password).digest()).hexdigest().upper()


ASKING = """\
import socket, sys
plugin, more = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2])
listener = socket.create_server(("127.0.0.1", 3306))
print("listening", flush=True)
client, _ = listener.accept()
client.settimeout(5)
def send(number, data): client.sendall(len(data).to_bytes(3, "little") + bytes([number]) + data)
salt = b"12345678", b"123456789012"
able = (1 | 8 | 0x200 | 0x8000 | 0x80000).to_bytes(4, "little")
hello = b"\\x0a8.0.0\\0" + bytes(4) + salt[0] + b"\\0" + able[:2] + b"\\x2d\\2\\0" + able[2:] + b"\\x15"
send(0, hello + bytes(10) + salt[1] + b"\\0mysql_native_password\\0")
heard = client.recv(65536)
send(2, b"\\xfe" + plugin + b"\\0" + more)
try:
    while data := client.recv(65536):
        heard += data
except OSError:
    pass
print(heard.hex(), flush=True)
"""
"""A server of MySQL, as far as it takes to ask for a password."""


@pytest.mark.parametrize(
    ("plugin", "more", "status"),
    [
        (b"mysql_clear_password", b"", 2),
        (b"dialog", b"\x04Password: ", 2),
        (b"mysql_native_password", b"1" * 20 + b"\0", 75),
    ],
)
def test_whoever_asks_for_the_password_in_clear_does_not_get_it(
    searched: Searched, plugin: bytes, more: bytes, status: int
) -> None:
    """Without TLS anybody on the way can ask."""
    server = searched.node.namespace.popen(sys.executable, "-c", ASKING, plugin.hex(), more.hex(), stdout=-1)
    assert server.stdout is not None
    assert server.stdout.readline() == "listening\n"
    searched.node.url = "mysql://secretive@127.0.0.1/multinic"
    searched.give("MULTINIC_DATABASE_PASSWORD")
    searched.run("plan", expect=status)
    heard = bytes.fromhex(server.communicate(timeout=30)[0])
    assert b"secretive" in heard
    assert found(heard) == []


def test_mac_addresses_are_no_secret() -> None:
    """A search that finds everything would prove nothing."""
    assert found(mac_of(1).encode()) == []
