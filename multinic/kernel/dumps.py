"""Dumps of routes that are taken again only if the kernel has announced something since.

A change looks at all routes half a dozen times, and 100,000 of them cost the kernel 30 ms each time. Whatever
changes a routing table is announced, or goes with something that is (announced.py): after any announcement
all dumps are taken anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from multinic.kernel.announced import Announcements
from multinic.kernel.messages import LINK
from multinic.kernel.reader import GET_LINK, GET_ROUTE, Reader, Wanted

_LOOPBACK = 1  # the index of lo, in every network namespace


class _Kept:
    """The dumps of a block, by what was asked for. Raises OSError where the kernel announces nothing."""

    def __init__(self) -> None:
        self._announcements = Announcements()
        self._parts: dict[bytes, list[bytes]] = {}

    def parts(self, request: bytes) -> list[bytes] | None:
        """Return what the kernel answered, if it still would."""
        if self._announcements.have(lambda *_: True):
            self._parts.clear()
        return self._parts.get(request)

    def keep(self, request: bytes, parts: list[bytes]) -> None:
        """Keep an answer, unless something was announced while it came."""
        if self._announcements.have(lambda *_: True):
            self._parts.clear()
        else:
            self._parts[request] = parts

    def close(self) -> None:
        self._announcements.close()


_kept: _Kept | None = None


@contextmanager
def kept() -> Iterator[None]:
    """Keep dumps of routes in the block, in this process; they are not for one that it forks."""
    global _kept  # noqa: PLW0603 - those who look do not know of each other
    try:
        _kept = _Kept()
    except OSError:
        _kept = None
    try:
        yield
    finally:
        if _kept is not None:
            _kept.close()
        _kept = None


class KeepingReader(Reader):
    """A reader that takes dumps of routes from those that are kept."""

    def _parts(self, kind: int, request: bytes, wanted: Wanted | None = None) -> list[bytes]:
        if _kept is None or kind != GET_ROUTE:
            return super()._parts(kind, request, wanted)
        parts = _kept.parts(request)
        if parts is None:
            # The kernel announces first and changes then, and does not lock routes while it dumps them. What
            # was announced is done when this is answered, which takes the lock.
            self._asked(GET_LINK, LINK.pack(0, 0, _LOOPBACK, 0, 0))
            parts = super()._parts(kind, request)
            _kept.keep(request, parts)
        return parts if wanted is None else [part for part in parts if wanted(part)]
