"""Interrupt the program at every moment of a change, each time on a host of its own, and judge what is left.

    python -m tests.kernel.interrupting killed "all at once"

A host is a network namespace with a directory as its root; making one takes milliseconds. A case is one
interruption: set up, interrupt, have it put back as systemd's ExecStopPost= does (or not), look, and let the
next passes do their work. It prints one line a case: "old", "new", or what is wrong.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from tests.judging import (
    LINK_SCOPE,
    TENTATIVE,
    THOROUGH,
    Witness,
    altnames_of,
    files_below,
    in_child,
    judge_all,
    links_of,
    named,
    picked,
    routes_of,
)
from tests.killing import WHOLE, End, Run, run, warm_up
from tests.namespaces import Namespace
from tests.schemas import CONTROLLER, execute
from tests.scratch import in_memory

ROOT = Path(__file__).parents[2]
CLONE_NEWNET = 0x40000000
CHECKPOINT = "/var/lib/multinic/checkpoint.json"
RECONCILE = ("reconcile",)
RECOVER = ("rollback", "--interrupted")
AT_MOST = 20
"""How many moments of a scenario are tried in one way, unless `THOROUGH`."""
# To ask the network takes 0.2 s of each pass, and changes nothing that is judged here.
ENVIRONMENT = {"NO_COLOR": "1", "MULTINIC_VERIFY_TIMEOUT": "4s", "MULTINIC_SAFETY_PROBE_ADDRESSES": "false"}
_BY_THE_KERNEL = (2, 9)


def mac_of(number: int) -> str:
    """Return the MAC address of the n-th port."""
    return f"fa:16:3e:00:00:{number:02x}"


@dataclass(frozen=True)
class Picture:
    """Everything that it takes to make a host like another one."""

    directory: str
    plugged: list[list[Any]]
    """Port number and name of each link, in the order in which they came."""
    links: list[dict[str, Any]]
    addresses: list[dict[str, Any]]
    settings: list[list[str]]
    routes: list[dict[str, Any]]


class Machine:
    """One host: the network namespace that this process goes to, and its root in `directory`."""

    def __init__(self, directory: Path, like: Picture | None = None) -> None:
        """Make a host with one link of somebody else's, or one like another."""
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace")
        self.directory, self.root = directory, directory / "root"
        self.plugged: list[list[Any]] = []
        self._pid = os.getpid()
        for key in ("accept_dad", "dad_transmits"):  # addresses are there at once
            Path(f"/proc/sys/net/ipv6/conf/default/{key}").write_text("0")
        self.ip = IPRoute()
        self.ip.link("set", index=1, state="up")
        if like:
            shutil.copytree(like.directory, directory)
        else:
            self.root.mkdir(parents=True)
        self.database: Any = sqlite3.connect(directory / "multinic.db", isolation_level=None)
        execute(self.database, "PRAGMA synchronous = OFF")
        if like:
            self._copy(like)
        else:
            CONTROLLER.create(self.database)
            self._others()
        self.ip.rule("add", src="10.9.0.5", table=100, priority=1000)
        self.until(lambda: self.ip.get_links(self.index("eth0"))[0].get_attr("IFLA_OPERSTATE") == "UP")
        self.until(lambda: not any(item.get_attr("IFA_FLAGS") & TENTATIVE for item in self.ip.get_addr()))

    def _others(self) -> None:
        """A link of somebody else's, with everything that a link can lose."""
        self.plug(0)
        index = self.index("eth0")
        self.ip.link("set", index=index, state="up", mtu=1480)
        self.ip.addr("add", index=index, address="10.9.0.5", prefixlen=24)
        self.ip.addr("add", index=index, address="fd09::5", prefixlen=64)
        self.ip.route("add", dst="10.90.0.0/16", gateway="10.9.0.1", oif=index)

    @staticmethod
    def until(condition: Callable[[], object]) -> None:
        """Wait until the kernel has caught up."""
        end = time.monotonic() + 20
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("this never came true")
            time.sleep(0.002)

    def picture(self) -> Picture:
        """Return what another host like this one is made of; `directory` must not change any more."""
        links = [
            {
                "index": link["index"],
                "ifname": link.get_attr("IFLA_IFNAME"),
                "mtu": link.get_attr("IFLA_MTU"),
                "state": "up" if link["flags"] & 1 else "down",
                "altnames": altnames_of(link),
            }
            for link in self.ip.get_links()
            if link["index"] > 1
        ]
        addresses = [
            {"index": item["index"], "address": item.get_attr("IFA_ADDRESS"), "prefixlen": item["prefixlen"]}
            for item in self.ip.get_addr()
            if item["index"] > 1 and item["scope"] != LINK_SCOPE
        ]
        names = {"dst": "DST", "gateway": "GATEWAY", "oif": "OIF", "table": "TABLE", "priority": "PRIORITY"}
        routes = [
            {
                key: value
                for key, name in names.items()
                if (value := route.get_attr(f"RTA_{name}")) is not None
            }
            | {"dst_len": route["dst_len"], "proto": route["proto"]}
            for route in routes_of(self.ip)
            if route["proto"] not in _BY_THE_KERNEL
        ]
        settings = [[str(path), path.read_text()] for path in self._settings()]
        return Picture(str(self.directory), self.plugged, links, addresses, settings, routes)

    def _copy(self, like: Picture) -> None:
        """Plug in the same links in the same order, so that they have the same numbers, and set them up."""
        for number, name in like.plugged:
            self.plug(number, name)
        kept = {link["index"] for link in like.links}
        for link in self.ip.get_links():
            if link["index"] not in {1, *kept}:
                try:
                    self.ip.link("del", index=link["index"])
                except NetlinkError:
                    pass  # it went with its other end
        for link in like.links:
            self.ip.link("set", index=link["index"], state="down")
            self.ip.link("set", index=link["index"], mtu=link["mtu"], ifname=link["ifname"])
            for altname in link["altnames"]:
                self.ip.link("property_add", index=link["index"], altname=[altname])
        for path, text in like.settings:
            Path(path).write_text(text)
        for link in like.links:
            self.ip.link("set", index=link["index"], state=link["state"])
        for address in like.addresses:
            self.ip.addr("add", **address)
        for route in like.routes:
            self.ip.route("add", **route)

    # What the cloud and its operators do.

    def plug(self, number: int, name: str = "") -> None:
        """Plug the n-th port in, as ethN."""
        name = name or f"eth{number}"
        far = {"ifname": f"far{number}", "address": f"fa:16:3f:00:00:{number:02x}"}
        self.ip.link("add", kind="veth", peer={"ifname": name, "address": mac_of(number)}, **far)
        self.ip.link("set", index=self.index(f"far{number}"), state="up")
        self.plugged.append([number, name])

    def unplug(self, name: str) -> None:
        """Take a link away."""
        self.ip.link("del", index=self.index(name))

    def index(self, name: str) -> int:
        """Return the number of a link."""
        return socket.if_nametoindex(name)

    def set(self, name: str, **values: Any) -> None:
        """Change a link by hand."""
        self.ip.link("set", index=self.index(name), **values)

    def rename(self, old: str, new: str) -> None:
        """Rename a link by hand, as every kernel allows it."""
        index = self.index(old)
        for values in ({"state": "down"}, {"ifname": new}, {"state": "up"}):
            self.ip.link("set", index=index, **values)

    def provide(self, *numbers: int) -> None:
        """Attach ports and plug them in."""
        for number in numbers:
            self.attach(number)
            self.plug(number)

    def attach(self, number: int) -> None:
        """Insert the row of the n-th port."""
        values = {"address": f"10.0.0.{number + 10}", "mtu": 1400 + number, "port_id": f"port-{number}"}
        CONTROLLER.attach(self.database, mac_of(number), **values)

    def detach(self, number: int) -> None:
        """Delete the row of the n-th port."""
        execute(self.database, "DELETE FROM multi_interface WHERE port_id = %s", f"port-{number}")

    def update(self, number: int, **values: Any) -> None:
        """Change the row of the n-th port."""
        for key, value in values.items():
            statement = f"UPDATE multi_interface SET {key} = %s WHERE port_id = %s"
            execute(self.database, statement, value, f"port-{number}")

    # The program.

    def multinic(self, *arguments: str, end: End = WHOLE, note: Callable[[], str] | None = None) -> Run:
        """Run the program in this namespace."""
        os.chdir(self.directory)  # so that the database of a copied host has the name that it had
        url = "sqlite:////proc/self/cwd/multinic.db"
        options = ["--database-url", url, "--node", "node1", "--backend", "netlink", "--root", str(self.root)]
        return run([*options, *arguments], end, ENVIRONMENT, note)

    def converge(self) -> None:
        """Run a pass that must succeed."""
        done = self.multinic(*RECONCILE)
        assert done.status == 0, done.said

    # What is judged.

    def state(self) -> dict[str, Any]:
        """Return all links, routes and rules, the files that are ours, and what should not be there."""
        return links_of(self.ip) | files_below(self.root)

    def fingerprint(self) -> str:
        """Return digests of what a run can change on the host, and in the database; its probe calls it."""
        if os.getpid() != self._pid:
            self._pid, self.ip = os.getpid(), IPRoute()
        paths = [path for path in sorted(self.root.rglob("*")) if path.is_file() and path.name != "lock"]
        files = [(str(path), path.stat().st_mode, path.read_bytes()) for path in paths]
        kernel = [(str(path), path.read_text()) for path in self._settings()]
        rows = execute(self.database, "SELECT id, netplan_success FROM multi_interface").fetchall()
        host = (self.state(), files, kernel)
        return "".join(hashlib.sha256(repr(part).encode()).hexdigest() for part in (host, rows))

    @staticmethod
    def _settings() -> list[Path]:
        """Return the kernel variables that a run sets."""
        base = Path("/proc/sys/net/ipv6/conf")
        names = sorted(name for _, name in socket.if_nameindex())
        return [base / name / key for name in names for key in ("accept_ra", "addr_gen_mode")]


