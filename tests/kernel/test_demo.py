"""`multinic demo`: it keeps what it promises, as root and without, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.namespaces import Namespace

ROOT = Path(__file__).parents[2]
DEMO = ("-m", "multinic", "demo")
NOBODY = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "env",
)  # env: setpriv alone keeps powers
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "env")
STATE = ("/run/multinic", "/var/lib/multinic", "/etc/multinic")
ONLY_READ = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"'
READ_ONLY = ("unshare", "--mount", "sh", "-c", ONLY_READ, "sh")  # as containers have it


class Around:
    """Where a demo is started: a namespace that only this test changes, and a temporary directory."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self.namespace, self.directory = namespace, directory
        directory.mkdir()
        directory.chmod(0o777)
        # A machine on which multinic is in use: none of that may reach the demo.
        self.environment = {
            "TMPDIR": str(directory),
            "MULTINIC_DATABASE_URL": "mysql://multinic@203.0.113.1/production",
            "MULTINIC_NODE": "production",
            "DB_HOST": "203.0.113.1",
            "NODE_NAME": "production",
        }

    def seen(self) -> dict[str, object]:
        """Everything that a demo must leave as it is."""
        return {
            "links": self.namespace.links(),
            "routes": self.namespace.routes("table", "all"),
            "rules": self.namespace.rules(),
            "files": sorted(self.directory.rglob("*")),
            "state": [path for path in STATE if os.path.lexists(path)],
            "processes": [path for path in Path("/proc").glob("[0-9]*/environ") if self._ours(path)],
        }

    def mounts(self) -> set[str]:
        """The numbers of what is mounted here.

        What other programs unmount meanwhile goes away here, too, and a file that they remove gets another
        name in this list.
        """
        table = self.namespace.run("cat", "/proc/self/mountinfo").stdout
        return {line.split()[0] for line in table.splitlines()}

    def _ours(self, environ: Path) -> bool:
        try:
            return str(self.directory).encode() in environ.read_bytes()
        except OSError:  # it has just ended
            return False

    def run(
        self, *argv: str, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        environment = self.environment | (env or {})
        return self.namespace.run(*argv, check=False, timeout=400, env=environment, **options)

    def popen(self, *argv: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        return self.namespace.popen(*argv, env=self.environment | (env or {}), **options)


@pytest.fixture
def around(namespace: Namespace, tmp_path: Path) -> Iterator[Around]:
    """Start a demo in here; at the end nothing of it is left, and nothing has happened to the namespace."""
    # IPv6 would still be busy with its own addresses.
    namespace.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
    namespace.plug("eth0", "fa:16:3e:00:00:aa", up=True)
    namespace.run("ip", "address", "add", "10.0.0.5/24", "dev", "eth0")
    made = Around(namespace, tmp_path / "tmp")
    before, mounts = made.seen(), made.mounts()
    with namespace.monitor() as events:
        yield made
    assert [str(event) for event in events] == []
    assert made.seen() == before
    assert made.mounts() <= mounts


def check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    promises = re.findall(r"^✓ ", done.stdout, re.MULTILINE)
    assert f"All {len(promises)} promises were kept." in done.stdout
    assert len(promises) >= 15
    assert "\x1b" not in done.stdout
    commands = re.findall(r"^\$ multinic --root \. (\w+)", done.stdout, re.MULTILINE)
    assert " ".join(commands) == "db plan apply reconcile reconcile plan reconcile reconcile reconcile status"
    for word in (
        "waiting",
        "invalid",
        "is outside the subnet's cidr",
        "mgmt0 → multinic1",
        "(prints nothing)",
    ):
        assert word in done.stdout


def test_the_demo_keeps_its_promises_and_its_plan_is_the_one_in_the_readme(around):
    done = around.run(sys.executable, *DEMO)
    check(done)
    (example,) = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert example in "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def test_the_demo_needs_no_root_where_users_may_make_namespaces(around, tmp_path):
    open_the_way(tmp_path)
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])}
    # Ours may be in root's home; the system's can use the same packages.
    for python in (sys.executable, "/usr/bin/python3"):
        probe = (*NOBODY, python, "-c", "import multinic.demo.story, multinic.cli, pyroute2")
        if around.run(*probe, env=environment).returncode == 0:
            break
    else:
        pytest.skip("no Python here that another user may run with these packages")
    if around.run(*NOBODY, "unshare", "--user", "--map-root-user", "--net", "true").returncode:
        pytest.skip("this machine lets users make no namespaces")
    unmeasured = [
        f"--unset={name}" for name in os.environ if name.startswith("COV")
    ]  # nobody may not write it
    check(around.run(*NOBODY, *unmeasured, python, *DEMO, env=environment))


