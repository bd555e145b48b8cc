"""The metrics of a host in Prometheus' text format, for node_exporter's textfile and for `/metrics`.

METRICS is the table of docs/observability.md. A number comes from the counts that full passes keep, from the
state document, or from the memory of an agent. The words of labels are those of values/counts.py, and the
hosts of database.url.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from multinic import __version__
from multinic.report.passes import Passes
from multinic.values.asked import REQUEST_BUCKETS
from multinic.values.counts import BUCKET_NAMES, OTHER, REASONS, STATES, THINGS, TOTALS, Counts
from multinic.values.errors import ConfigError
from multinic.values.settings import BACKENDS

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


LIBRARY = "pip install 'multinic[metrics]'; the packages of multinic bring it"
"""What to do if the library is missing."""


class Described(NamedTuple):
    """A metric: its name, its type in the words of Prometheus, its labels, what it means."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


_BUILD = Described(
    "multinic_build_info",
    "gauge",
    ("version", "backend", "python"),
    "Always 1: the version of multinic, the backend of the last pass, the version of Python",
)
_PASSES = Described("multinic_passes_total", "counter", ("kind", "outcome"), "Passes by how they ended")
_DURATION = Described("multinic_pass_duration_seconds", "histogram", ("kind",), "How long passes took")
_LAST_PASS = Described(
    "multinic_last_pass_timestamp_seconds", "gauge", (), "When the last pass ended, as Unix time"
)
_LAST_LOOK = Described(
    "multinic_last_look_timestamp_seconds", "gauge", (), "When a pass last read the database, as Unix time"
)
_LAST_SUCCESS = Described(
    "multinic_last_success_timestamp_seconds",
    "gauge",
    (),
    "When a pass last left no interface failed, invalid or blocked, as Unix time; 0: never",
)
_UP = Described(
    "multinic_database_up", "gauge", (), "1: the last pass could read the database; 0: it could not"
)
_INTERFACES = Described(
    "multinic_interfaces", "gauge", ("state", "reason"), "Interfaces by state and reason after the last pass"
)
_FUSE = Described(
    "multinic_deletion_fuse_tripped",
    "gauge",
    (),
    "1: the removal of most or all interfaces is held back; 0: it is not",
)
_REQUESTS = Described(
    "multinic_database_request_duration_seconds",
    "histogram",
    ("host",),
    "How long logins, reads and transactions took, by host of database.url",
)
_ERRORS = Described(
    "multinic_database_errors_total",
    "counter",
    ("host",),
    "Logins, reads and transactions that failed, by host of database.url",
)
_COUNTERS = {
    "changes": Described("multinic_changes_total", "counter", ("kind",), "Interfaces that were changed"),
    "drift": Described(
        "multinic_drift_total",
        "counter",
        ("field",),
        "Interfaces that differed from their unchanged row, by what differed",
    ),
    "failures": Described(
        "multinic_failures_total", "counter", ("reason",), "Interfaces that could not be changed"
    ),
    "rollbacks": Described(
        "multinic_rollbacks_total", "counter", ("reason",), "Interfaces that were restored as they were"
    ),
    "given_back": Described(
        "multinic_given_back_total",
        "counter",
        ("kind",),
        "Things that others lost while links were changed, and that were given back",
    ),
}
METRICS = (
    *(_BUILD, _PASSES, _DURATION, _LAST_PASS, _LAST_LOOK, _LAST_SUCCESS, _INTERFACES),
    *(*_COUNTERS.values(), _FUSE, _UP, _REQUESTS, _ERRORS),
)
"""Every metric, in the order in which they are written."""

_FROM_THE_START = {"drift": (*THINGS, "file")}
"""Labels with many values: these are there from the start, the others when they were counted once."""


