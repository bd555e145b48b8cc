"""A node as an operator sees it: a booted host, its database in the cloud, ports that are attached."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.host.nspawn import Box
from tests.mariadb import PrivateMariaDB
from tests.schemas import CONTROLLER, execute

COMMANDS = ("/usr/libexec/netplan/generate", "/usr/bin/networkctl", "/usr/bin/udevadm", "/usr/sbin/netplan")
"""What the program may run on such a host."""
_LOG = "/tmp/commands"
_SHIM = """#!/bin/sh
echo "$0" "$@" >> {log}
exec {program}.real "$@"
"""


class Node:
    """One host with its rows."""

    def __init__(self, box: Box, server: PrivateMariaDB) -> None:
        self.box = box
        self.server = server
        self.database = server.fresh_database()
        self.connection = server.connect(database=self.database, autocommit=True)
        CONTROLLER.create(self.connection)
        url = f"mysql://multinic@{box.gateway}:{server.port}/{self.database}"
        self.configure(
            f'verify_timeout = "4s"\n[database]\nurl = "{url}"\npassword_file = "/etc/multinic/password"\n'
        )
        box.write("/etc/multinic/password", "hush-hush\n", 0o600)

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
        own = ("/var/lib/multinic/*", "/run/multinic/*", "/etc/multinic/*")
        return {path: self.box.stat(path) for path in self.box.glob(*patterns, *own)}

    @contextmanager
    def commands(self) -> Iterator[list[str]]:
        """Collect the commands that are run during the block; the list is filled as it is left."""
        self.box.remove(_LOG)
        for program in COMMANDS:
            self.box.run("mv", program, f"{program}.real")
            self.box.write(program, _SHIM.format(log=_LOG, program=program), 0o755)
        called: list[str] = []
        try:
            yield called
        finally:
            for program in COMMANDS:
                self.box.run("mv", f"{program}.real", program)
        if self.box.exists(_LOG):
            called.extend(self.box.read(_LOG).splitlines())


def mac_of(slot: int) -> str:
    """Return the MAC address of port number `slot`."""
    return f"fa:16:3e:00:00:{slot:02x}"
