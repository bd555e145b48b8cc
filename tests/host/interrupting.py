"""Interrupt the program at every moment of a change on a booted host; runs on that host.

    python3 -m tests.host.interrupting create netplan

One host for all cases: after each it is brought back to where the change begins, and that is checked. It
prints one JSON line a case: the moment, and "old", "new", or what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from tests.judging import THOROUGH, Witness, in_child, links_of, named, picked
from tests.killing import WHOLE, End, Run, run, warm_up
from tests.schemas import CONTROLLER, execute

DATABASE = "/root/multinic.db"
LOOKED_AT = {
    "netplan": ("/etc/netplan", "/run/systemd/network", "/run/udev/rules.d"),
    "networkd": ("/etc/systemd/network",),
    "networkmanager": ("/etc/NetworkManager/system-connections", "/etc/systemd/network"),
}
"""Where a backend keeps its files."""
OWN = ("/var/lib/multinic", "/run/multinic")
RECONCILE = ("reconcile",)
APPLY = ("apply", "--yes", "--allow-mass-delete")
RECOVER = ("rollback", "--interrupted")
AT_MOST = 12
"""How many moments of a scenario are tried, unless `THOROUGH`: each takes seconds on a booted host."""
_SETTLE = 20.0  # seconds for the network service to have done what it was told


def mac_of(number: int) -> str:
    """Return the MAC address of the n-th port."""
    return f"fa:16:3e:00:00:{number:02x}"


class Machine:
    """This host. Port 9 works all the time and is none of anybody's business; ports 1 to 4 are plugged in."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.looked_at = LOOKED_AT[backend]
        self.database: Any = sqlite3.connect(DATABASE, isolation_level=None)
        if not execute(self.database, "SELECT 1 FROM sqlite_master").fetchall():
            CONTROLLER.create(self.database)
        self._pid, self._ip = os.getpid(), IPRoute()

    @property
    def ip(self) -> Any:
        """The kernel, for this process; a run asks from within, too."""
        if os.getpid() != self._pid:
            self._pid, self._ip = os.getpid(), IPRoute()
        return self._ip

    def rows(self, *numbers: int, **values: Any) -> None:
        """Let the database speak of these ports and of port 9; `values` are what it says of the first."""
        execute(self.database, "DELETE FROM multi_interface")
        for number in (*numbers, 9):
            row = {"address": f"10.5.0.{number + 10}", "mtu": 1400 + number, "cidr": "10.5.0.0/24"}
            CONTROLLER.attach(self.database, mac_of(number), port_id=f"port-{number}", **row | values)
            values = {}

    def by_hand(self, old: str, new: str, mtu: int) -> None:
        """Rename a link, leave it down, with another MTU."""
        index = self.ip.link_lookup(ifname=old)[0]
        self.ip.link("set", index=index, state="down")
        self.ip.link("set", index=index, ifname=new, mtu=mtu)

    def others_on(self, name: str) -> None:
        """Let others have addresses, routes and a rule on a managed link; they may have them already."""
        for line in (
            f"address add 10.5.0.200/32 dev {name}",
            f"address add 10.9.0.5/24 dev {name}",
            f"route add 10.20.0.0/16 via 10.5.0.1 dev {name}",
            f"route add 10.21.0.0/16 via 10.9.0.1 dev {name} proto bird table 77",
            "rule add from 10.20.0.0/16 table 77 priority 77",
        ):
            subprocess.run(["ip", *line.split()], capture_output=True, check=False)

    def set_down(self) -> None:
        """Set down what is not ours: NetworkManager sets a new link up, to learn whether it has a carrier."""
        for link in self.ip.get_links():
            if link.get_attr("IFLA_IFNAME").startswith("ens") and link["flags"] & 1:
                self.ip.link("set", index=link["index"], state="down")

    def multinic(self, *arguments: str, end: End = WHOLE, note: Callable[[], str] | None = None) -> Run:
        """Run the program."""
        options = ["--database-url", f"sqlite:///{DATABASE}", "--node", "node1"]
        options += ["--backend", self.backend]
        return run([*options, *arguments], end, {"NO_COLOR": "1", "MULTINIC_VERIFY_TIMEOUT": "6s"}, note)

    def do(self, *arguments: str) -> None:
        """Run the program; it must succeed."""
        done = self.multinic(*arguments)
        assert done.status == 0, done.said

    def state(self) -> dict[str, Any]:
        """Return links, routes and rules, the files of the backend, and what is left over."""
        found = links_of(self.ip)
        if self.backend == "networkmanager":
            _without_manner(found)
        for directory in self.looked_at:
            for path in sorted(Path(directory).glob("*")):
                if path.is_file():
                    status = path.stat()
                    owner = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
                    found[str(path)] = f"{owner} {path.read_text()}"
        left = [path for directory in (*self.looked_at, *OWN) for path in Path(directory).glob("*")]
        for path in left:
            if path.name == "checkpoint.json" or path.name.endswith("-tmp"):
                found[str(path)] = "left over"
        return found

    def settled(self) -> bool:
        """Return whether the network service has nothing left to do."""
        if self.backend == "networkmanager":
            said = subprocess.run(["nmcli", "-t", "-f", "STATE", "device"], capture_output=True, check=True)
            return not {b"connecting", b"deactivating"} & {
                line.split()[0] for line in said.stdout.splitlines()
            }
        done = subprocess.run(["networkctl", "--json=short", "list"], capture_output=True, check=True)
        states = {link["AdministrativeState"] for link in json.loads(done.stdout)["Interfaces"]}
        return not states & {"pending", "initialized", "configuring"}

    def verdict(self, old: dict[str, Any], new: dict[str, Any]) -> str:
        """Return "old" or "new" once the service is done, or what is wrong even then."""
        end = time.monotonic() + _SETTLE
        while True:
            settled = self.settled()
            found = named(self.state(), old, new)
            if (settled and found in ("old", "new")) or time.monotonic() > end:
                return found
            time.sleep(0.02)

    def fingerprint(self) -> str:
        """Return a digest of everything that a run can change; its probe calls it."""
        memory = [path for directory in OWN for path in sorted(Path(directory).glob("*")) if path.is_file()]
        files = [(str(path), path.read_bytes()) for path in memory]
        rows = execute(self.database, "SELECT id, netplan_success FROM multi_interface").fetchall()
        return hashlib.sha256(repr((self.state(), files, rows)).encode()).hexdigest()


