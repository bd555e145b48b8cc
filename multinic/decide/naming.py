"""Which MAC address has which slot: decided for the whole host at once, and stable."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache

from multinic.values.addresses import Mac
from multinic.values.observed import Observed, ObservedLink
from multinic.values.record import Entries

PREFIX = "multinic"
_NAME = re.compile(r"multinic(0|[1-9][0-9]{0,3})")
_ANY_MAC = re.compile(r"(?<![0-9A-Fa-f:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f:-])")


def name_of(slot: int) -> str:
    """Return the link name of a slot: multinicN."""
    return f"{PREFIX}{slot}"


@lru_cache(maxsize=4096)  # a plan of 64 interfaces asks 15,000 times
def slot_of(name: str) -> int | None:
    """Return the slot of a link name, or None if the name is not one of ours."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def slot_of_link(link: ObservedLink) -> int | None:
    """Return the slot whose name a link has; None for other names, and for a bridge that has one of ours."""
    return None if link.stacked else slot_of(link.name)


def assign(
    wanted: Collection[Mac], held: Mapping[Mac, int], reserved: Iterable[int], slots: int
) -> dict[Mac, int]:
    """Give every wanted MAC address a slot; one that holds a slot keeps it, even above `slots`.

    Free slots below `slots` are given lowest first, to MAC addresses in their order. Slots of MAC addresses
    that are not wanted come last: they are about to become free. No new MAC address gets a `reserved` slot.
    If no slot is left for a MAC address, it is missing from the result.
    """
    assigned: dict[Mac, int] = {}
    taken = set(reserved)
    for mac in sorted(wanted):
        # If two MAC addresses claim one slot (a damaged record), the first keeps it and the other moves.
        if mac in held and held[mac] not in assigned.values():
            assigned[mac] = held[mac]
    taken.update(assigned.values())
    leaving = {slot for mac, slot in held.items() if mac not in wanted}
    free = [slot for slot in range(slots) if slot not in taken]
    free.sort(key=lambda slot: (slot in leaving, slot))
    for mac in sorted(set(wanted) - assigned.keys()):
        if not free:
            break
        assigned[mac] = free.pop(0)
    return assigned


def merge_claims(*sources: Mapping[Mac, int]) -> dict[Mac, int]:
    """Combine claims to slots, the most trusted source first; the first claim to a slot counts."""
    held: dict[Mac, int] = {}
    for source in sources:
        for mac, slot in sorted(source.items()):
            if mac not in held and slot not in held.values():
                held[mac] = slot
    return held


def holders(
    observed: Observed, entries: Entries, named: Collection[Mac], slot_of_file: Callable[[str], int | None]
) -> dict[Mac, int]:
    """Return which MAC address holds which slot: by the record, then by managed files, then by link names.

    So a slot survives a lost record, and a link that was renamed by hand gets its own name back. `named`
    are the MAC addresses in rows: of the two addresses of a link, the one in a row counts.
    """
    in_files: dict[Mac, int] = {}
    for path, text in sorted(observed.files.items()):
        slot, mac = slot_of_file(path), mac_in(text)
        if slot is not None and mac is not None:
            in_files.setdefault(mac, slot)
    live: dict[Mac, int] = {}
    for link in observed.links:
        slot, mac = slot_of_link(link), link.permanent_mac or link.mac
        if mac not in named and link.mac in named:
            mac = link.mac
        if slot is not None and mac is not None:
            live.setdefault(mac, slot)
    # The name of a link with a row counts more than a file whose MAC address no row names any more.
    asked_for = {mac: slot for mac, slot in in_files.items() if mac in named}
    return merge_claims({mac: entry.slot for mac, entry in entries.items()}, asked_for, live, in_files)


def mac_in(text: str) -> Mac | None:
    """Return the first MAC address in the text of a managed file; None if there is none."""
    match = _ANY_MAC.search(text)
    try:
        return Mac(match[0]) if match else None
    except ValueError:
        return None
