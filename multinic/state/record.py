"""The record: one file, /var/lib/multinic/record.json (0600), replaced atomically and only when it changes.

If it is damaged or missing, only what it remembers is lost: slots then follow from files and links. If a
part of it cannot be read (a later version wrote it, a hand edited it), only that part is lost.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from multinic.decide.naming import name_of, slot_of
from multinic.host.host import Host
from multinic.state.codec import decode, decode_items, decode_parts, encode
from multinic.values.addresses import Mac
from multinic.values.fields import FIELDS
from multinic.values.paths import RECORD
from multinic.values.record import Entry, Record, Rendered

_VERSION = 1


def load_record(host: Host, lost: list[str] | None = None) -> Record:
    """Return the record, without what cannot be read of it; an empty one if the file is missing or damaged.

    What cannot be read is added to `lost`, in words. Raises HostError.
    """
    lost = [] if lost is None else lost
    text = host.read(RECORD)
    if not text:
        return Record()
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise ValueError(f"unknown version {document['version']}")
        links, rendered = document.pop("links", {}), document.pop("rendered", {})
        record: Record = decode_parts(Record, document, lost)
        return replace(
            record,
            entries=decode_items(Mac, _entry, links, lost),
            rendered=decode_items(str, lambda item, _: decode(Rendered, item), rendered, lost),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        lost[:] = ["all of it"]
        return Record()


def _entry(item: Any, lost: list[str]) -> Entry:
    """Return an entry: without a slot it is none, but any other field may be missing."""
    entry: Entry = decode_parts(Entry, item, lost)
    return checked(entry)


def checked(entry: Entry) -> Entry:
    """Return an entry with only those properties that this version knows: their names become parts of paths.

    Raises ValueError for a slot that no link can have.
    """
    if slot_of(name_of(entry.slot)) != entry.slot:
        raise ValueError(f"no link can have slot {entry.slot}")
    known = {field: value for field, value in entry.properties_before.items() if field in FIELDS}
    return entry if known == entry.properties_before else replace(entry, properties_before=known)


def save_record(host: Host, record: Record) -> None:
    """Write the record. Raises HostError."""
    entries, rendered = dict(sorted(record.entries.items())), dict(sorted(record.rendered.items()))
    ordered = replace(record, entries=entries, rendered=rendered)
    document = {"version": _VERSION, **encode(ordered)}
    host.write(RECORD, json.dumps(document, indent=1) + "\n", 0o600)
