"""The figures of the benchmarks as data, beside what they print: `make bench` makes its table of them."""

from __future__ import annotations

import json
import os

FILE = "MULTINIC_BENCH_FIGURES"
"""The environment variable that names a file: each figure becomes a line of it, as JSON."""


def note(
    what: str, value: float, unit: str = "", *, to_reach: float | None = None, least: bool = False
) -> None:
    """Keep a figure; one without a unit is a ratio of two that were measured in the same run.

    `to_reach`: what it is to be at most, or with `least` at least.
    """
    if path := os.environ.get(FILE):
        figure = {"what": what, "value": round(value, 4), "unit": unit, "to_reach": to_reach, "least": least}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(figure, ensure_ascii=False) + "\n")
