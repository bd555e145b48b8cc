"""What a network may tell the hosts on it: a DHCP server, and a router that advertises itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.host.nspawn import Box

ROUTER, ROUTER6 = "10.5.0.1", "fd00:5::1"
ADVERTISE = Path(__file__).parents[1] / "kernel" / "advertise.py"


@contextmanager
def dhcp_server(box: Box, *options: str) -> Iterator[None]:
    """Run dnsmasq on the network of the NICs: leases from 10.5.0.100 on, and whatever else `options` say."""
    box.bridge("lan")
    box.in_cloud("ip", "address", "replace", f"{ROUTER}/24", "dev", "br-lan")
    box.in_cloud("ip", "address", "replace", f"{ROUTER6}/64", "dev", "br-lan", "nodad")
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="]
    command += ["--port=0", "--interface=br-lan", "--except-interface=lo", "--bind-interfaces"]
    command += ["--leasefile-ro", "--dhcp-authoritative", "--no-ping", "--log-facility=/dev/null"]
    command += [f"--dhcp-option=option:router,{ROUTER}", "--dhcp-range=10.5.0.100,10.5.0.199,1h"]
    server = subprocess.Popen([*box.cloud_prefix, *command, *options], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def advertising(box: Box) -> Iterator[None]:
    """Let a router announce itself on the network of the NICs: see advertise.py."""
    box.bridge("lan")
    command = [*box.cloud_prefix, sys.executable, "-I", str(ADVERTISE), "br-lan"]
    router = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert router.stdout is not None
        assert router.stdout.readline() == "advertising\n"
        yield
    finally:
        router.communicate(timeout=30)
