"""The networks around a node, where packets really flow: switches, and machines that are plugged into them.

The node's NICs end in its `cloud`; there a switch is a bridge. A machine (a peer, a router) is a namespace of
its own, with one link a network, which has the network's name.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.namespaces import Namespace

JUMBO = 9000
"""What all wires carry: how much may be sent is for those at their ends to know."""
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Packet:
    """What went over the wire of a port; `source` and `target` are addresses as the packet says them.

    Of ARP, `source` is who asks or answers, `target` whom it asks, or answers to.
    """

    port: str
    from_node: bool
    """The node sent it; else it is on its way to the node."""
    kind: str
    """Such as "echo-request", "echo-reply", "arp-request", "arp-reply"."""
    source: str
    target: str
    mac: str
    """The sender's."""


class Network:
    """Everything around the node in `namespace`; it ends with it."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.cloud = namespace.cloud
        self._wires = 0
        # Whatever the machine that the tests run on has set for its own links and, so, for new ones. And no
        # waiting for duplicate address detection, unless that is what a test is about.
        quick = "net.ipv6.conf.default.dad_transmits=0"
        namespace.run("sysctl", "-qw", quick, *(f"net.ipv4.conf.{which}=0" for which in _DEFAULTS))
        self.cloud.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")  # switches have no say

    def switch(self, name: str, *ports: str) -> None:
        """Connect ports of the cloud (those of the node's NICs) to a new network."""
        self.cloud.bridge(name, *ports)
        for port in ports:
            self.cloud.run("ip", "link", "set", port, "mtu", str(JUMBO))

    def machine(self, **networks: str) -> Namespace:
        """Start a machine with a link in each of these networks: name → its addresses there."""
        made = self.namespace.beside()
        made.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv4.conf.default.rp_filter=0")
        for name, addresses in networks.items():
            self._wires += 1
            wire = f"wire{self._wires}"
            veth = ["type", "veth", "peer", "name", name, "mtu", str(JUMBO), "netns", str(made.pid)]
            self.cloud.run("ip", "link", "add", wire, "mtu", str(JUMBO), *veth)
            self.cloud.run("ip", "link", "set", wire, "master", name, "up")
            made.run("ip", "link", "set", name, "up")
            for address in addresses.split():
                made.run("ip", "address", "add", address, "dev", name)
        return made

    def router(self, **networks: str) -> Namespace:
        """Start a machine that forwards, and drops what comes in where it would not answer to (strict
        reverse-path filtering, RFC 3704)."""
        made = self.machine(**networks)
        strict = [f"net.ipv4.conf.{name}.rp_filter=1" for name in ("all", *networks)]
        made.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", *strict)
        return made

    @contextmanager
    def capture(self, *ports: str) -> Iterator[list[Packet]]:
        """Collect what goes over these ports of the cloud; the list is filled when the block ends."""
        sniffer = self.cloud.popen(
            *(sys.executable, "-I", _HERE / "sniff.py", *ports),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        packets: list[Packet] = []
        try:
            assert sniffer.stdout is not None
            assert sniffer.stdout.readline() == "listening\n"
            yield packets
        finally:
            output, _ = sniffer.communicate(timeout=30)
            packets += [Packet(**json.loads(line)) for line in output.splitlines()]


_DEFAULTS = [
    f"{which}.{setting}"
    for which in ("all", "default")
    for setting in ("rp_filter", "arp_ignore", "arp_announce", "arp_filter")
]


def answers(sender: Namespace, target: str, *options: str) -> bool:
    """Return whether a machine gets an answer from an address; `options` are those of ping(8)."""
    return _ping(sender, target, "-c", "1", "-w", "5", *options)


def silent(sender: Namespace, target: str, *options: str) -> bool:
    """Return whether neither of two pings is answered, which here takes microseconds."""
    return not _ping(sender, target, "-c", "2", "-W", "0.2", *options)


def _ping(sender: Namespace, target: str, *options: str) -> bool:
    return sender.run("ping", "-n", "-i", "0.2", *options, target, check=False).returncode == 0


@contextmanager
def advertising(router: Namespace, link: str, lifetime: int = 3600) -> Iterator[None]:
    """Let a machine announce itself as a router, with a prefix to make addresses of and a DNS server.

    fd00:ad::/64; see advertise.py. Addresses are valid for `lifetime` seconds after the last advertisement.
    """
    process = router.popen(
        *(sys.executable, "-I", _HERE / "advertise.py", link, str(lifetime)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "advertising\n"
        yield
    finally:
        process.communicate(timeout=30)
