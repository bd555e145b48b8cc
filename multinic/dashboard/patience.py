"""HTTP as uvicorn speaks it, with an end to the wait for a request: a silent client keeps no place."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 5.0
"""For the head of a request, from the connection or from its first byte; uvicorn itself has no such limit."""


class Patience(H11Protocol):  # type: ignore[misc]
    """A connection that is closed if no whole request comes."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._answering:
            self._forget()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(SECONDS, self._give_up)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self._answering:
            self.transport.close()
