"""The session with the database that all passes share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from multinic.database import source
from multinic.database.dial import anywhere
from multinic.database.session import Session
from multinic.values.errors import MultinicError, SourceError
from multinic.values.settings import DatabaseSettings

_LASTS = 3600.0  # seconds: then names are resolved again, and a fleet spreads over the hosts behind them
_LASTS_ELSEWHERE = 300.0  # the same for a host that the URL does not name first


class KeptSession:
    """Opens a session when a pass asks for one, and keeps it for the next pass unless it broke."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._session: Session | None = None
        self._since = 0.0
        self.works = False
        """Whether the last pass that asked could use the database."""

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        """Give the session for one pass; an `OpenSession` of flow/reconcile.py."""
        try:
            session = self._fresh()
            yield session
            self.works = True
        except SourceError:
            self.works = False
            self.close()
            raise
        except MultinicError:
            self.works = True  # it was something else
            raise
        except BaseException:
            self.close()  # an answer may be left half read
            raise

    def close(self) -> None:
        """End the session; the next pass opens another."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _fresh(self) -> Session:
        age = time.monotonic() - self._since
        if self._session is not None and age > (_LASTS if self._session.at_first else _LASTS_ELSEWHERE):
            self.close()
        if self._session is None:
            self._session, self._since = source.connect(self._settings), time.monotonic()
        self._session.allowed = anywhere  # a pass that changed links leaves a narrower one
        return self._session
