"""Tell systemd how a service goes: sd_notify(3), which is one datagram. Without systemd it sends nothing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from multinic.values.text import printable

_PATIENCE = 1.0  # seconds until a full queue of systemd's is given up


class Supervisor:
    """The systemd that started this process, if it did."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self.watchdog = _watchdog(environment) if self._path else 0.0
        """Seconds after which systemd kills a service that gave no sign of life; 0: it never does."""
        self._limit = self.watchdog
        self._fed = 0.0

    def ready(self, status: str) -> None:
        """Say that the service works now, after its start or after `reloading`."""
        self._send(f"READY=1\nSTATUS={printable(status)}")

    def reloading(self) -> None:
        """Say that the service reads its settings again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reading the settings")

    def status(self, text: str) -> None:
        """Give `systemctl status` a line."""
        self._send(f"STATUS={printable(text)}")

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1\nSTATUS=ending")

    def alive(self, limit: float) -> None:
        """Feed the watchdog, which then waits for `limit` seconds if that is longer than usual."""
        if not self.watchdog:
            return
        limit, now = max(limit, self.watchdog), time.monotonic()
        if limit != self._limit:
            self._send(f"WATCHDOG_USEC={int(limit * 1_000_000)}\nWATCHDOG=1")
        elif now - self._fed >= self.watchdog / 4:
            self._send("WATCHDOG=1")
        else:
            return
        self._limit, self._fed = limit, now

    def _send(self, message: str) -> None:
        if not self._path:
            return
        address = f"\0{self._path[1:]}" if self._path.startswith("@") else self._path
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_PATIENCE)
            sender.sendto(message.encode(), address)


def _watchdog(environment: Mapping[str, str]) -> float:
    try:
        if int(environment.get("WATCHDOG_PID", os.getpid())) == os.getpid():
            return max(0, int(environment.get("WATCHDOG_USEC", "0"))) / 1_000_000
    except ValueError:
        pass
    return 0.0
