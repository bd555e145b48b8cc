"""The loop: a pass, then wait until the next one is due, or until something calls for it earlier."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from multinic.agent import memory
from multinic.agent.health import Snapshot
from multinic.agent.heart import WAITING, Heart
from multinic.agent.pace import How, Pace
from multinic.agent.passes import Passes
from multinic.agent.plugged import Plugged
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.host.notify import Supervisor
from multinic.state import agentfile
from multinic.state.record import load_record
from multinic.state.statefile import load_state
from multinic.values.errors import HostError, MultinicError
from multinic.values.passed import LOCKED, NEEDS_A_PERSON, AfterPass, Passed
from multinic.values.paths import STATE
from multinic.values.settings import Settings

_TICK = 10.0  # seconds between two beats while nothing happens
_UNANNOUNCED = {"no-lease"}  # reasons of interfaces that wait for what no event of a link tells


class Configured(NamedTuple):
    """What is read at the start, and again at SIGHUP."""

    settings: Settings
    host: Host
    log: Log


Configure = Callable[[], Configured]
"""Reads the settings. Raises ConfigError."""


class Loop:
    """One agent. All but `seen` and `heart` belongs to the main thread."""

    def __init__(
        self,
        configure: Configure,
        configured: Configured,
        supervisor: Supervisor,
        after_pass: AfterPass | None = None,
    ) -> None:
        self._configure, self._configured = configure, configured
        self._supervisor, self._after_pass = supervisor, after_pass
        self.heart = Heart(supervisor)
        self.seen = Snapshot(time.monotonic())
        """What HTTP answers from; replaced as a whole."""
        self._passes = Passes(*configured, self.heart, count=self._after_pass is not None)
        self._pace = Pace(configured.settings.poll_interval)
        self._plugged = Plugged(configured.host, configured.log)
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._shall_reload = False
        self._trouble: str | None = None
        self._state_file: tuple[int, int] | None = None

    def reload_soon(self) -> None:
        """Read the settings again after the pass at hand; a signal handler may call this."""
        self._shall_reload = True

    def run(self) -> NoReturn:
        """Run passes until an exception of a signal ends the process."""
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._supervisor.ready("before the first pass")
        while True:
            self._plugged.begin()
            self._look_at(passed := self._passes.run())
            if self._after_pass:
                with suppress(Exception):  # counting passes must not end them
                    self._after_pass(passed)
            if not passed.idle:
                memory.give_back()
            self._wait()

    def close(self) -> None:
        """Say good-bye to the database."""
        self._passes.close()

    def _look_at(self, passed: Passed) -> None:
        """Decide when the next pass is due, and renew what HTTP answers from."""
        before = self.seen
        state = self._state(before.state)
        busy = passed.reason == LOCKED
        changed = not passed.idle and state.get("totals") != before.state.get("totals")
        waits = {item["reason"] for item in state.get("interfaces", ())} & _UNANNOUNCED
        now = time.monotonic()
        wait = self._pace.after(_how(passed, unsettled=changed or bool(waits)))
        broken_off = not passed.finished and not busy
        self.seen = Snapshot(
            begun=before.begun,
            last=before.last if busy else passed,
            at=before.at if busy else now,
            next_at=now + wait,
            passes=before.passes + 1,
            broken_off=before.broken_off + broken_off,
            database=self._passes.session.works,
            state=state,
        )
        self._tell(passed)
        if before.last is None or before.last.reason != passed.reason:
            self._supervisor.status(f"last pass: {passed.reason}")
            if broken_off:
                words = f"the pass was broken off ({passed.reason}); the next one begins in {wait:.0f} s"
                self._configured.log.warning(words, reason=passed.reason)

    def _tell(self, passed: Passed) -> None:
        """Say on the host whether a person must act, when that is news."""
        trouble = passed.reason if passed.reason in NEEDS_A_PERSON else ""
        if passed.reason == LOCKED or trouble == self._trouble:
            return
        with suppress(HostError):  # a host on which nothing can be written: the log says so
            agentfile.tell(self._configured.host, trouble)
            self._trouble = trouble

    def _state(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the state document, read again if it has changed: other runs write it, too."""
        host = self._configured.host
        with suppress(OSError, HostError):
            found = os.stat(host.path(STATE))
            identity = (found.st_ino, found.st_mtime_ns)
            if identity != self._state_file:
                before = load_state(host)
                macs = {str(item["mac"]) for item in before.get("interfaces", ())}
                self._plugged.want(macs | {str(mac) for mac in load_record(host).entries})
                self._state_file = identity
        return before

    def _wait(self) -> None:
        """Return when a pass is due, or when something calls for one before that."""
        while True:
            self.heart.beat(WAITING)
            if self._shall_reload:
                self._reload()
                return
            now = time.monotonic()
            due = min(self.seen.next_at, self._plugged.due(now))
            if now >= due:
                self._look_for_settings()
                return
            sources: list[Any] = [self._woken, *self._plugged.sources]
            ready, _, _ = select.select(sources, [], [], min(due - now, _TICK))
            if self._woken in ready:
                with suppress(BlockingIOError):
                    self._woken.recv(100)
                ready.remove(self._woken)
            if ready:
                self._plugged.listen()

    def _look_for_settings(self) -> None:
        """Use other settings as soon as there are any, if those at hand do not do.

        Kubernetes replaces the files of a Secret or ConfigMap, and sends no signal.
        """
        if self._trouble in ("database-refused", "configuration"):
            with suppress(MultinicError):
                if self._configure().settings != self._configured.settings:
                    self._reload()

    def _reload(self) -> None:
        """Use the settings as they are now; where they cannot be used, go on with those from before."""
        self._shall_reload = False
        self._supervisor.reloading()
        try:
            configured = self._configure()
        except MultinicError as e:
            words = f"the settings were not read again: {e}; the old ones stay"
            self._configured.log.error(words, hint=e.hint, reason="configuration")
        else:
            _warn_of_listeners(configured, self._configured.settings)
            self._passes.close()
            self._passes = Passes(*configured, self.heart, count=self._after_pass is not None)
            self._pace.interval = configured.settings.poll_interval
            self._configured = configured
            configured.log.info("the settings were read again")
        self._supervisor.ready("the settings were read again")


def _how(passed: Passed, *, unsettled: bool) -> How:
    if passed.reason == LOCKED:
        return How.BUSY
    if not passed.finished:
        return How.FAILING
    return How.UNSETTLED if unsettled else How.SETTLED


def _warn_of_listeners(configured: Configured, before: Settings) -> None:
    for name in ("listen", "metrics_listen"):
        if getattr(configured.settings, name) != getattr(before, name):
            configured.log.warning(f"agent.{name} has changed; the agent uses it after its next start")
