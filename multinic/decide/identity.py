"""Whether the record was made for this node and this database. Pure.

If a host has another name for a while (DHCP, cloud-init that comes late, `localhost`), or asks another
database, it finds no rows, or those of another node. That is no reason to remove anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from multinic.decide.safety import Block
from multinic.values.record import Record

OTHER_NODE, OTHER_DATABASE = "other-node", "other-database"
_CONFIRM = "if that is right, say so once: `multinic apply --accept-identity`"


@dataclass(frozen=True, slots=True)
class Identity:
    """The name of this node, and the database that it asks, as `source.identity` returns it."""

    node: str = ""
    database: str = ""
    node_is_configured: bool = False
    """Whether an operator has set the name; then a change of it is no doubt."""


def doubt(record: Record, identity: Identity) -> Block | None:
    """Return why nothing may be removed; None if the record was made for this identity."""
    if not record.entries:
        return None
    if record.node and not identity.node_is_configured and _folded(record.node) != _folded(identity.node):
        words = f"this host is called {identity.node}; its interfaces are those of {record.node}"
        return Block(OTHER_NODE, f"{words}; {_CONFIRM}")
    if record.database and not _same_database(record.database, identity.database):
        words = f"the database is {identity.database}; the interfaces are from {record.database}"
        return Block(OTHER_DATABASE, f"{words}; {_CONFIRM}")
    return None


def _folded(name: str) -> str:
    return name.casefold().removesuffix(".")


def _same_database(one: str, other: str) -> bool:
    """Return whether two databases have the same product and name, and a host in common."""
    (product, name, hosts), (other_product, other_name, other_hosts) = _parts(one), _parts(other)
    return (product, name) == (other_product, other_name) and not hosts.isdisjoint(other_hosts)


def _parts(text: str) -> tuple[str, str, frozenset[str]]:
    product, _, rest = text.partition(" ")
    name, _, hosts = rest.partition(" on ")
    return product, name, frozenset(hosts.split(", "))
