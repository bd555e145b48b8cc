"""What this host remembers of the links that multinic manages, from one pass to the next.

`key` in the metadata of a field: its key in files, where that is another one (state/codec.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from multinic.values.addresses import Mac
from multinic.values.desired import DesiredLink


@dataclass(frozen=True, slots=True)
class Failure:
    """Failed attempts at one change, so that no pass repeats it too soon."""

    count: int
    retry_at: float
    """Unix time before which the same change is not attempted again."""
    wish: DesiredLink | None
    """The desired link of the attempt; a different one is attempted at once."""
    link: int
    """The index of the link; on another link the change is attempted at once. 0: no link."""
    message: str
    suspect: bool = False
    """It was undone together with others because one of them did harm: so it is attempted alone."""
    carrier: bool | None = None
    """Whether the link had a carrier; if that changes, the change is attempted at once. None: not known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The part of the record about one managed link: its slot, and how the link was before us."""

    slot: int
    port_id: str = ""
    name_before: str = ""
    """The name of the link before we first configured it; the link gets it back when it is freed."""
    mtu_before: int | None = None
    applied: DesiredLink | None = None
    """The configuration that converged last: only what is in it may be removed from the link."""
    failure: Failure | None = None
    """How the last attempts to configure the link failed; None if the last one succeeded."""
    properties_before: Mapping[str, str] = field(default_factory=dict, metadata={"key": "tuning_before"})
    """The properties that we set (fields.py), as they were before: field → text."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The files of one interface as they were rendered last."""

    key: str
    """A digest of everything that the files were made from."""
    files: Mapping[str, str]
    """Path → text."""


Entries = Mapping[Mac, Entry]
"""The entries of the record, by MAC address."""


@dataclass(frozen=True)
class Record:
    """Everything that this host remembers: an entry for each managed link, and files rendered before."""

    entries: Entries = field(default_factory=dict, metadata={"key": "links"})
    rendered: Mapping[str, Rendered] = field(default_factory=dict)
    """By the name of the interface."""
    mass_deletion: int = 0
    """In how many consecutive reads a mass deletion has been seen (safety rule 3)."""
    mass_deletion_since: float = 0.0
    """The Unix time of the first of those reads."""
    node: str = ""
    """The name of the node of the entries; "" in a record of an earlier version."""
    database: str = ""
    """The database that the entries are from (source.identity)."""
