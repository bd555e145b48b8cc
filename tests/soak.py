"""Many passes over a host on which everything happens: rows, links, hands and faults, at random.

    python -m tests.soak --passes 1000 --seed 7

The host is a network namespace; the database is a file. What happens is drawn from a seeded generator, so
that a run can be had again: a failure prints the seed and every step up to it. After each pass: what is not
ours is as it was and has seen no event; no slot is shared and none has wandered; every row has a state and a
reason, and one that is called converged is so in the kernel; the flags in the database say the same. Now and
then the faults stop: a few passes must make everything as it is desired, and the next one does nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.judging import Witness
from tests.killing import WHOLE, End, Run, warm_up
from tests.killing import run as program

PORTS = range(1, 9)
PASSES_TO_SETTLE = 6
"""Three reads for the deletion fuse, one pass to recover, and one or two for what waits for another."""
SETTLE_EVERY = 12
STATES = {"converged", "waiting", "blocked", "invalid", "failed"}
RECORD, STATE = "var/lib/multinic/record.json", "run/multinic/state.json"
ENVIRONMENT = {
    "NO_COLOR": "1",
    "MULTINIC_VERIFY_TIMEOUT": "2s",
    "MULTINIC_DATABASE_READ_TIMEOUT": "100ms",
}


def mac_of(number: int) -> str:
    """Return the MAC address of the n-th port."""
    return f"fa:16:3e:00:00:{number:02x}"


@dataclass(frozen=True)
class Row:
    """A row of the database, as whoever wrote it means it."""

    number: int
    addresses: tuple[str, ...]
    mtu: int | None
    bad: str = ""
    """Which column holds nonsense."""


@dataclass
class Fault:
    """What disturbs one pass."""

    name: str = ""
    at: int = 0
    """The number of the moment (tests/killing.py) at which a signal comes; 0 for none."""
    signal: int = 0

    @property
    def interrupts(self) -> bool:
        """Whether the pass may end before it has told anybody anything."""
        return self.at > 0


@dataclass
class World:
    """A host in a network namespace, its cloud and its database."""

    directory: Path
    choice: random.Random
    rows: dict[int, Row] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    """Ports on which no IPv6 address can be set."""
    slots: dict[str, str] = field(default_factory=dict)
    """MAC → the name it had after the last pass."""
    steps: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        from pyroute2 import IPRoute

        from tests.schemas import CONTROLLER, execute

        self.root = self.directory / "root"
        self.file = self.directory / "multinic.db"
        self.database: Any = sqlite3.connect(self.file, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.schema, self.execute = CONTROLLER, execute
        self.sql("PRAGMA synchronous = OFF")
        CONTROLLER.create(self.database)
        for key in ("accept_dad", "dad_transmits"):  # addresses are there at once
            Path(f"/proc/sys/net/ipv6/conf/default/{key}").write_text("0")
        self.ip = IPRoute()
        self.ip.link("set", index=1, state="up")
        self._others()
        self.monitor = Witness()
        self.foreign = self.others()

    def _others(self) -> None:
        """Links, files, routes and rules of others."""
        for name, number in (("eth0", 100), ("member", 101)):
            self.plug(number, name)
        run("ip", "address", "add", "10.9.0.5/24", "brd", "+", "dev", "eth0")
        run("ip", "address", "add", "fd09::5/64", "dev", "eth0")
        run("ip", "link", "set", "eth0", "up", "mtu", "1480")
        run("ip", "route", "add", "10.91.0.0/16", "via", "10.9.0.1", "src", "10.9.0.5")
        run("ip", "route", "add", "default", "via", "10.9.0.1", "table", "100")
        run("ip", "rule", "add", "fwmark", "0x200/0xf00", "table", "100", "priority", "9")
        run("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        run("ip", "link", "set", "member", "master", "br0", "up")
        run("ip", "link", "set", "br0", "up")
        for path in ("etc/netplan/50-cloud-init.yaml", "etc/hosts", "var/lib/other/record.json"):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(f"{path} of somebody else\n")
        local = ("ip", "-6", "route", "show", "table", "local", "type", "local", "dev")
        until(lambda: all(run(*local, name) for name in ("eth0", "member", "br0")))

    # The cloud and the controller.

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Run one statement as the controller."""
        return list(self.execute(self.database, statement, *values).fetchall())

    def plug(self, number: int, name: str) -> None:
        """Plug a port in; its other end is `farN`."""
        far = f"far{number}"
        self.ip.link("add", ifname=far, kind="veth", peer={"ifname": name, "address": mac_of(number)})
        self.ip.link("set", index=socket.if_nametoindex(far), state="up")

    def links(self) -> dict[str, dict[str, Any]]:
        """Return MAC → link, of the ports."""
        found = json.loads(run("ip", "-json", "-details", "address"))
        wanted = {mac_of(number) for number in PORTS}
        return {link["address"]: link for link in found if link.get("address") in wanted}

    def plugged(self) -> list[int]:
        """Return the ports whose links are there."""
        present = self.links()
        return [number for number in PORTS if mac_of(number) in present]

    def insert(self, row: Row) -> int:
        """Write a row as the controller does."""
        values: dict[str, Any] = {"address": ", ".join(row.addresses) or None, "mtu": row.mtu}
        values |= (
            {row.bad: {"macaddress": "zz:", "address": "nonsense", "mtu": 7}[row.bad]} if row.bad else {}
        )
        mac = values.pop("macaddress", self.choice.choice([str.upper, str])(mac_of(row.number)))
        port = f"port-{row.number}-{len(self.steps)}-{self.choice.randrange(1 << 30)}"
        row_id = self.schema.attach(self.database, mac, port_id=port, cidr="10.0.0.0/8", **values)
        self.rows[row_id] = row
        return row_id

    def delete(self, row_id: int) -> None:
        """Take a row out."""
        self.sql("DELETE FROM multi_interface WHERE id = %s", row_id)
        del self.rows[row_id]

    def replace(self, row_id: int, row: Row) -> None:
        """Put another row, with a new id, in the place of one."""
        self.sql("BEGIN")
        self.delete(row_id)
        self.insert(row)
        self.sql("COMMIT")

    # What may happen.

    def a_row_comes(self) -> str:
        free = [n for n in PORTS if n not in {row.number for row in self.rows.values()}]
        if not free:
            return ""
        row = self._row(self.choice.choice(free))
        self.insert(row)
        return f"insert {row}"

    def a_row_goes(self) -> str:
        if not self.rows:
            return ""
        row_id = self.choice.choice(sorted(self.rows))
        if self.choice.random() < 0.5:
            self.delete(row_id)
            return f"delete row {row_id}"
        self.sql("UPDATE multi_interface SET deleted_at = CURRENT_TIMESTAMP WHERE id = %s", row_id)
        del self.rows[row_id]
        return f"delete row {row_id} softly"

    def a_row_changes(self) -> str:
        if not self.rows:
            return ""
        row_id = self.choice.choice(sorted(self.rows))
        row = self._row(self.rows[row_id].number)
        self.replace(row_id, row)
        return f"row {row_id} becomes {row}"

    def a_row_turns_bad(self) -> str:
        if not self.rows:
            return ""
        row_id = self.choice.choice(sorted(self.rows))
        bad = self.choice.choice(["macaddress", "address", "mtu"])
        self.replace(row_id, replace(self.rows[row_id], bad=bad))
        return f"row {row_id} has a bad {bad}"

    def a_row_is_there_twice(self) -> str:
        if not self.rows:
            return ""
        row = self.rows[self.choice.choice(sorted(self.rows))]
        if self.choice.random() < 0.5:
            row = replace(row, number=self.choice.choice(PORTS))  # its address, on any port
        self.insert(row)
        return f"insert once more {row}"

    def all_rows_are_replaced(self) -> str:
        self.sql("BEGIN")
        for row_id, row in sorted(self.rows.items()):
            self.delete(row_id)
            self.insert(row)
        self.sql("COMMIT")
        return "replace all rows by the same with new ids"

    def a_link_is_plugged_in(self) -> str:
        free = [n for n in PORTS if n not in self.plugged()]
        if not free:
            return ""
        number = self.choice.choice(free)
        name = self.choice.choice([f"eth{number}", f"ens{number}", f"zz{number}"])
        with suppress(Exception):  # a name may be taken by a link that was given it back
            self.plug(number, name)
            return f"plug port {number} in as {name}"
        with suppress(Exception):
            self.ip.link("del", index=socket.if_nametoindex(f"far{number}"))
        return ""

    def a_link_is_unplugged(self) -> str:
        there = self.plugged()
        if not there:
            return ""
        number = self.choice.choice(there)
        self.ip.link("del", index=self.links()[mac_of(number)]["ifindex"])
        self.broken.discard(number)
        return f"unplug port {number}"

    def somebody_changes_a_link(self) -> str:
        ours = {mac: link for mac, link in self.links().items() if link["ifname"].startswith("multinic")}
        if not ours:
            return ""
        mac = self.choice.choice(sorted(ours))
        name = ours[mac]["ifname"]
        free = next(n for n in range(30, 99) if not Path(f"/proc/sys/net/ipv4/conf/multinic{n}").exists())
        command = self.choice.choice(
            [
                f"link set {name} mtu 1290",
                f"link set {name} down",
                f"address flush dev {name}",
                f"link set {name} name byhand{mac[-1]}",
                f"link set {name} name multinic{free}",
                f"address add 10.200.0.{int(mac[-2:], 16)}/32 dev {name}",
            ]
        )
        done = subprocess.run(["ip", *command.split()], check=False, capture_output=True)
        return f"ip {command}" if not done.returncode else ""

    def somebody_exchanges_two_names(self) -> str:
        names = sorted(x["ifname"] for x in self.links().values() if x["ifname"].startswith("multinic"))
        if len(names) < 2:
            return ""
        one, two = self.choice.sample(names, 2)
        for old, new in ((one, "aside"), (two, one), ("aside", two)):
            run("ip", "link", "set", old, "name", new)
        return f"exchange {one} and {two}"

    def a_link_breaks(self) -> str:
        there = [n for n in self.plugged() if n not in self.broken]
        if not there:
            return ""
        number = self.choice.choice(there)
        self._ipv6(number, "1")
        self.broken.add(number)
        return f"port {number} takes no IPv6 address any more"

    def a_link_is_mended(self) -> str:
        if not self.broken:
            return ""
        number = self.choice.choice(sorted(self.broken))
        self._mend(number)
        return f"port {number} takes IPv6 addresses again"

    def _mend(self, number: int) -> None:
        self._ipv6(number, "0")
        self.broken.discard(number)

    def _ipv6(self, number: int, disable: str) -> None:
        name = self.links()[mac_of(number)]["ifname"]
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text(disable)

    def time_passes(self) -> str:
        """Let what failed be attempted again."""
        path = self.root / RECORD
        with suppress(OSError, ValueError):
            document = json.loads(path.read_bytes())
            for held in document["links"].values():
                if held["failure"]:
                    held["failure"]["retry_at"] = 1.0
            path.write_text(json.dumps(document))
        return "time passes"

    def the_memory_is_lost(self) -> str:
        path = self.root / RECORD
        if not path.exists():
            return ""
        self.slots.clear()
        if self.choice.random() < 0.5:
            path.unlink()
            return "the record is lost"
        path.write_bytes(path.read_bytes()[: self.choice.randrange(200)])
        return "the record is damaged"

    def run_is_emptied(self) -> str:
        shutil.rmtree(self.root / "run", ignore_errors=True)
        return "/run is emptied"

    def _row(self, number: int) -> Row:
        last = self.choice.randrange(1, 250)
        addresses = self.choice.choice(
            [
                (),
                (f"10.0.{number}.{last}/24",),
                (f"10.0.{number}.{last}/24", f"fd00:{number}::{last:x}/64"),
                (f"fd00:{number}::{last:x}/64",),
            ]
        )
        return Row(number, addresses, self.choice.choice([None, 1280, 1400, 1500, 9000]))

    def happen(self) -> None:
        """Let something happen, or nothing."""
        weights: dict[Callable[[], str], int] = {
            self.a_row_comes: 8,
            self.a_row_goes: 3,
            self.a_row_changes: 4,
            self.a_row_turns_bad: 1,
            self.a_row_is_there_twice: 1,
            self.all_rows_are_replaced: 2,
            self.a_link_is_plugged_in: 9,
            self.a_link_is_unplugged: 3,
            self.somebody_changes_a_link: 6,
            self.somebody_exchanges_two_names: 1,
            self.a_link_breaks: 2,
            self.a_link_is_mended: 2,
            self.time_passes: 3,
            self.the_memory_is_lost: 1,
            self.run_is_emptied: 1,
        }
        for _ in range(self.choice.choice([0, 1, 1, 2, 3])):
            what = self.choice.choices([*weights], [*weights.values()])[0]
            if told := what():
                self.steps.append(told)
                self.counts[what.__name__.replace("_", " ")] += 1

    def fault(self) -> Fault:
        """Draw what disturbs the next pass."""
        name = self.choice.choices(
            ["", "killed", "terminated", "no database", "no rows", "locked", "not to be written to"],
            [12, 3, 2, 2, 2, 1, 2],
        )[0]
        at = self.choice.choice([*range(1, 25), *range(1, 80)]) if name in ("killed", "terminated") else 0
        return Fault(name, at, signal.SIGKILL if name == "killed" else signal.SIGTERM)

    # The program.

    @contextmanager
    def disturbed(self, fault: Fault):
        """Let a fault last for a block."""
        if fault.name == "no database":
            self.file.rename(self.directory / "away.db")
        elif fault.name == "no rows":
            self.sql("UPDATE multi_interface SET attached_node_name = 'elsewhere'")
        elif fault.name == "locked":
            self.sql("BEGIN EXCLUSIVE")
        elif fault.name == "not to be written to":
            self.sql("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            if fault.name == "no database":
                (self.directory / "away.db").rename(self.file)
            elif fault.name == "no rows":
                self.sql("UPDATE multi_interface SET attached_node_name = 'node1'")
            elif fault.name in ("locked", "not to be written to"):
                self.sql("COMMIT")

    def reconcile(self, fault: Fault) -> Run:
        """Run one pass in a child of this process."""
        options = ["--database-url", f"sqlite:///{self.file}", "--node", "node1", "--backend", "netlink"]
        with self.disturbed(fault):
            done = program(
                [*options, "--root", str(self.root), "reconcile"],
                End(fault.at, fault.signal) if fault.at else WHOLE,
                ENVIRONMENT,
            )
        told = f" ({fault.name}{f' at moment {fault.at}' if fault.at else ''})" if fault.name else ""
        self.steps.append(f"PASS{told}: exit {done.status}, {len(done.moments) // 2} effects")
        self.steps += [f"    {line}" for line in done.said.splitlines()]
        self.counts[f"pass {fault.name}".rstrip()] += 1
        return done

    # What must be so after every pass.

    def others(self) -> dict[str, Any]:
        """Return everything that is not ours."""
        ports = {link["ifname"] for link in self.links().values()}
        found: dict[str, Any] = {}
        for link in json.loads(run("ip", "-json", "-details", "address")):
            if link["ifname"] in ("eth0", "member", "br0", "lo"):
                kept = ("ifindex", "ifname", "mtu", "address", "altnames", "master")
                addresses = [
                    [info.get(key) for key in ("local", "prefixlen", "scope", "label", "broadcast", "metric")]
                    for info in link["addr_info"]
                ]
                flags = sorted(link["flags"])
                found[link["ifname"]] = [*(link.get(key) for key in kept), flags, addresses]
        for what in ("route show table all", "-6 route show table all", "rule", "-6 rule"):
            lines = run("ip", *what.split()).splitlines()
            found[what] = sorted(
                line for line in lines if not ports & {*line.split()} and " dev far" not in line
            )
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_file() and not name.startswith(("var/lib/multinic/", "run/multinic/")):
                status = path.stat()
                found[name] = (status.st_ino, status.st_mode, status.st_mtime_ns, path.read_bytes())
        return found

    def check(self, done: Run, fault: Fault) -> None:
        """Hold what is there now against what must hold after every pass."""
        events = [
            line
            for line in self.monitor.events()
            if line.split(" ")[1] in ("eth0", "member", "br0", "lo", "")
        ]
        assert events == [], f"others have seen {events}"
        now = self.others()
        for what, before in self.foreign.items():
            assert now.get(what) == before, f"{what} was {before} and is {now.get(what)}"
        assert now.keys() == self.foreign.keys(), now.keys() ^ self.foreign.keys()
        assert "Traceback" not in done.said
        assert "unexpected error" not in done.said
        links = self.links()
        self._check_record(links)
        allowed = {0, 4, 5}
        if fault.name in ("no database", "locked", "not to be written to"):
            allowed = {75} if fault.name != "not to be written to" else {0, 4, 5, 75}
        if fault.interrupts:
            allowed |= {-fault.signal, 128 + fault.signal}
        assert done.status in allowed, f"exit {done.status}"
        if fault.name == "no rows" and done.status == 0:
            self.slots.clear()  # it has been so for three reads: they are free
        elif done.status in (0, 4, 5) and fault.name != "no rows":
            self._check_states(done, links)

    def _check_record(self, links: dict[str, dict[str, Any]]) -> None:
        with suppress(OSError, ValueError):
            slots = [held["slot"] for held in json.loads((self.root / RECORD).read_bytes())["links"].values()]
            assert len(slots) == len(set(slots)), f"a slot is shared: {slots}"
        names = [link["ifname"] for link in links.values()]
        assert not [name for name in names if name.startswith("mnic-tmp")], names

    def _check_states(self, done: Run, links: dict[str, dict[str, Any]]) -> None:
        document = json.loads((self.root / STATE).read_bytes())
        assert document["exit"] == done.status, "the state file says another exit status"
        items = {item["row_id"]: item for item in document["interfaces"] if item["row_id"] is not None}
        assert items.keys() == self.rows.keys(), f"rows {self.rows.keys()}, states {items.keys()}"
        flags = {
            row["id"]: bool(row["netplan_success"])
            for row in self.sql("SELECT * FROM multi_interface WHERE deleted_at IS NULL")
        }
        taken: dict[str, str] = {}
        for row_id, item in items.items():
            assert item["state"] in STATES, item
            assert item["reason"], item
            assert item["message"], item
            assert flags[row_id] is (item["state"] == "converged"), f"flag {flags[row_id]}: {item}"
            if item["state"] == "invalid":
                continue
            if item["name"]:
                assert item["name"] not in taken, f"{item['name']} is shared by {taken} and {item}"
                taken[item["name"]] = item["mac"]
            before = self.slots.get(item["mac"], item["name"])
            assert before == item["name"], f"{item['mac']} was {before} and is {item['name']}"
            if item["state"] == "converged":
                self._check_link(self.rows[row_id], links.get(item["mac"]), item["name"])
        self.slots = {mac: name for name, mac in taken.items()}
        for item in document["interfaces"]:
            if item["row_id"] is None:
                assert item["state"] in ("blocked", "failed"), item
                assert item["reason"], item

    @staticmethod
    def _check_link(row: Row, link: dict[str, Any] | None, name: str) -> None:
        assert link, f"{name} is said to be converged and is not there"
        has = {f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"]}
        what = (
            link["ifname"],
            "UP" in link["flags"],
            row.mtu in (None, link["mtu"]),
            has >= {*row.addresses},
        )
        assert what == (name, True, True, True), f"{name} is said to be converged: {row}, {link}"

    # When the faults stop.

    def settle(self) -> None:
        """Stop all faults; everything must be as desired soon, and then nothing happens any more."""
        self.steps.append("the faults stop")
        for number in sorted(self.broken):
            self._mend(number)
        self._correct()
        self._tidy_up()
        for _ in range(PASSES_TO_SETTLE):
            self.time_passes()
            self.monitor.events()
            done = self.reconcile(Fault())
            self.check(done, Fault())
            if done.status == 0 and self._converged():
                break
        else:
            raise AssertionError(f"not converged after {PASSES_TO_SETTLE} passes")
        self.monitor.events()
        done = self.reconcile(Fault())  # it may write down that there is nothing to do
        assert (self.monitor.events(), done.said) == ([], ""), f"not silent: {done}"
        files = {path: path.stat().st_mtime_ns for path in self.root.rglob("*") if path.is_file()}
        done = self.reconcile(Fault())
        assert (done.moments, self.monitor.events(), done.said) == ((), [], ""), f"not silent: {done}"
        assert files == {path: path.stat().st_mtime_ns for path in self.root.rglob("*") if path.is_file()}

    def _correct(self) -> None:
        """Take out of the database what no host could carry out: what is bad, and what is there twice."""
        seen: set[object] = set()
        for row_id, row in sorted(self.rows.items()):
            if row.bad or seen & {row.number, *row.addresses}:
                self.delete(row_id)
            else:
                seen |= {row.number, *row.addresses}

    def _tidy_up(self) -> None:
        """Take the addresses off links of which the host has forgotten that they were its own.

        One that was renamed by hand before the record was lost is somebody else's from then on.
        """
        known: set[str] = set()
        with suppress(OSError, ValueError):
            links = json.loads((self.root / RECORD).read_bytes())["links"]
            known = {mac for mac, held in links.items() if held["applied"]}
        for mac, link in self.links().items():
            if mac not in known and not link["ifname"].startswith("multinic"):
                run("ip", "address", "flush", "dev", link["ifname"])

    def _converged(self) -> bool:
        """Return whether every port is as its row asks, by a judgement of our own."""
        links = self.links()
        document = json.loads((self.root / STATE).read_bytes())
        states = {item["row_id"]: item["state"] for item in document["interfaces"]}
        for row_id, row in self.rows.items():
            if states.get(row_id) != ("converged" if mac_of(row.number) in links else "waiting"):
                return False
        spoken = {mac_of(row.number) for row in self.rows.values()}
        return not [x for mac, x in links.items() if mac not in spoken and x["ifname"].startswith("multinic")]


def run(*argv: str) -> str:
    """Run a command and return what it printed."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert not done.returncode, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


def until(condition: Callable[[], object]) -> None:
    """Wait until the kernel has caught up."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "this never came true"
        time.sleep(0.01)


def soak(passes: int, seed: int, directory: Path) -> Counter[str]:
    """Run so many passes in this namespace. Raises AssertionError, which tells every step."""
    world = World(directory, random.Random(seed))
    try:
        for number in range(1, passes + 1):
            world.happen()
            world.monitor.events()
            fault = world.fault()
            world.check(world.reconcile(fault), fault)
            if number % SETTLE_EVERY == 0 or number == passes:
                world.settle()
    except AssertionError as e:
        steps = "\n".join(world.steps)
        raise AssertionError(f"{steps}\n--seed {seed} --passes {passes}, pass {number}: {e}") from e
    return world.counts


def main() -> int:
    """Soak in a namespace of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    seed = given.seed or random.randrange(1, 1 << 30)
    if not given.inside:
        from tests import environment
        from tests.namespaces import Namespace
        from tests.scratch import scratch

        environment.enter()

        with Namespace() as namespace, scratch("soak") as directory:
            command = [*namespace.prefix, sys.executable, "-m", "tests.soak", "--inside", directory]
            return subprocess.run(
                [*command, "--passes", str(given.passes), "--seed", str(seed)], check=False
            ).returncode
    from multinic.state import checkpoint

    checkpoint._SETTLE = 0.2  # no network service works on these links
    warm_up()
    try:
        counts = soak(given.passes, seed, Path(given.inside))
    except AssertionError as e:
        print(e, file=sys.stderr)
        return 1
    for what, count in counts.most_common():
        print(f"{count:6} {what}")
    print(f"{given.passes} passes, seed {seed}: every promise was kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
