"""Keep for others what they have on the links of a change: a network service that sets a link up drops it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable

from multinic.change.give_back import by_nearness, give_back_one
from multinic.decide.others import losses_on_targets, others_on
from multinic.decide.witness import Loss
from multinic.host.log import Log
from multinic.kernel import observe
from multinic.kernel.links import Links
from multinic.values.errors import HostError
from multinic.values.observed import Surroundings
from multinic.values.plan import Interface

_BEGIN = 1.0  # seconds: a service begins some milliseconds after it was told, on a busy host later
_END = 0.3  # seconds: it drops all that it does not know of a link at once
_MOMENT, _ROUNDS = 0.01, 10  # seconds; how often it is waited for more to go
_TRIES = 3  # a service drops a thing once as it sets a link up; who drops it more often means it


class Kept:
    """What others had on the links of a change when it began."""

    def __init__(
        self,
        links: Links,
        log: Log,
        interfaces: Iterable[Interface],
        around: Surroundings,
        withdrawn: Callable[[], Collection[Hashable]],
        given_back: list[Loss],
    ) -> None:
        """Look at what they have. What is given back is added to `given_back`, each thing once."""
        self._links, self._log, self._withdrawn = links, log, withdrawn
        self._given_back = given_back
        self._targets = {i.link.index: i for i in interfaces if i.link is not None}
        found = (others_on(interface, around) for interface in self._targets.values())
        self._others = [others for others in found if others is not None]
        self._reread = any(interface.files for interface in self._targets.values())
        """Whether a service may set up a link again."""
        self._given: Counter[Loss] = Counter()
        self._refused: dict[Loss, HostError] = {}

    def give_back(self, *, early: bool) -> bool:
        """Give back what is lost now; return whether anything was.

        `early`: not what may come back too soon. The first address of a subnet is the one that the kernel
        sends from: that is the row's, once it is there.
        """
        if not self._others:
            return False
        lost = self._all_lost(early=early)
        for loss in by_nearness(lost):
            if not self._given[loss]:
                name = loss.link.name if loss.link else ""
                words = f"{loss.what} of another program went as the link was set up, and is given back"
                self._log.info(f"{name}: {words}", interface_name=name)
                self._given_back.append(loss)
            self._given[loss] += 1
            try:
                give_back_one(self._links, loss)
                self._refused.pop(loss, None)
            except HostError as e:
                self._refused[loss] = e
        return bool(lost)

    def _all_lost(self, *, early: bool) -> list[Loss]:
        """Return what is lost, and what goes with it at the same moment.

        What goes first and is back before the rest goes would change its place among the addresses.
        """
        lost: list[Loss] = []
        for attempt in range(_ROUNDS):
            before, lost = lost, [loss for loss in self._lost() if not (early and self._is_too_early(loss))]
            if lost == before:
                break
            if attempt < _ROUNDS - 1:
                time.sleep(_MOMENT)
        return lost

    def hopeless(self) -> dict[str, str]:
        """Give back until nothing goes any more; return the interfaces where that fails: key → words.

        If the kernel no longer accepts a route, because its gateway was in a subnet that the row has lost,
        that is logged, and is no failure.
        """
        end = time.monotonic() + (_BEGIN if self._reread and not self._given else _END)
        while self._others:
            if self.give_back(early=False) and max(self._given.values()) <= _TRIES:
                end = time.monotonic() + _END
            if time.monotonic() > end or not self._reread:
                break
            time.sleep(0.03)
        failed: dict[str, str] = {}
        for loss in self._lost() if self._others else ():
            refused = self._refused.get(loss)
            words = f"{loss} and could not get it back" + (f" ({refused})" if refused else "")
            if loss.route is not None and refused is not None:
                self._log.warning(words, reason="witness")
            elif loss.link is not None:
                failed.setdefault(self._targets[loss.link.index].key, words)
        return failed

    def _lost(self) -> tuple[Loss, ...]:
        with_routes = any(others.routes for others in self._others)
        now = observe.surroundings() if with_routes else Surroundings(observe.links(), (), ())
        lost = losses_on_targets(self._others, now)
        return losses_on_targets(self._others, now, self._withdrawn()) if lost else lost

    def _is_too_early(self, loss: Loss) -> bool:
        if loss.link is None or loss.route is not None:
            return True
        wish = self._targets[loss.link.index].desired
        present = {found.address for found in loss.link.addresses}
        missing = {address.network for address in wish.addresses if address not in present} if wish else set()
        return loss.address is not None and loss.address.address.network in missing
