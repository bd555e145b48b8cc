"""What a change takes on a booted host with netplan, beside the same by hand; how long addresses are away.

    python bench/booted.py [RUNS] [MOST] [KIND]

As root, on a host that tests/host/nspawn.py boots (KIND of tests/host/kinds.py: netplan has networkd 257,
bookworm 252, bullseye 247). RUNS (3) times, with 1, 10 and MOST (64) NICs: all are created at once, then all
get another address at once. By hand is the least that does the same: the same files, netplan's generator,
renaming, `networkctl reload`, until all addresses are there; no database, no check, no verification, no way
back. An address is away from the moment when a link has none until it has one again; the longest counts.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import note  # noqa: E402
from tests.host.kinds import KINDS  # noqa: E402
from tests.host.node import Node  # noqa: E402
from tests.host.nspawn import Box  # noqa: E402
from tests.hosts import eventually  # noqa: E402
from tests.mariadb import PrivateMariaDB  # noqa: E402
from tests.node import database_server, mac_of  # noqa: E402

LOG, FILES, SCRATCH = "/run/addresses", "/root/netplan", "/tmp/by-hand"
BY_HAND = f"""\
set -e
rm -rf {SCRATCH}
mkdir -p {SCRATCH}/etc
cp -a {FILES} {SCRATCH}/etc/netplan
for generate in /usr/libexec/netplan/generate /usr/lib/netplan/generate; do
    [ ! -x $generate ] || {{ $generate --root-dir {SCRATCH}; break; }}
done
cp -a {FILES}/9*-multinic*.yaml /etc/netplan
cp -a {SCRATCH}/run/systemd/network/*-multinic* /run/systemd/network
[ -z "$3" ] || printf '%s' "$3" | ip -batch -
networkctl reload
until [ "$(ip -4 -oneline address | grep -c "multinic.* $2")" = $1 ]; do sleep 0.01; done
"""
TO_REACH = {("create", 10): 1.5}


class Figures:
    """What was measured, by what was done and with how many."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str, int], list[float]] = {}

    def add(self, what: str, who: str, count: int, value: float) -> None:
        self._values.setdefault((what, who, count), []).append(value)

    def median(self, what: str, who: str, count: int) -> float:
        return statistics.median(self._values[what, who, count])


def main() -> None:
    """Boot the host and measure one number of NICs after the other."""
    runs, most = (int(word) for word in [*sys.argv[1:3], *["3", "64"][len(sys.argv[1:3]) :]])
    kind = KINDS[sys.argv[3] if sys.argv[3:] else "netplan"]
    counts = sorted({1, min(10, most), most})
    figures = Figures()
    with Box(kind) as box, database_server(box.cloud_prefix, box.gateway) as server:
        for count in counts:
            for _ in range(runs):
                measure(box, server, count, figures)
    print(f"{kind.name}: seconds, median of {runs}; and how long an address was away at most, in ms")
    print(f"{'':14}{'multinic':>10}{'by hand':>10}{'ratio':>8}{'away':>8}")
    for count in counts:
        for what in ("create", "change"):
            ours, hand = (figures.median(what, who, count) for who in ("multinic", "by hand"))
            away = 1000 * figures.median("away", "multinic", count) if what == "change" else 0
            print(f"{what:8}{count:6}{ours:10.2f}{hand:10.2f}{ours / hand:8.2f}{away:8.0f}")
            words = f"{what} {count} NICs ÷ by hand ({kind.name})"
            note(words, ours / hand, to_reach=TO_REACH.get((what, count)))
            note(f"{what} {count} NICs ({kind.name})", ours, "s")
            if what == "change":
                to_reach = 10 if kind.name == "netplan" else None
                note(f"time without address, change of {count} ({kind.name})", away, "ms", to_reach=to_reach)


def measure(box: Box, server: PrivateMariaDB, count: int, figures: Figures) -> None:
    """Create and change with the program, then the same by hand with its files."""
    box.clean()
    node = Node(box, server)
    text = box.read("/etc/multinic/multinic.toml").replace('"4s"', '"60s"')
    node.configure(f"max_interfaces = {count}\n{text}")
    names = plugged(box, node, count)
    figures.add("create", "multinic", count, took(lambda: node.run("reconcile")))
    box.run("sh", "-c", f"rm -rf {FILES} && cp -a /etc/netplan {FILES}")
    node.sql("UPDATE multi_interface SET address = REPLACE(address, '10.5.0.', '10.5.1.')")
    with addresses_noted(box):
        figures.add("change", "multinic", count, took(lambda: node.run("reconcile")))
        box.run("sleep", "2")  # networkd may set addresses after the pass
    figures.add("away", "multinic", count, longest_away(box.read(LOG)))
    node.run("purge", "--yes")
    box.clean()
    box.write("/root/by-hand", BY_HAND)
    names = plugged(box, None, count)
    box.run("udevadm", "control", "--reload")
    renaming = "".join(
        f"link set {name} down\nlink set {name} name multinic{slot}\nlink set multinic{slot} up\n"
        for slot, name in enumerate(names)
    )
    by_hand = ("sh", "/root/by-hand", str(count))
    figures.add("create", "by hand", count, took(lambda: box.run(*by_hand, "10.5.0", renaming)))
    box.run("sh", "-c", f"sed -i s/10.5.0./10.5.1./ {FILES}/9*-multinic*.yaml")
    figures.add("change", "by hand", count, took(lambda: box.run(*by_hand, "10.5.1", "")))


def plugged(box: Box, node: Node | None, count: int) -> list[str]:
    """Plug NICs in, with rows if there is a node; return their names once udev has seen them."""
    names = [f"ens{slot + 3}" for slot in range(count)]
    for slot, name in enumerate(names):
        if node:
            node.attach(slot, link=name, address=f"10.5.0.{slot + 10}", cidr="10.5.0.0/16")
        else:
            box.plug(name, mac_of(slot))
    box.run("udevadm", "settle")
    eventually(lambda: set(names) <= set(box.links()))
    return names


def took(act: object) -> float:
    """Return how many seconds something took."""
    begun = time.monotonic()
    act()  # type: ignore[operator]
    return time.monotonic() - begun


@contextmanager
def addresses_noted(box: Box) -> Iterator[None]:
    """Have the host write down what its kernel says of addresses, and when."""
    command = f"ip -timestamp -oneline -4 monitor address > {LOG} 2>&1 & echo $!"
    pid = box.run("sh", "-c", f"({command}) < /dev/null").stdout.strip()
    time.sleep(0.2)
    try:
        yield
    finally:
        box.run("sh", "-c", f"kill {pid}")


def longest_away(log: str) -> float:
    """Return the longest time, in seconds, that a link of ours was without an address."""
    present: dict[str, set[str]] = {}
    since: dict[str, float] = {}
    longest, moment = 0.0, 0.0
    for line in log.splitlines():
        if stamp := re.match(r"Timestamp: (.*) (\d+) usec", line):
            at = datetime.strptime(stamp[1], "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
            moment = at.timestamp() + int(stamp[2]) / 1e6
        if not (found := re.search(r"(Deleted )?\d+: (multinic\d+)\S* +inet (\S+)", line)):
            continue
        gone, name, address = found.groups()
        have = present.setdefault(name, {address} if gone else {"the one before"})
        (have.discard if gone else have.add)(address)
        if gone:
            have.discard("the one before")
        if not have:
            since.setdefault(name, moment)
        elif name in since:
            longest = max(longest, moment - since.pop(name))
    return longest


if __name__ == "__main__":
    main()
