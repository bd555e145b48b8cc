"""What one change costs on a host with many routes, beside the same on one with ten.

    python bench/change.py [RUNS] [ROUTES]

In network namespaces of their own, with a private MariaDB inside: ten links are configured with the backend
netlink, others have ROUTES routes (100,000). Then the MTU of one row is changed RUNS times (5), and each time
the CPU time and the memory of the `multinic reconcile` are measured that carries it out.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import note  # noqa: E402
from bench.idle import MAC, configured, crowd, fill, installed, measured  # noqa: E402
from tests.mariadb import PrivateMariaDB  # noqa: E402
from tests.namespaces import Namespace  # noqa: E402

Figures = tuple[float, float]
"""CPU time in milliseconds, memory in MiB."""


def main() -> None:
    """Measure on a host with few routes, then on one with many."""
    if sys.argv[1:2] == ["--inside"]:
        print(json.dumps(measured(json.loads(sys.argv[2]))))
        return
    runs = int(sys.argv[1]) if sys.argv[1:] else 5
    many = int(sys.argv[2]) if sys.argv[2:] else 100_000
    found = {routes: changes(runs, routes) for routes in (10, many)}
    for routes, (cpu, memory) in found.items():
        print(f"one change at {routes} routes: CPU {cpu:.0f} ms, memory {memory:.0f} MiB, median of {runs}")
        note(f"one change at {routes:,} routes", cpu, "ms CPU")
    note(f"one change at {many:,} routes ÷ at 10, CPU", found[many][0] / found[10][0], to_reach=2)
    note(f"memory of a change at {many:,} routes", found[many][1], "MiB", to_reach=60)


def changes(runs: int, routes: int) -> Figures:
    """Return the medians of some changes on a host with as many routes."""
    with Namespace() as namespace, PrivateMariaDB() as server, tempfile.TemporaryDirectory() as directory:
        server.start(namespace.prefix, port=3306)
        program, _ = installed(Path(directory))
        fill(server)
        for number in range(10):
            namespace.plug(f"eth{number}", MAC.format(number))
        root = configured(Path(directory) / "host")
        crowd(namespace, server, 0, routes)
        settings = str(root / "etc/multinic/multinic.toml")
        os.environ.update(MULTINIC_CONFIG=settings, MULTINIC_ROOT=str(root))
        command = [*program, "reconcile"]
        inside = (sys.executable, __file__, "--inside", json.dumps(command))
        namespace.run(*inside, timeout=600)
        figures: list[Figures] = []
        for run in range(runs):
            server.execute(f"UPDATE multi_interface SET mtu = {1400 - run} WHERE id = 2", database="multinic")
            figures.append(tuple(json.loads(namespace.run(*inside, timeout=600).stdout)))
            assert namespace.links()["multinic1"]["mtu"] == 1400 - run
        cpu, memory = zip(*figures, strict=True)
        return statistics.median(cpu), statistics.median(memory)


if __name__ == "__main__":
    main()
