"""What metrics count over the passes of a host, and the words that their labels can have. Pure.

Each label has a closed set of values, whatever a row, a link or an error says: so a host has a bounded number
of series. Only the hosts of database.url are not known here; the URL bounds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from multinic.values.fields import FIELDS

OUTCOMES = ("ok", "partial", "refused", "no_database", "not_reported", "locked", "error")
"""How a pass ends. docs/observability.md explains each."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper limits in seconds: an idle pass of an agent takes milliseconds, a wait for a lease takes seconds."""
BUCKET_NAMES = (*(f"{limit:g}" for limit in BUCKETS), "+Inf")
KINDS = ("create", "update", "delete", "prepare")
"""Kinds of changes; prepare: files are written for a link that is not plugged in."""
THINGS = ("name", "state", "mtu", "address", "route", "rule")
"""What a link has besides its properties, and can lose."""
DRIFTING = (*THINGS, "file", *sorted(FIELDS))
"""What can differ although the row is the same."""
RESTORED = (
    "activation-failed",
    "not-converged",
    "duplicate-address",
    "slot-shared",
    "witness",
    "connectivity",
)
"""The reasons for which interfaces are restored after a change."""
FAILURES = (*RESTORED, "refused-by-backend")
"""The reasons of interfaces that could not be changed."""
INTERRUPTED = "interrupted"
"""The reason of a rollback that completes an interrupted run."""
STATES = ("converged", "waiting", "blocked", "invalid", "failed")
"""The states of interfaces after a pass."""
NOT_AS_DESIRED = ("failed", "invalid", "blocked")
"""Those of an interface that is not as desired."""
OTHER = "other"
"""Stands for any word that is in no set."""
REASONS = frozenset(
    {
        *FAILURES,
        *("new", "changed", "drift", "adopt", "orphan", "purge", "converged"),
        *("not-plugged-in", "no-carrier", "no-lease"),
        *("in-use", "address-in-use", "ambiguous", "mac-changed", "name-taken", "incomplete-read"),
        *("bad-value", "ambiguous-subnet", "bad-cidr", "address-outside-cidr", "bad-options"),
        *("unusable-address", "duplicate-mac", "no-free-slot", "mtu-out-of-range"),
        *("unsupported-option", "table-in-use", "overruled", "backing-off"),
        *("hosts-disagree", "one-host-only", "deletion-fuse", "fleet-brake"),
        *("held", "not-selected"),
        *("other-node", "other-database", "ambiguous-node"),
    }
)
"""Every reason that an interface can have."""

TOTALS: Mapping[str, tuple[str, ...] | None] = MappingProxyType(
    {
        "passes": tuple(word for word in OUTCOMES if word != "locked"),  # then there was no full pass
        "durations": (*BUCKET_NAMES, "sum"),
        "changes": KINDS,
        "failures": FAILURES,
        "drift": DRIFTING,
        "rollbacks": (*RESTORED, INTERRUPTED),
        "given_back": THINGS,
        "request_errors": None,
        "request_seconds": None,
        "request_durations": None,  # with the name of a bucket and a space before the host
    }
)
"""What is counted → the values of its label; None: the hosts of database.url."""
TIMES = ("pass", "look", "success")
"""Of which passes the last time is kept: of any, of one that read the database, of one that left all well."""

Totals = Mapping[str, Mapping[str, float]]
"""What is counted → value of its label → how often, or how many seconds."""


@dataclass(frozen=True)
class Counts:
    """What is kept from one full pass to the next, also over a reboot."""

    totals: Totals = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    """TIMES → Unix time."""
    trouble: str = ""
    """Why the textfile could not be written; "" if it was."""


def host_of(name: str, label: str) -> str:
    """Return the host in the label of a total that has hosts."""
    return label.partition(" ")[2] if name == "request_durations" else label


def bucket_of(seconds: float) -> str:
    """Return the name of the smallest bucket that holds a duration."""
    return next(
        (name for limit, name in zip(BUCKETS, BUCKET_NAMES, strict=False) if seconds <= limit), "+Inf"
    )