def exposition(state: Mapping[str, Any], counts: Counts, passes: Passes | None = None) -> bytes:
    """Return the metrics as text, from a state document ({}: none yet) and counts.

    `passes`: those that an agent counts in its memory. Raises ConfigError without prometheus_client.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        raise ConfigError(
            "metrics need the Python library prometheus_client, which is not installed",
            LIBRARY,
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(state, counts, passes))
    return generate_latest(registry)


class _Collector:
    """Makes the families of metrics."""

    def __init__(self, state: Mapping[str, Any], counts: Counts, passes: Passes | None) -> None:
        self._state, self._counts, self._passes = state, counts, passes
        self._times = {
            name: max(counts.times.get(name, 0.0), passes.times.get(name, 0.0) if passes else 0.0)
            for name in ("pass", "look", "success")
        }

    def describe(self) -> Iterable[Metric]:
        """Return nothing: no other collector is in the registry."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families in the order of METRICS."""
        backend = self._state.get("backend")
        known = backend if backend in BACKENDS else "none"
        yield _gauge(_BUILD, [((__version__, known, platform.python_version()), 1)])
        yield from self._of_passes()
        for described, name in ((_LAST_PASS, "pass"), (_LAST_LOOK, "look"), (_LAST_SUCCESS, "success")):
            yield _gauge(described, [((), self._times[name])])
        yield _gauge(_INTERFACES, self._interfaces())
        for name, described in _COUNTERS.items():
            yield _counter(described, [((label,), number) for label, number in self._totals(name).items()])
        reasons = [_field(item, "reason") for item in self._state.get("interfaces", ())]
        yield _gauge(_FUSE, [((), float("deletion-fuse" in reasons))])
        up = float(not self._state.get("database_error"))
        yield _gauge(_UP, [((), up)] if self._state else [])
        yield from self._of_database()

    def _totals(self, name: str) -> dict[str, float]:
        found = self._counts.totals.get(name, {})
        words = _FROM_THE_START.get(name, TOTALS[name]) or ()
        return dict.fromkeys(words, 0.0) | dict(sorted(found.items()))

    def _of_passes(self) -> Iterator[Metric]:
        kinds = {"full": (self._totals("passes"), self._totals("durations"))}
        if self._passes is not None:
            kinds["idle"] = (dict(self._passes.outcomes), dict(self._passes.durations))
        samples = [
            ((kind, outcome), number)
            for kind, (outcomes, _) in kinds.items()
            for outcome, number in outcomes.items()
        ]
        yield _counter(_PASSES, samples)
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(_DURATION.name, _DURATION.help, labels=_DURATION.labels)
        for kind, (_, durations) in kinds.items():
            found = {name: durations.get(name, 0.0) for name in BUCKET_NAMES}
            family.add_metric((kind,), list(_cumulative(found)), durations["sum"])
        yield family

    def _interfaces(self) -> list[tuple[tuple[str, ...], float]]:
        found = Counter(
            (_among(_field(item, "state"), STATES), _among(_field(item, "reason"), REASONS))
            for item in self._state.get("interfaces", ())
        )
        present = {state for state, _ in found}
        without = [((state, "none"), 0.0) for state in STATES if state not in present]
        return [*((labels, float(number)) for labels, number in sorted(found.items())), *without]

    def _of_database(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        durations = self._totals("request_durations")
        family = HistogramMetricFamily(_REQUESTS.name, _REQUESTS.help, labels=_REQUESTS.labels)
        for host, seconds in self._totals("request_seconds").items():
            found = {bucket: durations.get(f"{bucket} {host}", 0.0) for bucket in REQUEST_BUCKETS}
            family.add_metric((host,), list(_cumulative(found)), seconds)
        yield family
        yield _counter(
            _ERRORS, [((host,), number) for host, number in self._totals("request_errors").items()]
        )


def _field(item: object, name: str) -> str:
    return str(item.get(name, "")) if isinstance(item, Mapping) else ""


def _among(word: str, words: Iterable[str]) -> str:
    return word if word in words else OTHER


def _cumulative(durations: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    total = 0.0
    for name, number in durations.items():
        total += number
        yield name, total


def _gauge(described: Described, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(described.name, described.help, labels=described.labels), samples)


def _counter(described: Described, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(described.name, described.help, labels=described.labels), samples)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, samples: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    for labels, number in samples:
        family.add_metric(labels, number)
    return family
