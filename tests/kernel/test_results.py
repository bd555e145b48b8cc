"""A result has the link as it is after the change, or as it is again: what the reporters are to report."""

from __future__ import annotations

import json
import sys

from tests.kernel.node import ROOT, mac_of
from tests.kernel.test_failing import LONG, in_the_middle

# A pass in a process that can be asked for its results; the program prints what reporters make of them.
PASS = """\
import json, sys
from multinic.database import source
from multinic.flow import full
from multinic.flow.view import look
from multinic.host.config import load
from multinic.host.host import Host
from multinic.host.log import Log

options = {"database.url": sys.argv[1], "node": "node1", "backend": "netlink"}
settings = load(None, options, {"MULTINIC_VERIFY_TIMEOUT": "4s"}, default="/nonexistent")
with source.connect(settings.database) as database:
    view = look(settings, Host(sys.argv[2]), database)
    results = full.carry_out(view, Log(), None)
print(json.dumps([
    (str(result.state), link and (link.name, link.mtu, [str(found.address) for found in link.addresses]))
    for result in results for link in [result.link]
]))
"""


def results(node):
    done = node.namespace.run(
        sys.executable, "-c", PASS, node.url, str(node.root), env={"PYTHONPATH": str(ROOT)}
    )
    return [tuple(item) for item in json.loads(done.stdout)]


def test_a_result_has_the_link_as_it_is_after_the_change(node):
    node.provide(2)
    node.take_address(2)
    node.attach(3, "10.0.0.13")
    assert results(node) == [
        ("converged", ["multinic0", 1401, ["10.0.0.11/24"]]),
        ("failed", ["eth2", 1500, []]),
        ("waiting", None),
    ]
    assert results(node)[0] == ("unchanged", ["multinic0", 1401, ["10.0.0.11/24"]])


def test_a_row_that_changed_while_the_pass_worked_has_not_succeeded(node):
    """Our word is about the row that was carried out, not about what it asks for by now."""
    node.provide(2)
    process = in_the_middle(node, 2, env=LONG)
    node.sql("UPDATE multi_interface SET mtu = 1300 WHERE macaddress = %s", mac_of(1))
    node.ip("address", "delete", "fd00::5/64", "dev", "multinic1")
    node.ip("address", "add", "fd00::5/64", "dev", "multinic1", "nodad")  # as if the minute were over
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert node.flags() == {mac_of(1): 0, mac_of(2): 1}
    node.speed_up(2)
    node.reconcile()
    assert (node.link(1)[2], node.flags()) == (1300, {mac_of(1): 1, mac_of(2): 1})