@dataclass(frozen=True)
class Scenario:
    """What the database says before and after, and what happens by hand."""

    before: Callable[[Machine], None]
    after: Callable[[Machine], None]
    by_hand: Callable[[Machine], None] = lambda _: None


SCENARIOS = {
    "create": Scenario(lambda m: m.rows(), lambda m: m.rows(1, 2)),
    "update": Scenario(
        lambda m: m.rows(1, 2), lambda m: m.rows(1, 2, address="10.5.0.77, fd00:5::7/64", mtu=1300)
    ),
    "delete": Scenario(lambda m: m.rows(1, 2), lambda m: m.rows(2)),
    "renamed by hand": Scenario(
        lambda m: m.rows(1, 2), lambda m: m.rows(1, 2), lambda m: m.by_hand("multinic1", "byhand0", 1300)
    ),
    "what others have": Scenario(
        lambda m: m.rows(1, 2), lambda m: m.rows(1, 2, mtu=1300), lambda m: m.others_on("multinic1")
    ),
    "slot taken over": Scenario(lambda m: m.rows(1, 2), lambda m: m.rows(2, 3)),
}


class Stage:
    """One scenario, again and again."""

    def __init__(self, scenario: Scenario, machine: Machine) -> None:
        self.scenario, self.machine = scenario, machine
        self.set()
        self.old = self.machine.state()
        done = self.machine.multinic(*RECONCILE, note=self.machine.fingerprint)
        assert done.status == 0, done.said
        self.moments = done.moments
        self.different = [1]
        self.different += [n for n in range(2, len(done.notes) + 1) if done.notes[n - 1] != done.notes[n - 2]]
        self.wait()
        self.new = self.machine.state()

    def set(self) -> None:
        """Bring the host to where the change begins."""
        self.scenario.before(self.machine)
        self.machine.do(*APPLY)
        self.wait()
        self.machine.set_down()
        self.scenario.by_hand(self.machine)
        self.scenario.after(self.machine)
        self.wait()

    def wait(self) -> None:
        """Wait until the network service is done."""
        end = time.monotonic() + _SETTLE
        while not self.machine.settled():
            assert time.monotonic() < end, "the network service never settles"
            time.sleep(0.02)

    def judge(self, at: int, *, recover: bool) -> str:
        """Kill a pass and return "old" or "new", or what is wrong."""
        machine = self.machine
        self.set()
        if (start := machine.verdict(self.old, self.old)) != "old":
            return f"could not be brought back: {start}"
        witness = Witness()
        done = machine.multinic(*RECONCILE, end=End(at))
        if done.status != -signal.SIGKILL:
            return f"ended with status {done.status}: {done.said}"
        outcome = "new"
        if recover:
            recovered = machine.multinic(*RECOVER)
            if recovered.status:
                return f"could not recover: {recovered.said}"
            outcome = machine.verdict(self.old, self.new)
            if outcome not in ("old", "new"):
                return f"{recovered.said}{outcome}"
        following = machine.multinic(*RECONCILE)
        if following.status or (last := machine.verdict(self.new, self.new)) != "old":
            return f"the next pass did not converge: {following.said or last}"
        # networkd removes the rules of others (table 77), which they get back.
        if others := [
            line
            for line in witness.events()
            if line.split(" ")[1] in ("eth0", "multinic0", "lo", "") and "table 77" not in line
        ]:
            return f"others were disturbed: {others}"
        silent = machine.multinic(*RECONCILE)
        if silent.status or silent.said:
            return f"the pass after that was not silent: {silent.said}"
        return outcome


