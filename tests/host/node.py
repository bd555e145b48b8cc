"""A node as an operator sees it: a booted host, its database, ports that are attached."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.host.nspawn import Box
from tests.mariadb import PrivateMariaDB
from tests.schemas import CONTROLLER, execute

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


class Node:
    """One host with its rows."""

    def __init__(self, box: Box, server: PrivateMariaDB | None = None, *, backend: str = "auto") -> None:
        """Take a clean host; without a `server` its rows are in an SQLite file on it."""
        self.box = box
        self._server = server
        self.connection: Any
        if server:
            self.database = server.fresh_database()
            self.connection = server.connect(database=self.database, autocommit=True)
            url = f"mysql://multinic@{box.gateway}:{server.port}/{self.database}"
            url += '"\npassword_file = "/etc/multinic/password'
            box.write("/etc/multinic/password", "hush-hush\n", 0o600)
        else:
            box.remove("/srv/shared/*")
            self.connection = sqlite3.connect(box.shared / "multinic.db", isolation_level=None)
            self.connection.row_factory = sqlite3.Row
            url = "sqlite:////srv/shared/multinic.db"
        CONTROLLER.create(self.connection)
        self.configure(f'backend = "{backend}"\nverify_timeout = "4s"\n[database]\nurl = "{url}"\n')

    @property
    def server(self) -> PrivateMariaDB:
        """The database server."""
        assert self._server, "this node's rows are in a file"
        return self._server

    def configure(self, text: str) -> None:
        """Write the program's configuration."""
        self.box.write("/etc/multinic/multinic.toml", text, 0o640)

    def attach(self, slot: int, *, mtu: int | None = 1450, link: str = "", **values: Any) -> str:
        """Attach port number `slot`: the row and, where `link` names one, the NIC; return its MAC."""
        mac = values.pop("macaddress", mac_of(slot))
        address = f"10.5.0.{slot + 10}"
        values = {"address": address, "mtu": mtu, "cidr": "10.5.0.0/24", "port_id": f"port-{slot}"} | values
        CONTROLLER.attach(self.connection, mac.upper(), **values)
        if link:
            self.box.let_udev_know(slot, mac)
            self.box.plug(link, mac)
        return mac

    def detach(self, slot: int) -> None:
        """Delete the row of a port."""
        self.sql("DELETE FROM multi_interface WHERE port_id = %s", f"port-{slot}")

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run one statement as the controller."""
        return list(execute(self.connection, statement, *values).fetchall())

    def flags(self) -> dict[str, int]:
        """Return `netplan_success` of every row, by port."""
        rows = execute(self.connection, "SELECT port_id, netplan_success FROM multi_interface").fetchall()
        return {row["port_id"]: row["netplan_success"] for row in rows}

    def run(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run multinic on the host; `expect` is the status it must end with."""
        done = self.box.multinic(*arguments, check=False)
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def plan(self, *, expect: int = 0) -> dict[str, Any]:
        """Return the plan by interface name (or MAC where there is none)."""
        document = json.loads(self.run("--output", "json", "plan", expect=expect).stdout)
        return {item["name"] or item["mac"]: item for item in document["interfaces"]}

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


def mac_of(slot: int) -> str:
    """Return the MAC address of port number `slot`."""
    return f"fa:16:3e:00:00:{slot:02x}"
