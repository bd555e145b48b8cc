"""A node as an operator sees it: a host that runs, its database, ports that are attached."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.hosts import Host
from tests.mariadb import PrivateMariaDB
from tests.schemas import CONTROLLER, execute


class Node:
    """One host with its rows."""

    def __init__(
        self, host: Host, rows: PrivateMariaDB | Any, url: str = "", *, backend: str = "auto"
    ) -> None:
        """Take a clean host. Its rows are in a new database of a server, or where a connection leads."""
        self.host = host
        self._server: PrivateMariaDB | None = None
        if isinstance(rows, PrivateMariaDB):
            self._server = rows
            self.database = rows.fresh_database()
            self.connection: Any = rows.connect(database=self.database, autocommit=True)
            url = f"mysql://multinic@{host.gateway}:{rows.port}/{self.database}"
            url += '"\npassword_file = "/etc/multinic/password'
            host.write("/etc/multinic/password", "hush-hush\n", 0o600)
        else:
            self.connection = rows
        CONTROLLER.create(self.connection)
        self.configure(f'backend = "{backend}"\nverify_timeout = "4s"\n[database]\nurl = "{url}"\n')

    @property
    def server(self) -> PrivateMariaDB:
        """The database server."""
        assert self._server, "this node's rows are in a file"
        return self._server

    def configure(self, text: str) -> None:
        """Write the program's configuration."""
        self.host.write("/etc/multinic/multinic.toml", text, 0o640)

    def attach(self, slot: int, *, mtu: int | None = 1450, **values: Any) -> str:
        """Insert the row of port number `slot`; return its MAC."""
        mac: str = values.pop("macaddress", mac_of(slot))
        address = f"10.5.0.{slot + 10}"
        values = {"address": address, "mtu": mtu, "cidr": "10.5.0.0/24", "port_id": f"port-{slot}"} | values
        CONTROLLER.attach(self.connection, mac.upper(), **values)
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
        done = self.host.multinic(*arguments, check=False)
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def plan(self, *, expect: int = 0) -> dict[str, Any]:
        """Return the plan by interface name (or MAC where there is none)."""
        document = json.loads(self.run("--output", "json", "plan", expect=expect).stdout)
        return {item["name"] or item["mac"]: item for item in document["interfaces"]}


def mac_of(slot: int) -> str:
    """Return the MAC address of port number `slot`."""
    return f"fa:16:3e:00:00:{slot:02x}"


@contextmanager
def database_server(prefix: Sequence[str], address: str) -> Iterator[PrivateMariaDB]:
    """Run a database server behind `prefix`, with the user that nodes have."""
    with PrivateMariaDB() as server:
        server.start(prefix, address=address)
        server.create_user("multinic", "hush-hush", ["SELECT, UPDATE ON *.*"])
        yield server
