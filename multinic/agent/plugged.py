"""NICs that come, go and change: when a pass shall begin because of them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection

from multinic.agent.pace import Allowance
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.kernel.link_events import LOST, LinkEvents, of_interest

_TOGETHER = 0.02  # seconds after the first event in which others share its pass
_UDEV_PATIENCE = 5.0  # seconds that udev has for a new link
_LOOK_AGAIN = 0.01  # seconds between two looks whether udev is done
_REST = 0.01  # seconds after events that are of no interest: with hundreds a second they come in bunches
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


class Plugged:
    """The events of links that a row names or that are ours."""

    def __init__(self, host: Host, log: Log) -> None:
        self._host = host
        self._wanted = of_interest(())
        self._links: set[int] = set()
        """The links of events that no pass has seen yet."""
        self._since = self._earliest = math.inf
        self._allowance = Allowance(time.monotonic())
        self._events: LinkEvents | None = None
        try:
            self._events = LinkEvents()
        except OSError as e:
            log.warning(f"the kernel tells no events of links ({e.strerror}): NICs wait for the next pass")

    @property
    def sources(self) -> list[LinkEvents]:
        """What to wait for."""
        return [self._events] if self._events else []

    def want(self, macs: Collection[str]) -> None:
        """Look out for links with these MAC addresses; what is none is left out."""
        self._wanted = of_interest(mac for mac in macs if _MAC.fullmatch(mac))

    def begin(self) -> None:
        """Forget all events until now: the pass that begins sees what they told."""
        if self._events:
            self._events.heard(self._wanted)
        self._links.clear()
        self._since = self._earliest = math.inf

    def listen(self) -> None:
        """Take the events that have come."""
        found = self._events.heard(self._wanted) if self._events else set()
        if not found:
            time.sleep(_REST)
        elif not self._links:
            self._since = time.monotonic()
            self._earliest = self._since + max(_TOGETHER, self._allowance.take(self._since))
        self._links |= found

    def due(self, now: float) -> float:
        """Return when a pass shall begin, or at the latest be asked for again; infinite: nothing has come.

        A new link is left to udev first, which is about to rename it.
        """
        if self._links and now < self._since + _UDEV_PATIENCE and any(map(self._is_with_udev, self._links)):
            return max(self._earliest, now + _LOOK_AGAIN)
        return self._earliest

    def _is_with_udev(self, link: int) -> bool:
        """Return whether udev runs on the host and is not done with a new link."""
        if link == LOST or not self._host.present("/run/udev/control"):
            return False
        return not self._host.present(f"/run/udev/data/n{link}")