@dataclass(frozen=True)
class Scenario:
    """A change to be interrupted: what is there before, what changes, and the command that carries it out."""

    before: Callable[[Machine], None]
    change: Callable[[Machine], None]
    command: tuple[str, ...] = RECONCILE
    after_a_kill: bool = False
    """Whether a pass was killed before, at its very end, so that the command has to put all of it back."""


def nothing(_: Machine) -> None:
    """A host with a link of somebody else's."""


def plain(machine: Machine) -> None:
    """Three ports that work."""
    machine.provide(1, 2, 3)
    machine.converge()


def three(machine: Machine) -> None:
    """Three ports that work, with what an operator added by hand."""
    plain(machine)
    index = machine.index("multinic1")
    machine.ip.addr("add", index=index, address="10.0.0.200", prefixlen=32)
    machine.ip.route("add", dst="10.50.0.0/16", gateway="10.0.0.1", oif=index)
    machine.ip.route("add", dst="10.60.0.0/16", gateway="10.0.0.1", oif=index, table=77, priority=5)


def three_but_one(machine: Machine) -> None:
    """One of the three is unplugged."""
    three(machine)
    machine.unplug("multinic1")


def changed(machine: Machine) -> None:
    """A change that was carried out: `multinic rollback` takes it back."""
    three(machine)
    much(machine)
    machine.converge()


