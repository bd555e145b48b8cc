"""What metrics count: one file, /var/lib/multinic/metrics.json (0600), of full passes while metrics are on.

If it is missing or damaged, counting begins anew, which Prometheus takes for a restart. Nothing else is lost.
"""

from __future__ import annotations

import json
import math
from typing import Any

from multinic.host.host import Host
from multinic.values.counts import TIMES, TOTALS, Counts
from multinic.values.errors import HostError
from multinic.values.paths import COUNTS

_VERSION = 1
_LABELS_MAX = 1024  # far more than a URL has hosts, each with a dozen buckets
_MAX = 2.0**53  # beyond it, a float does not count on by one


def load_counts(host: Host) -> Counts:
    """Return what was counted, without what this version does not know; nothing if the file is damaged."""
    try:
        document = json.loads(host.read(COUNTS) or "{}")
        if document.get("version") != _VERSION:
            return Counts()
        totals = {name: _known(document["totals"].get(name), words) for name, words in TOTALS.items()}
        return Counts(totals, _known(document["times"], TIMES), str(document.get("trouble", "")))
    except (HostError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Counts()


def _known(found: Any, words: tuple[str, ...] | None) -> dict[str, float]:
    """Return the numbers of a part of the file that can be true, of the labels that exist."""
    if not isinstance(found, dict) or len(found) > _LABELS_MAX:
        return {}
    return {
        name: number
        for name, number in found.items()
        if (words is None or name in words)
        and isinstance(number, int | float)
        and not isinstance(number, bool)
        and math.isfinite(number)
        and 0 <= number < _MAX
    }


def save_counts(host: Host, counts: Counts) -> None:
    """Write what was counted. Raises HostError."""
    document = {
        "version": _VERSION,
        "totals": {name: dict(sorted(found.items())) for name, found in counts.totals.items() if found},
        "times": dict(counts.times),
        "trouble": counts.trouble,
    }
    host.write(COUNTS, json.dumps(document, indent=1) + "\n", 0o600)
