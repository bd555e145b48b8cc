"""Set properties of a link one by one: as a plan has them, or as they were before."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from multinic.host.host import Host
from multinic.kernel import ethtool, properties
from multinic.kernel.links import Links
from multinic.values.errors import HostError
from multinic.values.fields import FIELDS, OFFLOAD
from multinic.values.observed import ObservedLink
from multinic.values.plan import Change


def set_changed(host: Host, links: Links, link: ObservedLink, name: str, changes: Iterable[Change]) -> None:
    """Make the changes of properties; `name` is the present name of the link. Raises HostError."""
    for change in changes:
        if change.field in FIELDS:
            _set(host, links, link.index, name, change.field, str(change.new))


def restore_properties(host: Host, links: Links, link: ObservedLink, before: Mapping[str, str]) -> None:
    """Set those properties that differ from `before`: field → text. Raises HostError."""
    present = properties_of(link, before)
    for field, value in before.items():
        if field in present and present[field] != value:
            _set(host, links, link.index, link.name, field, value)


def _set(host: Host, links: Links, index: int, name: str, field: str, value: str) -> None:
    if field == "txqueuelen":
        links.txqueuelen(index, name, int(value))
    elif field == "description":
        links.alias(index, name, value)
    elif field.startswith(OFFLOAD):
        offload = field.removeprefix(OFFLOAD)
        with host.effect(f"set offload {offload} of {name} to {value}"):
            try:
                ethtool.put(name, offload, on=value == "on")
            except OSError as e:
                words = f"cannot set offload {offload} of {name} to {value}: {os.strerror(e.errno or 0)}"
                raise HostError(words, "leave it out of options.ethtool") from e
    else:
        host.sysctl(properties.sysctl_path(name, field), value)


def properties_of(link: ObservedLink, fields: Iterable[str]) -> dict[str, str]:
    """Return the values of `fields` that a link has: field → text. Raises HostError."""
    found = {"txqueuelen": str(link.txqueuelen), "description": link.alias}
    found |= properties.read(link.name, fields)
    return {field: found[field] for field in fields if field in found}
