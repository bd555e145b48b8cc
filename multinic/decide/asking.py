"""What a pass must read from the kernel besides links and the main routing table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from multinic.decide import properties
from multinic.decide.routing import uses_routing
from multinic.values.addresses import IPAddress, Mac
from multinic.values.desired import Desired, DesiredLink
from multinic.values.fields import LEFT_BEHIND
from multinic.values.record import Entries


@dataclass(frozen=True)
class Asked:
    """The parts of the kernel that are read only if a row needs them: on most hosts none does."""

    database: IPAddress | None = None
    """Where the database answered: by which link it is reached."""
    routing: bool = False
    """Routes of all tables, and rules."""
    fields: Mapping[Mac, Collection[str]] = field(default_factory=dict)
    """Properties (values/fields.py), by the MAC address of their link."""
    leases: frozenset[Mac] = frozenset()
    """The links whose address may be both that of their row and that of a lease."""


def asked_of_kernel(
    desired: Desired, entries: Entries, of_backend: Callable[[DesiredLink], Mapping[str, str]]
) -> Asked:
    """Return what must be read: the routing and the properties that rows ask for, or once asked for.

    `of_backend`: the properties that the backend leaves to us.
    """
    known = [*desired.links, *(entry.applied for entry in entries.values() if entry.applied)]
    fields: dict[Mac, set[str]] = {}
    for link in known:
        fields.setdefault(link.mac, set()).update(properties.wanted(link, of_backend(link)))
    wanted = {link.mac for link in desired.links}
    for mac in wanted:
        if mac not in entries or entries[mac].applied is None:
            fields[mac].update(LEFT_BEHIND)
    for mac, entry in entries.items():
        of_others = LEFT_BEHIND if mac in wanted else frozenset[str]()
        fields.setdefault(mac, set()).update(entry.properties_before.keys() - of_others)
    return Asked(
        database=desired.database_address,
        routing=any(link.rules or link.routes or uses_routing(link.options) for link in known),
        fields={mac: frozenset(names) for mac, names in fields.items() if names},
        leases=frozenset(
            link.mac
            for link in desired.links
            if link.addresses and (link.options.dhcp4 or link.options.dhcp6)
        ),
    )
