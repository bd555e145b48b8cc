"""What was asked of the hosts of a database, and how long it took. Pure; every pass imports it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_LIMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
REQUEST_BUCKETS = (*(f"{limit:g}" for limit in _LIMITS), "+Inf")
"""Upper limits in seconds, as Prometheus writes them: a read takes a millisecond, a login with TLS 20."""


class Requests(NamedTuple):
    """Logins, reads and transactions with one host."""

    errors: int = 0
    """How many failed."""
    seconds: float = 0.0
    """How long all took."""
    durations: Mapping[str, int] = MappingProxyType({})
    """How many took as long as one of REQUEST_BUCKETS, and longer than the one before it."""

    def and_more(self, more: Requests) -> Requests:
        """Return both together."""
        durations = {
            name: self.durations.get(name, 0) + more.durations.get(name, 0)
            for name in {**self.durations, **more.durations}
        }
        return Requests(self.errors + more.errors, self.seconds + more.seconds, durations)


def request(seconds: float, *, failed: bool) -> Requests:
    """Return one request that took so long."""
    return Requests(int(failed), seconds, {REQUEST_BUCKETS[bisect_left(_LIMITS, seconds)]: 1})


Asked = Mapping[str, Requests]
"""By host of database.url."""
