"""The question whether another machine has an address: what is heard counts for the link that it came by."""

from __future__ import annotations

import json
import sys
from subprocess import PIPE

from tests.kernel.network import Network
from tests.kernel.node import ROOT
from tests.namespaces import Namespace

ASK = """\
import json, sys, time
from ipaddress import IPv4Address
from multinic.kernel import arp
from multinic.values.addresses import Mac

probes = [arp.Probe(link, Mac(mac), IPv4Address(address)) for link, mac, address in json.loads(sys.argv[1])]
busy, heard, hear = float(sys.argv[2]), [], arp._heard
arp._heard = lambda *args: heard.append(args) or hear(*args)
found = arp.claimed(probes, {str(probe.mac) for probe in probes}, lambda: time.sleep(busy))
print(json.dumps([sorted(f"{probe.link} {probe.address}" for probe in found), len(heard)]))
"""
FLOOD = """\
import socket, sys, time
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
    link.bind((sys.argv[1], 0))
    packet = b"\\xff" * 6 + bytes.fromhex("0200000000aa 0806 0001 0800 06 04 0001 0200000000aa")
    packet += bytes([10, 9, 0, 1]) + bytes(6) + bytes([10, 9, 0, 2])
    print(flush=True)
    while True:  # more at once than a socket's queue holds, less than the kernel's own
        for _ in range(400):
            link.send(packet)
        time.sleep(0.02)
"""
OURS = [("eth0", "fa:16:3e:00:00:01"), ("eth1", "fa:16:3e:00:00:02")]


def asked(namespace: Namespace, *probes: tuple[str, str, str], busy: float = 0.0) -> tuple[list[str], int]:
    """Ask; return the probes that somebody answered, and how many packets were heard."""
    command = (sys.executable, "-c", ASK, json.dumps(probes), str(busy))
    found, heard = json.loads(namespace.run(*command, env={"PYTHONPATH": str(ROOT)}).stdout)
    return found, heard


def plugged(namespace: Namespace) -> Network:
    """Plug two links in, each into a network with a machine that has 10.0.0.9, or 10.0.1.9."""
    network = Network(namespace)
    for number, (name, mac) in enumerate(OURS):
        namespace.plug(name, mac, up=True)
        network.switch(f"lan{number}", f"port{number + 1}")
        network.machine(**{f"lan{number}": f"10.0.{number}.9/24"})
    return network


def test_an_answer_counts_for_the_link_by_which_it_came(namespace: Namespace) -> None:
    plugged(namespace)
    both = [(*link, address) for link in OURS for address in ("10.0.0.9", "10.0.1.9", "10.0.0.8")]
    gone = ("eth7", "fa:16:3e:00:00:07", "10.0.0.9")
    assert asked(namespace, *both, gone)[0] == ["eth0 10.0.0.9", "eth1 10.0.1.9"]


def test_who_asks_late_because_it_is_busy_hears_the_answers_too(namespace: Namespace) -> None:
    plugged(namespace)
    assert asked(namespace, (*OURS[0], "10.0.0.9"), busy=0.4) == (["eth0 10.0.0.9"], 3)


def test_what_comes_by_other_links_is_not_even_heard(namespace: Namespace) -> None:
    plugged(namespace)
    namespace.plug("noise", "02:00:00:00:00:0a", up=True)
    flood = (sys.executable, "-c", FLOOD, "port3")
    with namespace.cloud.popen(*flood, stdout=PIPE) as flooding:
        try:
            assert flooding.stdout
            flooding.stdout.readline()
            found, heard = asked(namespace, (*OURS[0], "10.0.0.9"))
        finally:
            flooding.kill()
    assert found == ["eth0 10.0.0.9"]
    assert heard < 400
