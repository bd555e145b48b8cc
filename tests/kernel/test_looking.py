"""While a change settles, a pass looks again when the kernel announces something of it."""

from __future__ import annotations

import os

from tests.kernel.node import ROOT

# Python imports this by itself before the program begins: looks are an hour apart, and counted.
SELDOM = """\
import os
from multinic.change import looking

looking._FIRST = looking._LONGEST = 3600
begin = looking.Looks.begin

def counted(looks):
    with open(os.environ["LOOKS"], "a") as file:
        file.write("look\\n")
    begin(looks)

looking.Looks.begin = counted
"""

# Links of others change all the time.
STORM = "while :; do ip link set pod0 alias one; sleep 0.02; ip link set pod0 alias two; sleep 0.02; done"


def test_a_look_follows_what_the_kernel_announces_of_the_change_and_nothing_else(node, tmp_path):
    node.provide(1)
    node.reconcile()
    node.ip("link", "add", "pod0", "type", "veth", "peer", "name", "far0")
    # For some seconds the kernel asks the network about an address before it is there.
    node.namespace.run("sysctl", "-qw", "net.ipv6.conf.multinic0.dad_transmits=3")
    node.sql("UPDATE multi_interface SET address = 'fd00::5/64', mtu = 1500")
    (tmp_path / "seldom").mkdir()
    (tmp_path / "seldom/sitecustomize.py").write_text(SELDOM, encoding="utf-8")
    looks = tmp_path / "looks"
    storm = node.namespace.popen("sh", "-c", STORM)
    try:
        environment = {
            "PYTHONPATH": f"{tmp_path / 'seldom'}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",  # not in a process that has begun before
            "LOOKS": str(looks),
            "MULTINIC_VERIFY_TIMEOUT": "1h",
        }
        node.reconcile(env=environment)
    finally:
        storm.kill()
        storm.wait()
    assert node.link(1)[3] == ("fd00::5/64",)
    assert 2 <= len(looks.read_text().splitlines()) <= 4
