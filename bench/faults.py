"""How many faults were injected, and what became of the host: python bench/faults.py [kernel] [power] [host]

Prints one line a scenario. "old" and "new" are hosts that were made as they were before the change, or as it
wants them, by what runs next; anything else is a third state, of which there must be none. The same cases are
tests: tests/kernel/test_interrupted.py, tests/kernel/test_power_loss.py, tests/host/test_interrupted.py.
Those try each moment with systemd's clean-up or without it, by turns; here it is both.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["MULTINIC_TEST_THOROUGH"] = "yes"

from bench.figures import note
from tests.kernel import interrupting, power
from tests.namespaces import Namespace

Case = dict[str, Any]
HEAD = ("fault, backend", "change", "faults", "old", "new", "third states")
WIDTHS = (38, 28, 8, 7, 7, 13)
WAYS = {
    "killed": "SIGKILL",
    "ended": "SIGTERM",
    "ended again and again": "SIGTERM, again and again",
    "ended otherwise": "SIGINT and SIGHUP",
}


def kernel() -> Iterator[tuple[str, str, list[Case]]]:
    """End the program at every moment, with the netlink backend."""
    for way, words in WAYS.items():
        for scenario in interrupting.SCENARIOS:
            with Namespace() as namespace:
                yield f"{words}, netlink", scenario, interrupting.interrupt(namespace, way, scenario)


def cut() -> Iterator[tuple[str, str, list[Case]]]:
    """Cut the power at every moment, with files."""
    for scenario in power.SCENARIOS:
        with Namespace() as namespace:
            yield "power cut, files of netplan", scenario, power.cut_power(namespace, scenario)


def host() -> Iterator[tuple[str, str, list[Case]]]:
    """Kill the program at every moment on a booted host with netplan."""
    from tests.host import interrupting as on_host
    from tests.host.nspawn import Box

    with Box() as box:
        for scenario in on_host.SCENARIOS:
            box.clean()
            yield "SIGKILL, netplan on a booted host", scenario, on_host.interrupt(box, scenario)


PARTS = {"kernel": kernel, "power": cut, "host": host}


def row(cells: Iterable[object]) -> str:
    """Return one line of the table: words to the left, figures to the right."""
    padded = [
        f"{cell:<{w}}" if at < 2 else f"{cell:>{w}}"
        for at, (cell, w) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return "  ".join(padded)


def main() -> None:
    """Inject the faults of the parts that are named, or of all."""
    print(row(HEAD))
    total: Counter[str] = Counter()
    wrong: list[Case] = []
    for name in sys.argv[1:] or PARTS:
        for fault, scenario, cases in PARTS[name]():
            found = Counter(c["outcome"] if c["outcome"] in ("old", "new") else "third" for c in cases)
            wrong += [c for c in cases if c["outcome"] not in ("old", "new")]
            total += found + Counter(faults=len(cases))
            figures = (len(cases), found["old"], found["new"], found["third"])
            print(row((fault, scenario, *figures)), flush=True)
    print(row(("all", "", *(total[key] for key in ("faults", "old", "new", "third")))))
    note("third states after faults at any moment", total["third"], to_reach=0)
    note("faults that were injected", total["faults"])
    for case in wrong:
        print(json.dumps(case), file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
