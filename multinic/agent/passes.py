"""One pass of the agent: the one of the timer, with a session that lasts, and every error as a value."""

from __future__ import annotations

import os
import time

from multinic.agent.heart import APPLYING, Heart
from multinic.agent.session import KeptSession
from multinic.flow.reconcile import reconcile
from multinic.flow.tables import Kept
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.values.errors import Exit, MultinicError
from multinic.values.passed import ENDED, UNEXPECTED, Passed, reason_of
from multinic.values.settings import Settings

_HANDLING = 60.0  # seconds that a pass may need besides its waits for the database


class Passes:
    """Runs passes with one set of settings."""

    def __init__(
        self, settings: Settings, host: Host, log: Log, heart: Heart, *, count: bool = False
    ) -> None:
        """`count`: full passes keep the counts of metrics on disk."""
        self._settings, self._log, self._heart = settings, log, heart
        self._count = count
        self._host = host.probed(lambda _: heart.beat(APPLYING))
        self.session = KeptSession(settings.database)
        self._tables = Kept()
        hosts = 1 + settings.database.url.partition("?")[0].count(",")
        # Each host may be asked for rows twice, and may take the result, and news for the status tables.
        waits = 4 * hosts * (settings.database.connect_timeout + settings.database.read_timeout)
        self._looking = _HANDLING + waits
        self._last = ""

    def close(self) -> None:
        """Let go of the database and of the kernel."""
        self.session.close()
        self._tables.close()

    def run(self) -> Passed:
        """Run one pass. Raises nothing but what ends the process."""
        self._heart.beat(self._looking)
        full: list[bool] = []
        begun = time.monotonic()
        try:
            status = reconcile(
                self._settings,
                self._host,
                self._log,
                open_session=self.session,
                read_tables=self._tables,
                count=self._count,
                on_full=lambda: full.append(True),
            )
            passed = Passed(status, ENDED.get(status, UNEXPECTED), 0.0, idle=not full)
        except MultinicError as e:
            passed = Passed(e.exit, reason_of(e), 0.0, idle=False, finished=False)
        except Exception as e:  # noqa: BLE001 - the next pass may succeed
            passed = Passed(Exit.ERROR, UNEXPECTED, 0.0, idle=False, finished=False)
            if self._last != UNEXPECTED:
                self._log.error(_words(e), hint=_BUG, reason=UNEXPECTED)
        if full:
            from multinic.kernel.observe import forget  # loaded by that pass

            forget()
        self._last = passed.reason
        return passed._replace(seconds=time.monotonic() - begun)


_BUG = "this is a bug of multinic; report this line"


def _words(error: Exception) -> str:
    """Return an error that is our fault as a sentence, with the place where it happened."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place else ""
    return f"unexpected error: {type(error).__name__}: {error}{where}"
