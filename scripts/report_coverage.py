"""Put the measurements of all tiers together and report them; hold the threshold where every tier ran.

Run by scripts/test.sh after the tests of all tiers, in the root of the checkout.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from coverage import Coverage
from coverage.exceptions import NoDataError

THRESHOLD = 90  # percent, of the lines and of the branches alike
TIERS = {"unit", "db", "kernel", "web", "host", "vm"}
COMPLETE = Path("build/tests/complete")  # by tests/tiers.py: a line for each tier that passed as a whole


def main() -> str | None:
    """Return what is wrong, for sys.exit."""
    measured = Coverage()
    try:
        measured.load()  # what an earlier run put together, before `make test-again`
        measured.combine()
        measured.report()
    except NoDataError:
        print("coverage: no test ran the program")
        return None
    report = Path("build/coverage/report.json")
    measured.json_report(outfile=str(report))
    totals = json.loads(report.read_text())["totals"]
    percent = {
        "lines": 100 * totals["covered_lines"] / totals["num_statements"],
        "branches": 100 * totals["covered_branches"] / totals["num_branches"],
    }
    print("coverage:", ", ".join(f"{value:.1f} % of the {what}" for what, value in percent.items()))
    if not COMPLETE.exists() or not set(COMPLETE.read_text().split()) >= TIERS:
        print(f"The threshold of {THRESHOLD} % is not held: it counts when every tier ran and passed.")
    elif short := [what for what, value in percent.items() if value < THRESHOLD]:
        return f"Less than {THRESHOLD} % of the {' and of the '.join(short)} is covered."
    return None


if __name__ == "__main__":
    sys.exit(main())
