"""A pass with a session that somebody else opened, in a thread of its own: as an agent has it."""

from __future__ import annotations

import json
import sys

from tests.kernel.node import ROOT

PASSES = """\
import json, sqlite3, sys, threading
from contextlib import nullcontext
from multinic.database import source
from multinic.flow.reconcile import reconcile
from multinic.host.config import load
from multinic.host.host import Host
from multinic.host.log import Log

options = {"database.url": sys.argv[1], "node": "node1", "backend": "netlink"}
settings, host = load(None, options, {}, default="/nonexistent"), Host(sys.argv[2])
statuses = []

def passes():
    with source.connect(settings.database) as session:
        for address in ("10.0.0.5", "10.0.0.6", "10.0.0.6"):
            with sqlite3.connect(sys.argv[1].removeprefix("sqlite:///")) as controller:
                controller.execute("UPDATE multi_interface SET address = ?", (address,))
            statuses.append(int(reconcile(settings, host, Log(), open_session=lambda: nullcontext(session))))

thread = threading.Thread(target=passes)
thread.start()
thread.join()
print(json.dumps(statuses))
"""


def test_passes_share_a_session_and_need_no_main_thread(node):
    node.provide(1)
    done = node.namespace.run(
        sys.executable, "-c", PASSES, node.url, str(node.root), env={"PYTHONPATH": str(ROOT)}
    )
    assert json.loads(done.stdout) == [0, 0, 0]
    assert node.link(1) == ("multinic0", True, 1401, ("10.0.0.6/24",))
    assert [line for line in done.stderr.splitlines() if ": changed" in line] == [
        "multinic0: changed by its row: address 10.0.0.5/24 → (none); address (none) → 10.0.0.6/24"
    ]
