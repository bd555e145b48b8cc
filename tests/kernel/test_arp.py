"""The question whether another machine has an address: what is heard counts for the link that it came by."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
heard, objections = [], arp._objections
arp._objections = lambda *args: heard.append(args) or objections(*args)
found = arp.claimed(probes, {str(probe.mac) for probe in probes}, lambda: exec(sys.argv[2]))
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


def asked(namespace: Namespace, *probes: tuple[str, str, str], meanwhile: str = "") -> tuple[list[str], int]:
    """Ask; return the probes that somebody answered, and how many packets were heard.

    `meanwhile`: a program, run while there may be answers.
    """
    command = (sys.executable, "-c", ASK, json.dumps(probes), meanwhile)
    found, heard = json.loads(namespace.run(*command, env={"PYTHONPATH": str(ROOT)}).stdout)
    return found, heard


@contextmanager
def flooded(namespace: Namespace, port: str) -> Iterator[None]:
    """Flood the other end of a port of the cloud with ARP packets of somebody who has 10.9.0.1."""
    with namespace.cloud.popen(sys.executable, "-c", FLOOD, port, stdout=PIPE) as flooding:
        try:
            assert flooding.stdout
            flooding.stdout.readline()
            yield
        finally:
            flooding.kill()


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
    found = asked(namespace, (*OURS[0], "10.0.0.9"), meanwhile="time.sleep(0.4)")
    assert found == (["eth0 10.0.0.9"], 3)


def test_forty_links_of_one_network_do_not_drown_the_answers(namespace: Namespace) -> None:
    network = Network(namespace)
    links = [(f"eth{n}", f"fa:16:3e:00:00:{n:02x}") for n in range(40)]
    for name, mac in links:
        namespace.plug(name, mac, up=True)
    network.switch("lan", *(f"port{n + 1}" for n in range(40)))
    network.machine(lan=" ".join(f"10.0.0.{n + 1}/24" for n in range(40)))
    probes = [(*link, f"10.0.0.{n + 1}") for n, link in enumerate(links)]
    found, _ = asked(namespace, *probes, meanwhile="time.sleep(0.15)")
    assert found == sorted(f"{name} {address}" for name, _, address in probes)


def test_a_link_that_is_renamed_meanwhile_is_heard_under_its_new_name(namespace: Namespace) -> None:
    plugged(namespace)
    rename = "import subprocess; subprocess.run(['ip', 'link', 'set', 'eth0', 'name', 'ens3'])"
    assert asked(namespace, (*OURS[0], "10.0.0.9"), meanwhile=rename) == (["eth0 10.0.0.9"], 3)


def test_a_link_whose_name_is_no_utf_8_is_left_out(namespace: Namespace) -> None:
    plugged(namespace)
    namespace.run("ip", "link", "set", "eth1", "name", b"lan\xff")
    odd = ("lan\udcff", OURS[1][1])
    with flooded(namespace, "port2"):  # by somebody who claims 10.9.0.1
        assert asked(namespace, (*OURS[0], "10.0.0.9"), (*odd, "10.9.0.1"))[0] == ["eth0 10.0.0.9"]


def test_what_comes_by_other_links_is_not_even_heard(namespace: Namespace) -> None:
    plugged(namespace)
    namespace.plug("noise", "02:00:00:00:00:0a", up=True)
    with flooded(namespace, "port3"):
        assert asked(namespace, (*OURS[0], "10.0.0.9")) == (["eth0 10.0.0.9"], 3)
