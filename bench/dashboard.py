"""What a page of the dashboard takes at 10,000 nodes with 10 interfaces each, on SQLite and on MariaDB.

    .venv-web/bin/python bench/dashboard.py [NODES] [TIMES]

For each page: from the query to the HTML, in this process, asked TIMES times (default 100) one after the
other, each time with another query where the page has one, and never from the cache. "CPU" is what this
process and MariaDB used: about what the page takes on a machine that does nothing else. Then a dashboard runs
as a process, 50 readers have live pages open (the overview, the wall, five filtered lists), and what counts
is how many statements a second the database gets from all of them, and the memory of the dashboard.
The databases are private ones on this machine, without durability at commit; their caches are warm.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import note  # noqa: E402
from bench.status_tables import cpu_of  # noqa: E402
from multinic.dashboard import filters, options, render  # noqa: E402
from multinic.dashboard.answers import addresses  # noqa: E402
from multinic.dashboard.listings import LISTINGS  # noqa: E402
from multinic.dashboard.pages import PAGES, Asking  # noqa: E402
from multinic.database import source  # noqa: E402
from multinic.demo.fleet import Fleet  # noqa: E402
from multinic.host import config  # noqa: E402
from multinic.values.settings import DatabaseSettings, Secret  # noqa: E402
from tests.mariadb import PrivateMariaDB  # noqa: E402
from tests.web.server import dashboard  # noqa: E402

READERS, LIVE = 50, 30.0  # seconds
SHARES = {"p50": 0.5, "p99": 0.99}
SUBNET = "00000000-5b1e-4000-8000-000000000000"


def queries() -> Iterator[tuple[str, str, str]]:
    """Yield what is asked: words for it, the page, its query; {n} is another number each time."""
    yield "overview", "overview", ""
    yield "wall", "wall", ""
    yield "nodes, first page", "nodes", ""
    yield "nodes, not ok, by since", "nodes", "result=!ok&sort=-result"
    yield "nodes, somewhere inside", "nodes", "after={node}"
    yield "interfaces, first page", "interfaces", ""
    yield "interfaces, failed", "interfaces", "state=failed&sort=-state"
    yield "interfaces, as desired, inside", "interfaces", "state=converged&after={interface}&size=200"
    yield "interfaces by a MAC", "interfaces", "q=fa:16:3e:00:{byte}:{byte}"
    yield "interfaces by an address", "interfaces", "q=10.4{digit}.{digit}.1{digit}"
    yield "interfaces by *part*", "interfaces", "q=*carrier{digit}*"
    yield "node", "node", "name=worker-a{n}"
    yield "subnet", "subnet", f"id={SUBNET}&after={{row}}"


def filled(query: str, nodes: int) -> str:
    chosen = random.randrange
    name = f"worker-{'abcdefgh'[chosen(8)]}{chosen(nodes // 8):03}"
    return query.format(
        n=f"{chosen(1, nodes // 8):03}",
        node=filters.written([name]),
        interface=filters.written([name, 0]),
        byte=f"{chosen(256):02x}",
        digit=chosen(8),
        row=chosen(nodes * 5),
    )


def page(asking: Asking, name: str, query: str) -> str:
    """Make a page, as the server does."""
    data = PAGES[name].make(asking)
    more = {"listed": filters.parse(LISTINGS[name], parse_qsl(query))} if name in LISTINGS else {}
    dress = {
        "prefix": "",
        "language": "en",
        "theme": "auto",
        "here": "/",
        "query": [],
        "urlencode": urlencode,
    }
    frame = {"name": name, "seconds": 5, "twin": "", "fragment": False, "static": addresses()}
    return render.page(PAGES[name].template, "en", {**data, **more, **dress, **frame})


def measure(product: str, url: str, server: PrivateMariaDB | None, nodes: int, times: int) -> None:
    settings = config.load(None, {"database.url": url}, {}, default="/nonexistent")
    opened = options.of_settings(settings)
    slowest = costliest = 0.0
    with source.connect(settings.database) as database:
        for words, name, query in queries():
            took, worked = [], []
            for _ in range(times):
                asked = filled(query, nodes)
                begun, before = time.perf_counter(), cpu(server)
                page(Asking(database, opened, parse_qsl(asked)), name, asked)
                took.append(1000 * (time.perf_counter() - begun))
                worked.append(1000 * (cpu(server) - before))
            figures = "   CPU ".join(
                "   ".join(f"{word} {at(values, share):6.1f} ms" for word, share in SHARES.items())
                for values in (took, worked)
            )
            print(f"  {words:32} {figures}", flush=True)
            slowest, costliest = max(slowest, at(took, 0.99)), max(costliest, at(worked, 0.99))
    name = f"page of the dashboard, {product}, {nodes:,} nodes, p99"
    note(f"slowest {name}", slowest, "ms", to_reach=100)
    note(f"costliest {name}, CPU", costliest, "ms", to_reach=100)


def cpu(server: PrivateMariaDB | None) -> float:
    """Return the CPU time of this process and of the database's, in seconds."""
    return time.process_time() + (cpu_of(server.pid) if server else 0)


