"""How many hosts one database serves: passes a second, how long they take, CPU of the server for each.

    python bench/fleet.py [HOSTS] [INTERVAL] [SECONDS] [ROWS]

A private MariaDB on loopback has ROWS rows (200,000 by default), ten of them of each of HOSTS (1,000). The
hosts ask for theirs as idle passes do, through the product's own sessions: each every INTERVAL seconds (2) or
up to 15 % sooner, and now and then gives the sign of life that it owes every five minutes. An agent keeps its
session; a host with the timer logs in for every pass. Each way is measured for SECONDS (10), without TLS and
with it. Then the agents begin all at once; then the index is dropped. "late" is how much later
than it was due a pass began: where it grows, the simulation or the server is at its limit.

Two ways to compare with ask through PyMySQL alone, on a connection that is kept. "one SELECT" is the least
that answers what a node's rows are. "earlier agent" is a quiet poll of the agent in Go as it is assumed here:
the rows of the node with the subnets' cidr, and once more those that are no orphans. Its driver may prepare
each statement, which would be more; a row that it cannot configure costs it an UPDATE in every poll.
"""

from __future__ import annotations

import heapq
import itertools
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import pymysql

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import note  # noqa: E402
from bench.status_tables import cpu_of, news  # noqa: E402
from multinic.database import schema, source, status  # noqa: E402
from multinic.database.session import Session  # noqa: E402
from multinic.database.statement import Shape  # noqa: E402
from multinic.database.url import parse_url  # noqa: E402
from multinic.values.settings import DatabaseSettings, Secret  # noqa: E402
from tests.mariadb import PrivateMariaDB  # noqa: E402

PROCESSES, THREADS = 3, 6  # that simulate the hosts
SIGN_OF_LIFE = 300.0  # seconds
ROWS_OF_HOST = 10
AT_ONCE = 1000  # rows of one INSERT
ONE_SELECT = ("SELECT * FROM multi_interface WHERE attached_node_name = %s",)
EARLIER_AGENT = (
    "SELECT i.id, i.port_id, i.macaddress, i.attached_node_name, i.netplan_success, i.address, i.mtu, s.cidr "
    "FROM multi_interface i LEFT JOIN multi_subnet s ON s.subnet_id = i.subnet_id "
    "WHERE i.attached_node_name = %s",
    "SELECT id, port_id, macaddress, attached_node_name, netplan_success FROM multi_interface "
    "WHERE attached_node_name = %s AND netplan_success = 1",
)

Timed = list[tuple[float, float]]
"""How long each pass took, and how late it began, in seconds."""


@dataclass(frozen=True)
class Way:
    """How the hosts of one measurement ask."""

    name: str
    url: str
    shape: Shape
    interval: float
    kept: bool = True
    """Each keeps its session."""
    together: bool = False
    """All begin at the same moment."""
    to_reach: float | None = None
    """What the server's CPU time for a pass is to be, in ms."""
    alone: tuple[str, ...] = ()
    """What a pass asks through PyMySQL alone, in place of what multinic asks."""


class Host:
    """One host, as the database sees it."""

    def __init__(self, number: int, way: Way) -> None:
        self._node, self._way = f"node{number}", way
        self._settings = DatabaseSettings(way.url, Secret(""), 5, 60, False)
        self._session: Session | None = None

    def log_in(self) -> None:
        """Open the session that is kept."""
        self._session = self._opened()

    def pass_(self) -> None:
        """Ask as an idle pass does, and give a sign of life when it is due."""
        with self._open() as session:
            assert len(session.ask(self._node).rows) == ROWS_OF_HOST
            owed = random.random() < self._way.interval / SIGN_OF_LIFE
            if owed and not status.beat(session, self._node):
                raise RuntimeError(f"{self._node} has no sign of life")

    @contextmanager
    def _open(self) -> Iterator[Session]:
        if self._way.kept:
            assert self._session is not None
            yield self._session
        else:
            with self._opened() as session:
                yield session

    def _opened(self) -> Session:
        session = source.connect(self._settings)
        session.shape = self._way.shape
        return session


