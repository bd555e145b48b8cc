"""What the diff takes from settings, backend and earlier passes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from multinic.decide.restraint import Past
from multinic.values.addresses import IPAddress
from multinic.values.desired import DesiredLink

Files = Mapping[str, str]


@dataclass(frozen=True)
class Policy:
    """What the diff takes from settings, backend and earlier passes."""

    backend: str
    max_interfaces: int
    mode: Callable[[str], int]
    """The permission bits of a managed file, by its path."""
    files: Callable[[str, DesiredLink], Files]
    """Render the files of one interface: name and desired link → path → text."""
    slot_of_file: Callable[[str], int | None]
    """The slot of a managed file, by its path; None for a file that is not ours."""
    past: Past = field(default_factory=Past)
    """What earlier passes saw, and what the operator allows."""
    table_base: int = 1000
    """The routing table of slot 0."""
    lacks: Files = field(default_factory=dict)
    """The options that the backend cannot do here: name → why."""
    alone: bool = False
    """Whether no network service keeps the addresses of rows on their links."""
    needs_carrier: bool = False
    """Whether the backend gives a link its addresses, routes and rules only once it has a carrier."""
    properties: Callable[[DesiredLink], Files] = lambda _: {}
    """Return the properties that the backend leaves to us: field → text."""
    without_lldp: Callable[[DesiredLink, Files], Files] = lambda _, files: files
    """Return the files of one interface as an earlier version wrote them: they count as equal."""
    by_permanent_mac: bool = False
    """Whether the backend finds a link only by the permanent MAC address of the card."""
    connected_metric: Mapping[int, int] = field(default_factory=lambda: {4: 0, 6: 256})
    """By IP version, the metric of the route to the network of an address."""
    databases: tuple[IPAddress, ...] = ()
    """The hosts of the database that the settings give as addresses."""