def at(times: list[float], share: float) -> float:
    """Return the time that this share of all is not above."""
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


def live(url: str, server: PrivateMariaDB | None, seconds: float) -> None:
    """Let readers have live pages, and count what the database is asked."""
    paths = [
        "/",
        "/wall",
        *(f"/interfaces?state={s}" for s in ("failed", "invalid", "blocked", "waiting", "!converged")),
    ]

    def questions() -> int:
        return int(server.execute("SHOW GLOBAL STATUS LIKE 'Com_select'")[0]["Value"]) if server else 0

    with tempfile.TemporaryDirectory() as directory, dashboard(url, Path(directory)) as running:
        end = time.monotonic() + seconds

        def read(number: int) -> None:
            path = paths[number % len(paths)]
            time.sleep(random.random() * min(8, seconds))
            while time.monotonic() < end:
                running.get(path, X_Fragment="1")
                time.sleep(8 * random.uniform(0.8, 1.2))

        before = questions()
        readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        rate = (questions() - before) / seconds
        pid = next(p for p in Path("/proc").glob("[0-9]*") if f":{running.port}" in environment(p))
        memory = next(line for line in (pid / "status").read_text().splitlines() if line.startswith("VmHWM"))
        if server:
            print(f"  {READERS} readers: {rate:.1f} statements a second from all of them together")
            note(f"statements of {READERS} readers of live pages", rate, "a second", to_reach=5)
        print(f"  memory of the dashboard at most: {int(memory.split()[1]) / 1024:.0f} MiB")


def environment(process: Path) -> str:
    try:
        text = (process / "environ").read_text(errors="replace")
    except OSError:
        return ""
    return text if "MULTINIC_DASHBOARD_LISTEN" in text else ""


def main() -> None:
    nodes = int(sys.argv[1]) if sys.argv[1:] else 10_000
    times = int(sys.argv[2]) if sys.argv[2:] else 100
    with tempfile.TemporaryDirectory() as directory, PrivateMariaDB() as server:
        server.start(options=["--innodb-buffer-pool-size=256M"])
        name = server.fresh_database()
        for product, url in (
            ("SQLite", f"sqlite:///{directory}/fleet.db"),
            ("MariaDB", server.url(database=name)),
        ):
            begun = time.monotonic()
            settings = DatabaseSettings(url, Secret(""), 3, 600, ignore_deleted_at=False)
            with Fleet(settings, nodes, interfaces=(10, 10)):
                filled_in = time.monotonic() - begun
                print(f"{product}: {nodes} nodes with 10 interfaces, filled in {filled_in:.0f} s", flush=True)
            asked = server if product == "MariaDB" else None
            measure(product, url, asked, nodes, times)
            live(url, asked, LIVE if times >= 10 else 1.0)


if __name__ == "__main__":
    main()
