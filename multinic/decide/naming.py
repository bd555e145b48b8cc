"""Which MAC is called multinicN: decided for the whole host at once, and stable."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from multinic.model import Mac, Observed, Record

PREFIX = "multinic"
_NAME = re.compile(r"multinic(0|[1-9][0-9]{0,3})")
_ANY_MAC = re.compile(r"(?<![0-9A-Fa-f:-])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![0-9A-Fa-f:-])")


def name_of(slot: int) -> str:
    """Return the link name of a slot."""
    return f"{PREFIX}{slot}"


def slot_of(name: str) -> int | None:
    """Return the slot of a link name, or None if the name is not one of ours."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def assign(
    wanted: Collection[Mac], held: Mapping[Mac, int], reserved: Iterable[int], slots: int
) -> dict[Mac, int]:
    """Give every wanted MAC a slot; a MAC that holds one keeps it, even above `slots`.

    Free slots below `slots` are given lowest first, to MACs in their order. Slots held by MACs that are
    not wanted come last: they are about to be freed. `reserved` slots are given to nobody
    new. A MAC for which none is left is missing from the result.
    """
    kept: dict[Mac, int] = {}
    taken = set(reserved)
    for mac in sorted(wanted):
        # Two MACs that claim one slot (a damaged record): the first keeps it, the other moves.
        if mac in held and held[mac] not in kept.values():
            kept[mac] = held[mac]
    taken.update(kept.values())
    leaving = {slot for mac, slot in held.items() if mac not in wanted}
    free = [slot for slot in range(slots) if slot not in taken]
    free.sort(key=lambda slot: (slot in leaving, slot))
    for mac in sorted(set(wanted) - kept.keys()):
        if not free:
            break
        kept[mac] = free.pop(0)
    return kept


def merge(*sources: Mapping[Mac, int]) -> dict[Mac, int]:
    """Combine claims to slots, the most trusted first; a slot claimed twice goes to the first."""
    held: dict[Mac, int] = {}
    for source in sources:
        for mac, slot in sorted(source.items()):
            if mac not in held and slot not in held.values():
                held[mac] = slot
    return held


def held_slots(
    observed: Observed, record: Record, spoken: Collection[Mac], slot_of_file: Callable[[str], int | None]
) -> dict[Mac, int]:
    """Return which MAC holds which slot: our record first, then managed files, then live names.

    So a slot survives a wiped record, and a link renamed by hand gets its own name back. `spoken`
    are the MACs that rows speak of: a link counts by the one of its two that is among them.
    """
    in_files: dict[Mac, int] = {}
    for path, text in sorted(observed.files.items()):
        slot, mac = slot_of_file(path), mac_in(text)
        if slot is not None and mac is not None:
            in_files.setdefault(mac, slot)
    live: dict[Mac, int] = {}
    for link in observed.links:
        slot, mac = slot_of(link.name), link.permanent_mac or link.mac
        if mac not in spoken and link.mac in spoken:
            mac = link.mac
        if slot is not None and mac is not None:
            live.setdefault(mac, slot)
    # A file of which no row speaks any more gives no slot away that a link with a row bears the name of.
    asked_for = {mac: slot for mac, slot in in_files.items() if mac in spoken}
    return merge({mac: held.slot for mac, held in record.items()}, asked_for, live, in_files)


def mac_in(text: str) -> Mac | None:
    """Return the first MAC address in a managed file."""
    match = _ANY_MAC.search(text)
    try:
        return Mac(match[0]) if match else None
    except ValueError:
        return None