def _without_manner(found: dict[str, Any]) -> None:
    """Take out by whom an address was added: NetworkManager makes the subnet's route itself, with a metric.

    Drift is repaired over netlink, where the kernel makes it.
    """
    for key, value in found.items():
        if key.startswith("link "):
            value["addresses"] = [line.partition(" flags ")[0] for line in value["addresses"]]
    routes = [re.sub(r"priority \d+|priority None", "", route) for route in found["routes"]]
    found["routes"] = sorted(set(routes))


def interrupt(box: Any, scenario: str, backend: str = "netplan") -> list[dict[str, Any]]:
    """Interrupt one scenario at every moment on a booted host without any other ports; return every case."""
    box.remove(DATABASE)
    for number in (1, 2, 3, 4, 9):
        box.plug(f"ens{number}", mac_of(number))
    environment = {"PYTHONPATH": "/srv/checkout", "PYTHONPYCACHEPREFIX": "/var/cache/pycache"}
    environment |= {"MULTINIC_TEST_THOROUGH": "1" * THOROUGH}
    command = ["python3", "-m", "tests.host.interrupting", scenario, backend]
    done = box.run(*command, env=environment, timeout=900)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Interrupt one scenario at its moments, with and without `multinic rollback --interrupted`."""
    warm_up()
    for path in Path("/proc/sys/net/ipv6/conf").glob("*/accept_dad"):
        path.write_text("0")  # duplicate address detection takes seconds, and is not what is tested
    machine = Machine(sys.argv[2])
    machine.rows()
    machine.do(*APPLY)  # port 9 is multinic0 from now on
    stage = Stage(SCENARIOS[sys.argv[1]], machine)
    for at, recover in picked(stage.different, AT_MOST):
        outcome = in_child(lambda at=at, recover=recover: stage.judge(at, recover=recover))
        found = {"at": at, "recover": recover, "moment": stage.moments[at - 1], "outcome": outcome}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