def adopted(machine: Machine) -> None:
    """Three ports on a host that has lost its memory, one with a name from udev that it gets back."""
    three(machine)
    machine.ip.link("property_add", index=machine.index("multinic1"), altname=["enp0s2"])
    (machine.root / "var/lib/multinic/record.json").unlink()


def rename(machine: Machine) -> None:
    """Give a link another name by hand, and leave it down with another MTU."""
    machine.rename("multinic1", "byhand0")
    machine.set("byhand0", state="down", mtu=1300)


def exchange(machine: Machine) -> None:
    """Exchange the names of two links, as a bad udev rule would."""
    for old, new in (("multinic0", "aside"), ("multinic1", "multinic0"), ("aside", "multinic1")):
        machine.rename(old, new)


def take_over(machine: Machine) -> None:
    """Another port takes the slot of one that goes."""
    machine.detach(2)
    machine.provide(4)


def much(machine: Machine) -> None:
    """All at once: one goes, one changes, one is renamed by hand, two are new."""
    machine.detach(1)
    machine.update(2, address="fd00::2/64, 10.0.0.99", mtu=1500)
    machine.rename("multinic2", "byhand0")
    machine.provide(4, 5)


SCENARIOS = {
    "create": Scenario(nothing, lambda machine: machine.provide(1, 2, 3)),
    "address": Scenario(three, lambda machine: machine.update(2, address="fd00::2/64, 10.0.0.99")),
    "mtu": Scenario(three, lambda machine: machine.update(2, mtu=1300)),
    "delete": Scenario(three, lambda machine: machine.detach(2)),
    "delete what was adopted": Scenario(adopted, lambda machine: machine.detach(2)),
    "renamed by hand": Scenario(three, rename),
    "names exchanged": Scenario(three, exchange),
    "slot taken over": Scenario(three, take_over),
    "removed while unplugged": Scenario(three_but_one, lambda machine: machine.detach(2)),
    "all at once": Scenario(three, much),
    "rollback": Scenario(changed, nothing, ("rollback",)),
    "purge": Scenario(plain, nothing, ("purge", "--yes")),
    "recovery": Scenario(three, much, RECOVER, after_a_kill=True),
    "recovery by the next pass": Scenario(three, much, after_a_kill=True),
}


