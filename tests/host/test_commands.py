"""Commands of the host that hang, fail, talk nonsense or are missing: put back, and there is an end.

None of these tests looks at a clock: what hangs here hangs for hours, and the host that it runs on would
let it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unicodedata import category

import pytest

from tests.host.node import Node
from tests.host.nspawn import Box
from tests.hosts import eventually
from tests.mariadb import PrivateMariaDB

GENERATE = "/usr/libexec/netplan/generate"
UDEVADM = "/usr/bin/udevadm"
NETWORKCTL = "/usr/bin/networkctl"

# Nothing but SIGKILL ends it, nor its child, which holds whatever it got to write to.
HANGS = """#!/bin/sh
trap '' TERM INT HUP PIPE
echo $$ >> /tmp/hanging
(trap '' TERM INT HUP PIPE; sh -c 'echo $$ >> /tmp/hanging; exec sleep 86400') &
echo "one moment please"
sleep 86400
"""
HANGS_ONCE = """#!/bin/sh
mkdir /tmp/hung 2>/dev/null || exec "$0.real" "$@"
echo $$ >> /tmp/hanging
sleep 86400
"""
FAILS = "#!/bin/sh\necho 'it is Tuesday' >&2\nexit 1\n"
TALKS_NONSENSE = "#!/bin/sh\nhead -c 300000 /dev/urandom\nhead -c 300000 /dev/urandom >&2\nexit 0\n"
FAILS_WITH_NONSENSE = "#!/bin/sh\nhead -c 300000 /dev/urandom >&2\nexit 255\n"
KILLS_ITSELF = "#!/bin/sh\nkill -SEGV $$\n"
MISSING = None
FAULTS = {
    "hangs": HANGS,
    "fails": FAILS,
    "talks nonsense": TALKS_NONSENSE,
    "fails with nonsense": FAILS_WITH_NONSENSE,
    "crashes": KILLS_ITSELF,
    "is missing": MISSING,
}


@contextmanager
def instead_of(box: Box, program: str, script: str | None) -> Iterator[None]:
    """Let another program, or none, stand where one of the host's does."""
    box.run("mv", program, f"{program}.real")
    try:
        if script is not None:
            box.write(program, script, 0o755)
        yield
    finally:
        box.run("mv", f"{program}.real", program)


@pytest.fixture
def node(clean: Box, server: PrivateMariaDB) -> Node:
    """Two ports that work, and one that is new; one of the two is to change."""
    node = Node(clean, server)
    for slot in (0, 1):
        node.attach(slot, link=f"ens{slot + 3}")
    node.run("reconcile")
    eventually(lambda: all(clean.settled(f"multinic{slot}") for slot in (0, 1)))
    node.attach(2, link="ens5")
    node.sql("UPDATE multi_interface SET mtu = 1400, address = '10.5.0.77' WHERE port_id = 'port-1'")
    settings = clean.read("/etc/multinic/multinic.toml")
    node.configure(
        f'command_timeout = "1s"\n{settings}'.replace('verify_timeout = "4s"', 'verify_timeout = "2s"')
    )
    clean.remove("/tmp/hanging", "/tmp/hung")
    return node


def state(node: Node):
    """Return what may not be changed: links, files, and nothing left over."""
    patterns = ("/etc/netplan/*", "/run/systemd/network/*multinic*", "/run/udev/rules.d/*multinic*")
    patterns += ("/etc/systemd/network/*multinic*.*k", "/etc/sysconfig/network/*")
    patterns += ("/etc/NetworkManager/system-connections/*",)
    left = node.box.glob(
        "/run/multinic/scratch*", "/var/lib/multinic/checkpoint.json", "/etc/netplan/.*multinic*"
    )
    files = {path: (node.box.read(path), node.box.stat(path).mode) for path in node.box.glob(*patterns)}
    links = {
        name: (link["ifindex"], link["mtu"], "UP" in link["flags"], node.box.addresses(name))
        for name, link in node.box.links().items()
    }
    return files, links, left


def without(name: str, found: Any) -> Any:
    """Return a state without one interface."""
    files, links, left = found
    files = {path: file for path, file in files.items() if not name or name not in path}
    return files, {key: link for key, link in links.items() if key != name}, left


@pytest.mark.parametrize("program", [GENERATE, UDEVADM, NETWORKCTL], ids=lambda path: path.rpartition("/")[2])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_command_that_misbehaves_changes_nothing_for_good(node: Node, program: str, fault: str):
    before = state(node)

    with node.box.monitor("eth0", "multinic0") as events, instead_of(node.box, program, FAULTS[fault]):
        done = node.box.multinic("reconcile", check=False)

    assert done.returncode in (0, 1, 4, 5), done.stderr
    assert "Traceback" not in done.stderr
    # The Python of the host may know newer letters than ours, so not `isprintable`.
    said = "".join(done.stderr.splitlines())
    assert not [char for char in said if category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert events == []
    if done.returncode:
        # A service that answers and does nothing is none that fails: what netlink has done itself stays.
        done_by_netlink = fault == "talks nonsense" and node.box.addresses("multinic1") == ["10.5.0.77/24"]
        but = "multinic1" if done_by_netlink else ""
        assert without(but, state(node)) == without(but, before)
    for process in node.box.read("/tmp/hanging").split() if node.box.exists("/tmp/hanging") else ():
        assert not node.box.exists(f"/proc/{process}"), "what hung is still there"
    node.run("apply", "--yes")
    assert node.box.addresses("multinic1") == ["10.5.0.77/24"]
    assert node.box.addresses("multinic2") == ["10.5.0.12/24"]
    assert set(node.flags().values()) == {1}


@pytest.mark.parametrize("program", [UDEVADM, NETWORKCTL], ids=lambda path: path.rpartition("/")[2])
@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_a_service_that_is_ended_while_a_command_hangs_leaves_everything_as_it_was(
    node: Node, program: str, end: str
):
    """SIGTERM: the program puts it back itself. SIGKILL: systemd's ExecStopPost= does."""
    box = node.box
    node.configure(box.read("/etc/multinic/multinic.toml").replace('command_timeout = "1s"\n', ""))
    before = state(node)
    name = f"multinic-{end.lower()}-{program.rpartition('/')[2]}.service"
    unit = ["systemd-run", "--quiet", f"--unit={name}", "--property=Type=exec"]
    after = "--property=ExecStopPost=/usr/local/bin/multinic rollback --interrupted"

    with box.monitor("eth0", "multinic0") as events, instead_of(box, program, HANGS_ONCE):
        box.run(*unit, after, "/usr/local/bin/multinic", "reconcile")
        eventually(lambda: box.exists("/tmp/hanging"), timeout=60)
        assert box.exists("/var/lib/multinic/checkpoint.json")
        box.run("systemctl", "kill", "--kill-whom=main", f"--signal={end}", name)
        ended = ("failed", "inactive")
        state_of = ("systemctl", "show", "--property=ActiveState", "--value", name)
        eventually(lambda: box.run(*state_of).stdout.strip() in ended, timeout=90)

    assert events == []
    assert state(node) == before
    node.run("apply", "--yes")
    assert box.addresses("multinic1") == ["10.5.0.77/24"]
