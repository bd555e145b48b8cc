"""The metrics of the dashboard in Prometheus' text format."""

from __future__ import annotations

import sys

from multinic import __version__
from multinic.dashboard.gate import Gate

MEDIA = "text/plain; version=0.0.4"


def exposition(gate: Gate, *, reads: int, up: bool) -> str:
    """Return the metrics as text; `reads`: how often a page was read, `up`: whether the last one could be."""
    lines = [
        "# HELP multinic_dashboard_answers_total Answers, by page and status.",
        "# TYPE multinic_dashboard_answers_total counter",
        *(
            f'multinic_dashboard_answers_total{{page="{page}",status="{status}"}} {number}'
            for (page, status), number in sorted(gate.answers.items())
        ),
        "# HELP multinic_dashboard_answer_seconds_total How long they took together.",
        "# TYPE multinic_dashboard_answer_seconds_total counter",
        f"multinic_dashboard_answer_seconds_total {gate.seconds:.6f}",
        "# HELP multinic_dashboard_database_reads_total How often a page was read from the database.",
        "# TYPE multinic_dashboard_database_reads_total counter",
        f"multinic_dashboard_database_reads_total {reads}",
        "# HELP multinic_dashboard_database_up 1: the last page could be read; 0: it could not.",
        "# TYPE multinic_dashboard_database_up gauge",
        f"multinic_dashboard_database_up {int(up)}",
        "# HELP multinic_build_info Always 1.",
        "# TYPE multinic_build_info gauge",
        f'multinic_build_info{{version="{__version__}",python="{sys.version.split()[0]}"}} 1',
    ]
    return "\n".join(lines) + "\n"
