"""How long a plugged-in NIC waits for its configuration, on a virtual machine with real udev and networkd.

    python bench/hotplug.py [RUNS]

The machine (tests/vm) has the deb installed and its timer enabled, as shipped. In turn, a NIC is plugged in
by QMP's device_add whose row the last pass has seen, one whose row was written a moment before, and one whose
row is written once the pass that its plugging started is over. The figures are seconds from device_add (of
the last: also from the row) until the guest's kernel has the link, until it is configured - it has its name,
MTU, address, and is up - and until the database says so. Where the processor is emulated they mean little by
themselves: what starting Python costs there and here is printed beside them.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.figures import note
from tests.hosts import eventually
from tests.namespaces import Namespace
from tests.node import Node, database_server, mac_of
from tests.packages import apt, build
from tests.passes import do_pass, idle
from tests.vm.machine import Machine

LOG = "/run/monitor"
STEPS = ("link", "configured", "reported")
Times = dict[str, float]


def main() -> None:
    """Set the machine up, then plug and unplug."""
    runs = int(sys.argv[1]) if sys.argv[1:] else 5
    with (
        tempfile.TemporaryDirectory() as directory,
        Namespace() as cloud,
        database_server(cloud.prefix, "127.0.0.1") as server,
        Machine(cloud) as machine,
    ):
        machine.put(build("deb", Path(directory)), "/root/multinic.deb")
        apt(machine, "install", "/root/multinic.deb")
        node = Node(machine, server)
        machine.run("systemctl", "enable", "--now", "multinic.timer")
        eventually(lambda: idle(machine), timeout=300, pause=0.5)
        figures: dict[str, list[Times]] = {}
        for run in range(runs):
            for name, measure in CASES.items():
                print(f"run {run + 1} of {runs}: {name}", file=sys.stderr)
                figures.setdefault(name, []).append(measure(node, machine))
        print_figures(figures)
        print(f"to start Python, in seconds: {starting(machine):.3f} there, {starting():.3f} here")


def known_and_seen(node: Node, machine: Machine) -> Times:
    """Plug in a NIC whose files a pass has written already."""
    node.attach(0)
    do_pass(machine)
    return plugged(node, machine)


def known(node: Node, machine: Machine) -> Times:
    """Plug in a NIC whose row nobody has read."""
    eventually(lambda: idle(machine), timeout=300, pause=0.5)
    node.attach(0)
    return plugged(node, machine)


def late(node: Node, machine: Machine) -> Times:
    """Plug in a NIC that has no row before the pass that it starts is over."""

    def write_row() -> float:
        eventually(lambda: machine.link_of(mac_of(0)), timeout=300)
        time.sleep(1)
        eventually(lambda: idle(machine), timeout=300, pause=0.5)
        node.attach(0)
        return time.time()

    return plugged(node, machine, write_row)


CASES: dict[str, Callable[[Node, Machine], Times]] = {
    "row seen by a pass": known_and_seen,
    "row just written": known,
    "row written later": late,
}


def plugged(node: Node, machine: Machine, afterwards: Callable[[], float] | None = None) -> Times:
    """Plug the NIC in and return how long each step took; at the end there is neither NIC nor row."""
    with monitor(machine):
        start = time.time()
        machine.plug(mac_of(0))
        row = afterwards() if afterwards else start
        eventually(lambda: node.flags() == {"port-0": 1}, timeout=300)
        times = {"reported": time.time() - start}
        ahead = machine.clock() - time.time()
    times |= {step: moment - ahead - start for step, moment in moments(machine.read(LOG)).items()}
    if afterwards:
        times["configured, from the row"] = times["configured"] - (row - start)
    machine.unplug(mac_of(0))
    node.detach(0)
    eventually(lambda: given_back(machine), timeout=300)
    return times


def given_back(machine: Machine) -> bool:
    """Do a pass, and return whether nothing is left of the interface.

    One is not enough: that all rows of a node are gone is not believed at once.
    """
    do_pass(machine)
    return not machine.glob("/etc/netplan/*multinic*")


@contextmanager
def monitor(machine: Machine) -> Iterator[None]:
    """Have the guest write down what its kernel tells of links and addresses, and when."""
    command = f"ip -timestamp -oneline monitor link address > {LOG} 2>&1 & echo $!"
    pid = machine.run("sh", "-c", f"({command}) < /dev/null").stdout.strip()
    try:
        yield
    finally:
        machine.run("sh", "-c", f"kill {pid}")


def moments(log: str) -> Times:
    """Return when the link came and when it was configured, by the guest's clock."""
    # A link's address comes under the name that `ip` knew first.
    signs = (rf"multinic0: .* mtu 1450 .* state UP .*{mac_of(0)}", r"inet 10\.5\.0\.10/24")
    first: dict[str, float] = {}
    moment = 0.0
    for line in log.splitlines():
        if stamp := re.match(r"Timestamp: (.*) (\d+) usec", line):
            at = datetime.strptime(stamp[1], "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
            moment = at.timestamp() + int(stamp[2]) / 1e6
        for sign in (mac_of(0), *signs):
            if re.search(sign, line):
                first.setdefault(sign, moment)
    return {"link": first[mac_of(0)], "configured": max(first[sign] for sign in signs)}


def print_figures(figures: dict[str, list[Times]]) -> None:
    """Print the medians, with the least and the most."""
    for name, runs in figures.items():
        print(f"{name}, seconds from device_add, median of {len(runs)} (least to most)")
        for step in runs[0]:
            values = [times[step] for times in runs]
            print(f"  {step:28}{statistics.median(values):6.2f} ({min(values):.2f} to {max(values):.2f})")
        note(f"configured after a NIC was plugged in: {name}", median_of(runs), "s")


def median_of(runs: list[Times]) -> float:
    return statistics.median(times["configured"] for times in runs)


def starting(machine: Machine | None = None) -> float:
    """Return how many seconds it takes to start Python, of ten times."""
    python = "/usr/bin/python3" if machine else sys.executable
    loop = ("sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9 10; do {python} -I -c pass; done")
    start = time.monotonic()
    if machine:
        machine.run(*loop)
    else:
        subprocess.run(loop, check=True)
    return (time.monotonic() - start) / 10


if __name__ == "__main__":
    main()
