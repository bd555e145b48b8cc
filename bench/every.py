"""Run the benchmarks, and make one JSON file and one table of their figures: `make bench`.

    python bench/every.py [--smallest] [--results DIR] [NAME...]

NAME is one of BENCHES; without any, all for which this machine has what is needed, but for those that take
long. `--smallest`: each only to see that it runs and yields figures, which mean nothing then. DIR is
build/bench: figures.json, table.md (those with a figure to reach first), and what each benchmark printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import FILE  # noqa: E402
from tests.tiers import host_missing, mariadb, namespaces, vm_missing  # noqa: E402

_WEB = ROOT / f"{os.environ.get('VENV', '.venv')}-web/bin/python"
WEB = sys.executable if importlib.util.find_spec("starlette") else str(_WEB)
LIMIT = 3600  # seconds

Figure = Mapping[str, Any]


def web_missing() -> str | None:
    """Say why the dashboard cannot be measured here."""
    return mariadb.missing() or (None if Path(WEB).exists() else f"no {WEB} (scripts/setup.sh web)")


def network_missing() -> str | None:
    return mariadb.missing() or namespaces.missing()


@dataclass(frozen=True)
class Bench:
    """One benchmark: its module, and what it is told at a modest size and at its smallest."""

    name: str
    modest: str
    smallest: str
    needs: str = "network"
    long: bool = False
    """It is run only where it is named."""

    @property
    def missing(self) -> str | None:
        """Why it cannot run here."""
        return MISSING[self.needs]()

    def command(self, *, smallest: bool) -> list[str]:
        python = WEB if self.needs == "web" else sys.executable
        module = self.name.partition("-")[0]
        return [python, f"bench/{module}.py", *(self.smallest if smallest else self.modest).split()]


MISSING = {
    "network": network_missing,
    "database": mariadb.missing,
    "web": web_missing,
    "host": lambda: host_missing() or mariadb.missing(),
    "vm": vm_missing,
}
BENCHES = {
    bench.name: bench
    for bench in (
        Bench("idle", "20", "1"),
        Bench("idle-crowd", "10 500 100000", "1 3 20"),
        Bench("change", "5 100000", "1 20"),
        Bench("agent", "2000 500 10000", "20 3 20"),
        Bench("status_tables", "2000 5", "5 0.3", "database"),
        Bench("fleet", "1000 2 10 200000", "6 0.2 0.4 60", "database"),
        Bench("dashboard", "10000 50", "16 2", "web"),
        Bench("booted", "3 64", "1 2", "host"),
        Bench("booted-bookworm", "3 64 bookworm", "1 1 bookworm", "host", long=True),
        Bench("faults", "kernel power", "power", "network", long=True),
        Bench("hotplug", "5", "1", "vm", long=True),
    )
}


def main() -> None:
    """Run what is asked for. Ends with 1 if a benchmark failed or yielded nothing."""
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("--smallest", action="store_true")
    parser.add_argument("--results", type=Path, default=ROOT / "build/bench", metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    given = parser.parse_args()
    if unknown := set(given.names) - BENCHES.keys():
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    chosen = [BENCHES[name] for name in given.names] or [one for one in BENCHES.values() if not one.long]
    results: Path = given.results
    results.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    failed: list[str] = []
    for bench in chosen:
        if reason := bench.missing:
            print(f"== {bench.name}: not run: {reason}", flush=True)
            failed += [bench.name] if given.names else []
            continue
        begun, load = time.monotonic(), os.getloadavg()[0]
        found = run(bench, results, smallest=given.smallest)
        print(f"== {bench.name}: {time.monotonic() - begun:.0f} s, load {load:.1f} as it began", flush=True)
        figures += [{"bench": bench.name, "load": round(load, 1), **figure} for figure in found]
        failed += [] if found else [bench.name]
    document = {"machine": machine(), "smallest": given.smallest, "figures": figures}
    (results / "figures.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    text = "".join(f"{line}\n" for line in table(figures))
    (results / "table.md").write_text(text)
    print(f"\n{machine()}\n\n{text}")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def run(bench: Bench, results: Path, *, smallest: bool) -> list[Figure]:
    """Run one benchmark; return its figures, none if it failed."""
    figures, printed = (results / f"{bench.name}.{ending}" for ending in ("jsonl", "txt"))
    figures.unlink(missing_ok=True)
    with printed.open("w") as output:
        status = subprocess.call(
            bench.command(smallest=smallest),
            cwd=ROOT,
            env={**os.environ, FILE: str(figures)},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )
    print(printed.read_text(), end="", flush=True)
    if status or not figures.exists():
        print(f"{bench.name} ended with {status}", file=sys.stderr)
        return []
    return [json.loads(line) for line in figures.read_text().splitlines()]


def machine() -> str:
    """Say in one line on what the figures were measured."""
    cores = os.cpu_count()
    return (
        f"{cores} cores, {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
    )


def table(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield the lines of the table, as Markdown."""
    yield "| What | Measured | To reach | |"
    yield "|---|---|---|---|"
    for figure in sorted(figures, key=lambda one: one["to_reach"] is None):
        unit = f" {figure['unit']}" if figure["unit"] else ""
        value, to_reach = figure["value"], figure["to_reach"]
        aim = "" if to_reach is None else f"{'≥' if figure['least'] else '≤'} {to_reach:g}{unit}"
        yield f"| {figure['what']} | {shown(value)}{unit} | {aim} | {verdict(figure)} |"


def shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdict(figure: Figure) -> str:
    """Say whether a figure is reached, and by how much it is missed."""
    value, to_reach = figure["value"], figure["to_reach"]
    if to_reach is None:
        return ""
    if value >= to_reach if figure["least"] else value <= to_reach:
        return "reached"
    return f"missed by {shown(abs(value - to_reach))}{' ' + figure['unit'] if figure['unit'] else ''}"


if __name__ == "__main__":
    main()
