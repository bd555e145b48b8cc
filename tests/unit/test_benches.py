"""`make bench`: it knows every benchmark, and its table says what is reached."""

from __future__ import annotations

from bench.every import BENCHES, table
from tests.hosts import CHECKOUT


def test_every_benchmark_is_one_of_make_bench():
    modules = {path.stem for path in (CHECKOUT / "bench").glob("*.py")} - {"every", "figures"}
    assert modules == {name.partition("-")[0] for name in BENCHES}


def test_the_table_says_by_how_much_a_figure_is_missed():
    def figure(what, value, to_reach=None, *, unit="", least=False):
        return {"what": what, "value": value, "unit": unit, "to_reach": to_reach, "least": least}

    found = [
        figure("only measured", 1234.5, unit="ms"),
        figure("reached", 0.5, 1),
        figure("missed", 1.25, 1),
        figure("too few", 80, 100, unit="a second", least=True),
    ]
    assert list(table(found))[2:] == [
        "| reached | 0.5 | ≤ 1 | reached |",
        "| missed | 1.25 | ≤ 1 | missed by 0.25 |",
        "| too few | 80 a second | ≥ 100 a second | missed by 20 a second |",
        "| only measured | 1,234 ms |  |  |",
    ]
