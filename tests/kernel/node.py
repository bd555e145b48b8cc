"""A node for the tests: a namespace with links, a database, a root directory of its own, and the program in
it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mariadb import PrivateMariaDB
from tests.namespaces import Event, Namespace
from tests.schemas import CONTROLLER, Schema, execute
from tests.snapshot import Snapshot, take

ROOT = Path(__file__).parents[2]


def mac_of(number: int) -> str:
    """Return the MAC address of the test's n-th port."""
    return f"fa:16:3e:00:00:{number:02x}"


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until `condition` holds; fail when it never does. Both cores may be busy with other things."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never came true"
        time.sleep(0.01)


class Node:
    """One node; everything that `multinic` writes is below `root`, everything it changes in `namespace`."""

    backend = "netlink"
    probes = False
    """Whether a pass asks the network whether another machine has a new address: that takes 0.2 s of it."""

    def __init__(self, namespace: Namespace, directory: Path, schema: Schema = CONTROLLER) -> None:
        self.namespace = namespace
        self.root = directory / "root"
        self.root.mkdir()
        self.directory = directory
        self.settings = directory / "multinic.toml"
        self.settings.touch(0o644)  # an empty file, and never the one of the machine
        self.schema = schema
        self.url = f"sqlite:///{directory / 'multinic.db'}"
        self.connection: Any = sqlite3.connect(directory / "multinic.db", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        schema.create(self.connection)

    def provide(self, count: int) -> None:
        """Attach ports 1 to `count` and plug their links in, as eth1 and so on."""
        for number in range(1, count + 1):
            self.attach(number, f"10.0.0.{number + 10}", 1400 + number)
            self.namespace.plug(f"eth{number}", mac_of(number))

    def use(self, server: PrivateMariaDB, url: str, database: str) -> None:
        """Keep the rows in a MariaDB from now on."""
        self.connection.close()
        self.url = url
        self.connection = server.connect(database=database)
        self.schema.create(self.connection)

    # The database's side.

    def attach(self, number: int, address: str | None = None, mtu: int | None = None, **values: Any) -> int:
        """Insert the row of the n-th port and return its id."""
        return self.schema.attach(
            self.connection, values.pop("macaddress", mac_of(number)), address=address, mtu=mtu, **values
        )

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Run one statement; its values are marked by %s."""
        return list(execute(self.connection, statement, *values).fetchall())

    def detach(self, number: int) -> None:
        """Delete the row of the n-th port."""
        self.sql("DELETE FROM multi_interface WHERE macaddress = %s", mac_of(number))

    def flags(self) -> dict[str, int | None]:
        """Return `netplan_success` by MAC."""
        rows = self.sql("SELECT macaddress, netplan_success FROM multi_interface ORDER BY id")
        return {row["macaddress"]: row["netplan_success"] for row in rows}

    # The host's side.

    def command(self, *arguments: str | os.PathLike[str]) -> list[str]:
        """Return the command line of the program, to be run inside the namespace."""
        where = ["--database-url", self.url, "--node", "node1", "--root", os.fspath(self.root)]
        options = [*where, "--backend", self.backend]
        return [sys.executable, "-m", "multinic", *options, *map(os.fspath, arguments)]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what is added to the environment of the program."""
        ours = {
            "MULTINIC_CONFIG": str(self.settings),
            "MULTINIC_VERIFY_TIMEOUT": "4s",
            "MULTINIC_SAFETY_PROBE_ADDRESSES": str(self.probes).lower(),
        }
        return {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", **ours, **(extra or {})}

    def multinic(
        self, *arguments: str | os.PathLike[str], expect: int | None = 0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the program; `expect` is the status it must end with, None for any."""
        done = self.namespace.run_program(self.command(*arguments), self.environment(env))
        assert "Traceback" not in done.stderr, done.stderr
        if expect is not None:
            assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the program and return its process; the caller ends it."""
        return self.namespace.popen(
            *self.command(*arguments),
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def slow_down(self, number: int) -> None:
        """Make a pass over the n-th port last: the kernel asks its network for a minute about an address."""
        name = (self.link(number) or ("",))[0]
        self.namespace.run("sysctl", "-qw", f"net.ipv6.conf.{name}.dad_transmits=60")
        self.sql(
            "UPDATE multi_interface SET address = 'fd00::5/64', mtu = 1500 WHERE macaddress = %s",
            mac_of(number),
        )

    def speed_up(self, number: int) -> None:
        """Undo `slow_down`, for the pass after."""
        name = (self.link(number) or ("",))[0]
        self.namespace.run("sysctl", "-qw", f"net.ipv6.conf.{name}.dad_transmits=0")

    def take_address(self, number: int) -> None:
        """Let a machine on the n-th port's network have fd00::5, and the port ask for it."""
        self.namespace.cloud.run("ip", "address", "add", "fd00::5/64", "dev", f"port{number}", "nodad")
        self.sql(
            "UPDATE multi_interface SET address = 'fd00::5/64', mtu = 1500 WHERE macaddress = %s",
            mac_of(number),
        )

    def reconcile(self, expect: int | None = 0, **options: Any) -> str:
        """Run one pass and return what it logged."""
        return self.multinic("reconcile", expect=expect, **options).stderr

    def document(self, *arguments: str | os.PathLike[str], expect: int | None = 0) -> dict[str, Any]:
        """Return the JSON document of a command; nothing else may be on stdout."""
        return json.loads(self.multinic("--output", "json", *arguments, expect=expect).stdout)

    def plan(self, expect: int | None = 0) -> dict[str, dict[str, Any]]:
        """Return the interfaces of the plan, by MAC."""
        return {item["mac"]: item for item in self.document("plan", expect=expect)["interfaces"]}

    def links(self) -> dict[str, tuple[str, bool, int, tuple[str, ...]]]:
        """Return MAC → (name, up, mtu, addresses) of every link but lo, sorted addresses of somebody's
        giving."""
        return {
            link["address"]: (
                name,
                "UP" in link["flags"],
                link["mtu"],
                tuple(
                    sorted(
                        f"{info['local']}/{info['prefixlen']}"
                        for info in link["addr_info"]
                        if info["scope"] != "link"
                    )
                ),
            )
            for name, link in self.namespace.links().items()
            if name != "lo"
        }

    def link(self, number: int) -> tuple[str, bool, int, tuple[str, ...]] | None:
        """Return (name, up, mtu, addresses) of the n-th port's link."""
        return self.links().get(mac_of(number))

    def unplug(self, number: int) -> None:
        """Take the n-th port's link away."""
        link = self.link(number)
        assert link is not None
        self.namespace.unplug(link[0])

    def ip(self, *arguments: str) -> None:
        """Change something by hand: `ip ...` inside the namespace."""
        self.namespace.run("ip", *arguments)

    def files(self) -> dict[str, tuple[int, int, bytes]]:
        """Return inode, time and content of every file below the root."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def everything(self, number: int = 1) -> Snapshot:
        """Return all that the kernel says once it is done with what was changed; offloads of one port."""
        self.namespace.settle()
        return take(self.namespace.run, (self.link(number) or ("",))[0])

    def record(self) -> Any:
        """Return what the host remembers of its managed links."""
        return json.loads((self.root / "var/lib/multinic/record.json").read_bytes())["links"]

    @contextmanager
    def events(self) -> Iterator[list[Event]]:
        """Collect what the kernel reports of links, addresses, routes and rules during a block."""
        self.namespace.settle()
        with self.namespace.monitor() as events:
            yield events