def open_the_way(path: Path) -> None:
    """Let everybody through to a directory that pytest made for its owner."""
    for directory in (path, *path.parents):
        if directory.stat().st_uid == os.geteuid() and not directory.stat().st_mode & 0o001:
            directory.chmod(0o711)


@pytest.mark.parametrize(
    ("within", "cause"),
    [(POWERLESS, "unshare"), (READ_ONLY, "OSError: [Errno 30] Read-only file system")],
    ids=["no namespace", "no change in it"],
)
def test_where_no_namespace_can_be_made_the_demo_says_what_to_do(around, within, cause):
    if around.run(*within, "true").returncode:
        pytest.skip("needs root and setpriv")
    done = around.run(*within, sys.executable, *DEMO)
    assert done.returncode == 1
    words = f"multinic: you cannot make and change a network namespace on this machine ({cause}"
    assert done.stderr.startswith(words)
    assert "--privileged" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("number", "where"),
    [(signal.SIGINT, "db init"), (signal.SIGTERM, "apply --yes"), (signal.SIGHUP, "Drift")],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_demo_that_is_ended_early_leaves_nothing_behind(around, number, where):
    demo = around.popen(sys.executable, *DEMO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in demo.stdout:
        if where in line:
            break
    demo.send_signal(number)
    rest, _ = demo.communicate(timeout=200)
    assert demo.returncode == 128 + number, rest
    assert "Traceback" not in rest


def test_a_reader_who_goes_away_leaves_nothing_behind(around):
    demo = around.popen(sys.executable, *DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    demo.stdout.readline()
    demo.stdout.close()
    assert "Traceback" not in demo.stderr.read()
    assert demo.wait(30) != 0
    demo.stderr.close()


def test_keep_opens_a_shell_in_the_namespace(around):
    typed = "multinic --root . --output json status; ip -json link\n"
    done = around.run(sys.executable, *DEMO, "--keep", input=typed, env={"SHELL": "/bin/sh"})
    assert done.returncode == 0, done.stderr
    said = done.stdout.partition("A shell in the namespace")[2]
    said = said[said.index("{") :]
    status, end = json.JSONDecoder().raw_decode(said)
    assert [item["name"] for item in status["interfaces"]] == ["multinic0", "multinic2", "multinic3"]
    links = {link["ifname"] for link in json.loads(said[end:])}
    assert {"multinic0", "multinic2", "multinic3", "ens8", "eth0"} <= links


@pytest.mark.parametrize("colours", [True, False], ids=["colours", "NO_COLOR"])
def test_a_terminal_gets_colours_unless_it_says_no(around, colours):
    ours, theirs = pty.openpty()
    wish = {"TERM": "xterm"} | ({} if colours else {"NO_COLOR": "1"})
    demo = around.popen(sys.executable, *DEMO, env=wish, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    assert demo.wait(30) == 0
    assert (b"\x1b[32m" in said) is colours  # green


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def test_the_demo_never_plays_in_the_namespace_where_it_was_started(around):
    own = around.run("readlink", "/proc/self/ns/net").stdout.strip()
    for claim in (own, "net:[1]"):
        done = around.run(sys.executable, *DEMO, env={"MULTINIC_DEMO_OUTSIDE": claim})
        assert done.returncode == 5
        assert "nothing was changed" in done.stderr