@dataclass(frozen=True)
class Survey:
    """A scenario that nothing disturbs."""

    start: Picture
    """The host when the command is given."""
    old: dict[str, Any]
    new: dict[str, Any]
    final: dict[str, Any]
    """After one more pass: as new, unless the command was a rollback."""
    moments: list[str]
    different: list[int]
    """The moments before which the host was changed: to be killed at another one leaves the same host."""


def survey(scenario: Scenario, directory: Path) -> Survey:
    """Run a scenario undisturbed. Fails if the host is changed outside of what the probe hears of."""
    machine = Machine(directory / "start")
    scenario.before(machine)
    scenario.change(machine)
    old, start = machine.state(), machine.picture()
    if scenario.after_a_kill:
        whole = Machine(directory / "whole", start).multinic(*RECONCILE)
        late = next(n for n, moment in enumerate(whole.moments, 1) if f"before rename {CHECKPOINT}" in moment)
        machine = Machine(directory / "killed", start)
        machine.multinic(*RECONCILE, end=End(late))
        start = machine.picture()
    machine = Machine(directory / "undisturbed", start)
    done = machine.multinic(*scenario.command, note=machine.fingerprint)
    assert done.status == 0, done.said
    new = machine.state()
    machine.converge()
    notes = list(enumerate(zip(done.moments, done.notes, ("", *done.notes[:-1]), strict=True), 1))
    changes = [at for at, (_, note, last) in notes if note != last]
    outside = [
        moment
        for _, (moment, note, last) in notes[1:]
        if note[:64] != last[:64] and not moment.startswith("after")
    ]
    assert not outside, f"the host was changed outside of any effect, before {outside}"
    return Survey(start, old, new, machine.state(), list(done.moments), changes)


