"""What the status tables cost a database: signs of life and changes a second, on one private MariaDB.

    python bench/status_tables.py [NODES] [SECONDS]

The server and its clients share this machine. The tables are filled for NODES nodes (default 20,000) with
one interface and ten events each; then several clients write for SECONDS (default 10) each kind of news: a
sign of life (one UPDATE), a change (one transaction: the node, an interface, an event); and they read what
the fleet brake reads. The figures are how many of them a second, and the CPU time of the server for each. The
server does without durability at commit (as tests/mariadb.py starts it), so disks are not measured.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import note  # noqa: E402
from multinic.database import peers, schema, source, status  # noqa: E402
from multinic.database.session import Session  # noqa: E402
from multinic.values.history import Event, FieldChange, Kind  # noqa: E402
from multinic.values.settings import DatabaseSettings, Secret  # noqa: E402
from tests.mariadb import PrivateMariaDB  # noqa: E402

CLIENTS = 4
NEEDED = 100_000 / 300  # signs of life a second of 100,000 nodes

Job = Callable[[Session, int, int], object]


def main() -> None:
    """Fill the tables, then measure each kind of news."""
    nodes = int(sys.argv[1]) if sys.argv[1:] else 20_000
    seconds = float(sys.argv[2]) if sys.argv[2:] else 10.0
    with PrivateMariaDB() as server:
        server.start()
        settings = DatabaseSettings(server.url(database=server.fresh_database()), Secret(""), 3, 60, False)
        list(schema.init(settings))
        fill(settings, nodes)
        print(f"{nodes} nodes, {CLIENTS} clients, {os.cpu_count()} cores shared with the server")
        for name, job in (("signs of life", beat), ("changes", change), ("reads of the brake", read)):
            count, cpu = measure(settings, server, job, nodes, seconds)
            rate = count / seconds
            line = f"{name}: {rate:.0f} a second, {1000 * cpu / max(count, 1):.2f} ms CPU of the server each"
            print(line + (f"; 100,000 nodes need {NEEDED:.0f}" if job is beat else ""))
            note(f"{name} in the status tables, CPU of the server", 1000 * cpu / max(count, 1), "ms each")
            if job is beat:
                note("signs of life a second ÷ those of 100,000 nodes", rate / NEEDED, to_reach=1, least=True)


def beat(database: Session, node: int, _: int) -> object:
    """Give a sign of life, as a node does every five minutes."""
    return status.beat(database, f"node{node}")


def change(database: Session, node: int, turn: int) -> object:
    """Tell that an interface was changed."""
    return status.write(database, f"node{node}", news(node, turn))


def read(database: Session, node: int, _: int) -> object:
    """Read how other nodes fared, as before a change of a working interface."""
    return peers.attempts(database, f"node{node}", {"update"})


def news(node: int, turn: int, events: int = 1) -> status.News:
    """Return what a node tells after a change."""
    mac = f"fa:16:{node >> 24 & 255:02x}:{node >> 16 & 255:02x}:{node >> 8 & 255:02x}:{node & 255:02x}"
    interface = {
        "row_id": node,
        "port_id": f"port-{node}",
        "name": "multinic0",
        "mac": mac,
        "state": "converged",
        "reason": "converged",
        "message": "as desired",
        "addresses": "10.10.1.11/24",
        "mtu": 1400 + turn % 100,
        "operational": "up",
    }
    done = [
        Event(
            number=time.time_ns() // 1000 + at,
            kind=Kind.CHANGED,
            reason="changed",
            message="mtu 1500 → 1450",
            name="multinic0",
            mac=mac,
            port_id=f"port-{node}",
            row_id=node,
            attempt="update",
            changes=(FieldChange("mtu", "1500", "1450"),),
        )
        for at in range(events)
    ]
    head = {"version": "1.0.0", "backend": "netplan", "last_result": "ok", "exit_status": 0, "interfaces": 1}
    return status.News(head, {mac: interface}, (), done, time.time())


def fill(settings: DatabaseSettings, nodes: int) -> None:
    """Write a row, an interface and ten events of each node."""
    with source.connect(settings) as database:
        for node in range(nodes):
            status.write(database, f"node{node}", news(node, 0, events=10))


def measure(
    settings: DatabaseSettings, server: PrivateMariaDB, job: Job, nodes: int, seconds: float
) -> tuple[int, float]:
    """Return how often the clients did something together, and the CPU time of the server for it."""
    counts: list[int] = []
    end, before = time.monotonic() + seconds, cpu_of(server.pid)

    def client() -> None:
        with source.connect(settings) as database:
            for turn in itertools.count():
                if time.monotonic() > end:
                    counts.append(turn)
                    return
                job(database, random.randrange(nodes), turn)

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return sum(counts), cpu_of(server.pid) - before


def cpu_of(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
