"""The benchmarks that need what this tier needs: they still run. See tests/benches.py."""

from __future__ import annotations

import sys

from tests.benches import benchmarks, check_yield


@benchmarks("web")
def test_a_benchmark_yields_figures(name, tmp_path):
    check_yield(name, tmp_path, sys.executable)