@dataclass(frozen=True)
class Case:
    """One interruption."""

    at: int
    signal: int = signal.SIGKILL
    again: bool = False
    """Whether the signal comes again at every later moment."""
    recover: bool = True
    """Whether systemd's ExecStopPost= runs before the next pass."""

    @property
    def statuses(self) -> set[int]:
        """With which status the program may end."""
        if self.signal == signal.SIGKILL:
            return {-signal.SIGKILL}
        return {1} if self.signal == signal.SIGINT else {128 + self.signal}  # click's status of an abort


def judge(command: tuple[str, ...], case: Case, known: Survey, directory: Path) -> str:
    """Return "old" or "new" for what an interruption leads to, or what is wrong."""
    machine = Machine(directory, known.start)
    witness = Witness()
    done = machine.multinic(*command, end=End(case.at, case.signal, case.again))
    if done.status not in case.statuses:
        return f"ended with status {done.status}: {done.said}"
    outcome = "new"
    if case.signal == signal.SIGKILL and case.recover:
        recovered = machine.multinic(*RECOVER)
        if recovered.status:
            return f"could not recover: {recovered.said}"
    if case.recover:
        outcome = named(machine.state(), known.old, known.new)
        if outcome not in ("old", "new"):
            return outcome
    following = machine.multinic(*RECONCILE)
    if following.status or (last := named(machine.state(), known.final, known.final)) != "old":
        return f"the next pass did not converge: {following.said or last}"
    if others := witness.of_others():
        return f"others were disturbed: {others}"
    silent = machine.multinic(*RECONCILE)
    if silent.status or silent.said or silent.moments or (events := witness.events()):
        return f"the pass after that was not silent: {silent} {events}"
    return outcome


def killed(known: Survey) -> list[Case]:
    """SIGKILL, and then systemd's clean-up, or nothing but the next pass: by turns, or both (`THOROUGH`)."""
    return [Case(at, recover=recover) for at, recover in picked(known.different, AT_MOST)]


def ended(known: Survey) -> list[Case]:
    """SIGTERM; also at moments between which only the program itself was changed."""
    return [Case(at, signal.SIGTERM) for at in _some(range(1, len(known.moments) + 1))]


def ended_again(known: Survey) -> list[Case]:
    """SIGTERM at every moment from one on: while things are put back, too."""
    return [Case(at, signal.SIGTERM, again=True) for at in _some(known.different)]


def ended_otherwise(known: Survey) -> list[Case]:
    """Control-C, or a terminal that goes away."""
    return [Case(at, number) for at in _some(known.different) for number in (signal.SIGINT, signal.SIGHUP)]


def _some(moments: Sequence[int]) -> list[int]:
    return sorted({at for at, _ in picked(moments, AT_MOST)})


WAYS = {
    "killed": killed,
    "ended": ended,
    "ended again and again": ended_again,
    "ended otherwise": ended_otherwise,
}


def interrupt(namespace: Namespace, way: str, scenario: str) -> list[dict[str, Any]]:
    """Interrupt one scenario in one way at every moment, in processes of their own; return every case."""
    environment = {"PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    environment |= {"MULTINIC_TEST_THOROUGH": "1" * THOROUGH}
    command = (sys.executable, "-m", "tests.kernel.interrupting", way, scenario)
    done = namespace.run(*command, env=environment, timeout=900)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Interrupt one scenario in one way at every moment; print one JSON line a case."""
    way, scenario = sys.argv[1], SCENARIOS[sys.argv[2]]
    warm_up()
    with in_memory("interrupted") as directory:
        answer = in_child(lambda: asdict(survey(scenario, directory)))
        known = Survey(**answer | {"start": Picture(**answer["start"])})

        def judged(case: Case, place: Path) -> dict[str, Any]:
            outcome = judge(scenario.command, case, known, place)
            return asdict(case) | {"moment": known.moments[case.at - 1], "outcome": outcome}

        judge_all(WAYS[way](known), judged, directory)


if __name__ == "__main__":
    main()