class Plain:
    """A host that sends statements through PyMySQL alone, on a connection that it keeps."""

    def __init__(self, number: int, way: Way) -> None:
        self._node, self._way = f"node{number}", way
        self._cursor: Any = None

    def log_in(self) -> None:
        """Open the connection."""
        target = parse_url(self._way.url)
        ((host, port),) = target.hosts
        connection = pymysql.connect(
            host=host,
            port=port,
            user=target.user,
            database=target.name,
            autocommit=True,
            ssl_disabled=True,
        )
        self._cursor = connection.cursor()

    def pass_(self) -> None:
        """Send the statements, each of which finds all rows of the node."""
        for text in self._way.alone:
            self._cursor.execute(text, (self._node,))
            assert len(self._cursor.fetchall()) == ROWS_OF_HOST


def main() -> None:
    """Fill the database, then measure one way after the other."""
    given = sys.argv[1:]
    hosts, interval, seconds, rows = (
        convert(given[at]) if len(given) > at else default
        for at, (convert, default) in enumerate(((int, 1000), (float, 2.0), (float, 10.0), (int, 200_000)))
    )
    with PrivateMariaDB() as server:
        server.start(tls=True, options=[f"--max-connections={hosts + 100}", "--innodb-buffer-pool-size=256M"])
        plain = server.url(database=server.fresh_database())
        shape = filled(plain, int(hosts), int(rows))
        print(f"{hosts} hosts, every {interval:g} s; {rows} rows; {os.cpu_count()} cores for all of it")
        print(f"{'':24}{'passes/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'late p99 ms':>13}{'server CPU ms':>15}")
        tls = f"{plain}{'&' if '?' in plain else '?'}ssl_ca={server.ca}"
        ways = (("agents", plain, True, 0.2), ("timers", plain, False, 0.5))
        ways += (("agents, TLS", tls, True, None), ("timers, TLS", tls, False, 2))
        used = {}
        for name, alone in (("one SELECT", ONE_SELECT), ("earlier agent", EARLIER_AGENT)):
            way = Way(name, plain, shape, interval, alone=alone)
            used[name] = measure(server, way, int(hosts), seconds)
        for name, url, kept, to_reach in ways:
            way = Way(name, url, shape, interval, kept, to_reach=to_reach)
            used[name] = measure(server, way, int(hosts), seconds)
        for name in ("one SELECT", "earlier agent"):
            if not used[name]:
                continue  # at the smallest size it may be less than a tick of the kernel's clock
            note(f"idle pass of agents ÷ {name}, CPU of the server", used["agents"] / used[name])
        together = Way("agents, all at once", plain, shape, interval, together=True)
        measure(server, together, int(hosts), seconds)
        name = plain.partition("?")[0].rpartition("/")[2]
        server.execute("DROP INDEX multi_interface_node ON multi_interface", database=name)
        measure(server, Way("agents, no index", plain, shape, interval), int(hosts), seconds)


def filled(url: str, hosts: int, rows: int) -> Shape:
    """Make the tables and fill them; return what a converged host remembers of them."""
    settings = DatabaseSettings(url, Secret(""), 5, 60, False)
    list(schema.init(settings))
    with source.connect(settings) as database:
        numbers = iter(range(max(rows, hosts * ROWS_OF_HOST)))
        while some := list(itertools.islice(numbers, AT_ONCE)):
            insert(database, some)
        for host in range(hosts):
            status.write(database, f"node{host}", news(host, 0))
        database.ask("node0")
        time.sleep(1.1)  # a sign of life in the second of the last one changes nothing
        return database.shape


def insert(database: Session, numbers: list[int]) -> None:
    """Insert rows, as a controller that attaches them."""
    names = "port_id, subnet_id, macaddress, attached_node_name, netplan_success, address, mtu"
    marks = ", ".join(["(%s, 'subnet-1', %s, %s, 1, %s, 1450)"] * len(numbers))
    values = [value for number in numbers for value in row(number)]
    database.execute(f"INSERT INTO multi_interface ({names}) VALUES {marks}", values)


