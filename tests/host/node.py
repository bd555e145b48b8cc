"""A node that is a booted box."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests import node
from tests.host.nspawn import Box
from tests.mariadb import PrivateMariaDB

_COMMANDS = (
    "/usr/libexec/netplan/generate",
    "/usr/lib/netplan/generate",
    "/usr/bin/networkctl",
    "/usr/bin/nmcli",
    "/usr/bin/udevadm",
    "/usr/sbin/netplan",
)
"""What the program may run on one host or another."""
_LOG = "/tmp/commands"
_SHIM = """#!/bin/sh
echo "$0" "$@" >> {log}
exec {program}.real "$@"
"""


class Node(node.Node):
    """One box with its rows."""

    def __init__(self, box: Box, server: PrivateMariaDB | None = None, *, backend: str = "auto") -> None:
        """Take a clean host; without a `server` its rows are in an SQLite file on it."""
        self.box = box
        if server:
            super().__init__(box, server, backend=backend)
        else:
            box.remove("/srv/shared/*")
            connection = sqlite3.connect(box.shared / "multinic.db", isolation_level=None)
            connection.row_factory = sqlite3.Row
            super().__init__(box, connection, "sqlite:////srv/shared/multinic.db", backend=backend)

    def attach(self, slot: int, *, mtu: int | None = 1450, link: str = "", **values: Any) -> str:
        """Attach port number `slot`: the row and, where `link` names one, the NIC; return its MAC."""
        mac = super().attach(slot, mtu=mtu, **values)
        if link:
            self.box.let_udev_know(slot, mac)
            self.box.plug(link, mac)
        return mac

    def stats(self) -> dict[str, Any]:
        """Return what would give away any change of a file that the program may write."""
        patterns = ("/etc/netplan/*", "/run/systemd/network/*", "/run/udev/rules.d/*")
        patterns += ("/etc/systemd/network/*.*", "/etc/NetworkManager/system-connections/*")
        own = ("/var/lib/multinic/*", "/run/multinic/*", "/etc/multinic/*")
        return {path: self.box.stat(path) for path in self.box.glob(*patterns, *own)}

    def programs(self) -> list[str]:
        """Return the commands that the program may run, of those that this host has."""
        found = self.box.run("find", *_COMMANDS, "-maxdepth", "0", "-type", "f", check=False)
        return sorted(found.stdout.split())

    @contextmanager
    def commands(self) -> Iterator[list[str]]:
        """Collect the commands that are run during the block; the list is filled as it is left."""
        self.box.remove(_LOG)
        programs = self.programs()
        for program in programs:
            self.box.run("mv", program, f"{program}.real")
            self.box.write(program, _SHIM.format(log=_LOG, program=program), 0o755)
        called: list[str] = []
        try:
            yield called
        finally:
            for program in programs:
                self.box.run("mv", f"{program}.real", program)
        if self.box.exists(_LOG):
            called.extend(self.box.read(_LOG).splitlines())
