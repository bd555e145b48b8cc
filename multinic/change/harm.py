"""Harm of a change outside its targets: to other links, and to the connectivity of the host."""

from __future__ import annotations

import time
from collections.abc import Callable

from multinic.change.give_back import give_back
from multinic.decide import witness
from multinic.decide.witness import Loss
from multinic.host.log import Log
from multinic.kernel import reach
from multinic.kernel.links import Links
from multinic.kernel.observe import surroundings
from multinic.values.errors import HostError
from multinic.values.observed import Surroundings

_RELAPSE = 1.0  # seconds: a program that takes something away from a link does it again within this time


def reason_to_undo(
    links: Links,
    log: Log,
    others: Callable[[], Surroundings],
    reached: reach.Reached,
    given_back: list[Loss],
) -> tuple[str, str] | None:
    """Return why everything must be restored (reason code and sentence); None if no harm was done.

    `others` returns what bystanders shall have. Their losses are given back first, and added to `given_back`.
    Only if that does not help, the change is undone.
    """
    if lost := _lost(others):
        words, why = "; ".join(map(str, lost)), ""
        log.warning(f"while links were changed, {words}; it is given back", reason="witness")
        given_back += lost
        try:
            give_back(links, lost)
        except HostError as e:
            why = f" ({e})"
        if still := _lost_again(others):
            return "witness", f"{'; '.join(map(str, still))} and could not get it back{why}"
    if moved := reach.moved(reached):
        return "connectivity", moved
    if missing := reach.unanswered(reached):
        return "connectivity", f"{missing} could not be reached any more"
    return None


def _lost_again(others: Callable[[], Surroundings]) -> tuple[witness.Loss, ...]:
    """Return what is lost although it was given back, now or within a second."""
    end = time.monotonic() + _RELAPSE
    while not (still := _lost(others)) and time.monotonic() < end:
        time.sleep(0.05)
    return still


def _lost(others: Callable[[], Surroundings]) -> tuple[witness.Loss, ...]:
    after = surroundings()  # first: who took something away afterwards is no concern of this look
    return witness.losses(others(), after)
