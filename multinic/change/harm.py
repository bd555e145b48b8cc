"""What a change did to what it was not about: the links of others, and what can be reached from the host."""

from __future__ import annotations

import time
from collections.abc import Collection

from multinic import reach, witness
from multinic.configure import give_back
from multinic.errors import HostError
from multinic.links import Links
from multinic.log import Log
from multinic.model import Rule
from multinic.observe import surroundings
from multinic.plan import Interface

REASONS = frozenset({"witness", "connectivity"})
"""Reasons for which everything of a pass is put back, for nobody knows which part did it."""
_RELAPSE = 1.0  # seconds: so soon does what takes something away from a link do it again
_UNDONE = "everything was put back as it was"


def find(
    links: Links,
    log: Log,
    doable: tuple[Interface, ...],
    around: witness.Surroundings,
    reached: reach.Reached,
) -> tuple[str, str] | None:
    """Return why everything must be put back (reason code and sentence); None where no harm is done.

    What others lost is given back first; only where that does not help is our change the price.
    """
    targets = {interface.link.index for interface in doable if interface.link}
    rules = {found.rule for interface in doable for found in interface.stale_rules}
    rules |= {rule for interface in doable if interface.desired for rule in interface.desired.rules}
    if lost := witness.losses(around, surroundings(), targets, rules):
        words, why = "; ".join(map(str, lost)), ""
        log.warning(f"while links were changed, {words}; it is given back", reason="witness")
        try:
            give_back(links, lost)
        except HostError as e:
            why = f" ({e})"
        if still := _lost_again(around, targets, rules):
            return "witness", f"{'; '.join(map(str, still))} and could not get it back{why}; {_UNDONE}"
    if missing := reach.lost(reached):
        return "connectivity", f"{missing} could not be reached any more; {_UNDONE}"
    return None


def _lost_again(
    around: witness.Surroundings, targets: Collection[int], rules: Collection[Rule]
) -> tuple[witness.Loss, ...]:
    """Return what is lost in spite of having been given back, also a moment later."""
    end = time.monotonic() + _RELAPSE
    while not (still := witness.losses(around, surroundings(), targets, rules)) and time.monotonic() < end:
        time.sleep(0.05)
    return still