def row(number: int) -> tuple[str, str, str, str]:
    mac = ":".join(f"{byte:02x}" for byte in (0xFA, 0x16, *number.to_bytes(4, "big")))
    return (
        f"port-{number}",
        mac,
        f"node{number // ROWS_OF_HOST}",
        f"10.{number >> 16}.{number >> 8 & 255}.1/24",
    )


def measure(server: PrivateMariaDB, way: Way, hosts: int, seconds: float) -> float:
    """Print what the passes of all hosts took within some seconds; return the server's CPU for one, in ms."""
    results: Queue[tuple[Timed, str]] = multiprocessing.Queue()
    ready, begin = multiprocessing.Barrier(PROCESSES + 1), multiprocessing.Event()
    shares = [range(at, hosts, PROCESSES) for at in range(PROCESSES)]
    processes = [
        multiprocessing.Process(target=simulate, args=(way, share, seconds, ready, begin, results))
        for share in shares
    ]
    for process in processes:
        process.start()
    ready.wait()
    before = cpu_of(server.pid)
    begin.set()
    time.sleep(seconds)
    used = cpu_of(server.pid) - before
    passes: Timed = []
    for _ in processes:
        some, fault = results.get()
        assert not fault, f"a pass failed: {fault}"
        passes += some
    for process in processes:
        process.join()
    took, late = (sorted(1000 * one[at] for one in passes) for at in (0, 1))
    figures = (len(took) / seconds, statistics.median(took), percentile(took), percentile(late))
    print(f"{way.name:24}{figures[0]:10.0f}{figures[1]:9.1f}{figures[2]:9.1f}{figures[3]:13.0f}", end="")
    each = 1000 * used / len(took)
    print(f"{each:15.2f}", flush=True)
    note(f"idle pass of {way.name}, CPU of the server", each, "ms", to_reach=way.to_reach)
    return each


def percentile(values: list[float]) -> float:
    """Return what 99 of 100 sorted values do not exceed."""
    return values[min(len(values) - 1, len(values) * 99 // 100)]


def simulate(
    way: Way,
    share: Sequence[int],
    seconds: float,
    ready: Barrier,
    begin: Event,
    results: Queue[tuple[Timed, str]],
) -> None:
    """Be some of the hosts: a process of its own, as one interpreter would be the limit."""
    hosts = [Plain(number, way) if way.alone else Host(number, way) for number in share]
    if way.kept:
        for host in hosts:
            host.log_in()
    ready.wait()
    begin.wait()
    start = time.monotonic()
    due = [(start + (0 if way.together else random.random() * way.interval), at) for at in range(len(hosts))]
    heapq.heapify(due)
    lock, passes, faults = threading.Lock(), Timed(), list[str]()

    def work() -> None:
        while True:
            with lock:
                when, at = heapq.heappop(due) if due else (start + seconds, -1)
            if at < 0 and time.monotonic() < start + seconds:
                time.sleep(0.001)
                continue
            if at < 0 or when >= start + seconds or time.monotonic() >= start + seconds:
                return
            time.sleep(max(0.0, when - time.monotonic()))
            begun = time.monotonic()
            hosts[at].pass_()
            ended = time.monotonic()
            if ended <= start + seconds or not passes:  # one at least, where none ends in time
                passes.append((ended - begun, begun - when))
            again = way.interval * (1 if way.together else 0.85 + 0.15 * random.random())
            with lock:
                heapq.heappush(due, (max(when + again, ended), at))

    def guarded() -> None:
        try:
            work()
        except Exception as e:  # noqa: BLE001 - whatever it is, the figures are worth nothing
            faults.append(f"{type(e).__name__}: {e}")

    threads = [threading.Thread(target=guarded) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((passes, "; ".join(faults)))


if __name__ == "__main__":
    main()
