"""A fleet: booted hosts of two distributions, and one database for all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import ansible
from tests.host.kinds import BOOKWORM, BULLSEYE, NETPLAN
from tests.host.nspawn import Box
from tests.mariadb import PrivateMariaDB
from tests.node import mac_of
from tests.packages import build, older
from tests.proxy import proxy
from tests.schemas import CONTROLLER, execute
from tests.scratch import scratch

KINDS = {"trixie1": NETPLAN, "bookworm1": BOOKWORM, "trixie2": NETPLAN, "bookworm2": BOOKWORM}
PASSWORD = "hush-hush"
# A container has a boot id of its own, mounted over that of the machine. A unit with a /proc of its own sees
# that of the machine, and `multinic rollback` by hand would take its change for one before the last boot.
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Fleet:
    """Hosts, their rows, and a controller with Ansible."""

    def __init__(self, directory: Path, boxes: dict[str, Box], server: PrivateMariaDB) -> None:
        self.directory = directory
        self.boxes = boxes
        self.server = server
        self.database = server.fresh_database()
        self.connection: Any = server.connect(database=self.database, autocommit=True)
        CONTROLLER.create(self.connection)
        self.hosts: dict[str, dict[str, Any]] = {}
        """The inventory."""

    def add(self, name: str, box: Box, port: int) -> None:
        """Put a host into the inventory: it reaches the database by a port of its own."""
        url = f"mysql://multinic@{box.gateway}:{port}/{self.database}"
        self.hosts[name] = {
            "ansible_connection": "box",
            "ansible_become": False,
            "box_leader": box.leader,
            "multinic_database_url": url,
        }

    def attach(self, name: str, slot: int, *, link: str = "", **values: Any) -> None:
        """Insert the row of a port, and plug its NIC in."""
        mac = mac_of(slot)
        row = {
            "address": f"10.5.0.{slot + 10}",
            "mtu": 1450,
            "cidr": "10.5.0.0/24",
            "port_id": f"port-{slot}",
        }
        CONTROLLER.attach(self.connection, mac, node=name, cr_name=f"port-{slot}", **(row | values))
        if link:
            self.boxes[name].let_udev_know(0, mac)
            self.boxes[name].plug(link, mac)

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run one statement as the controller of the cloud."""
        return list(execute(self.connection, statement, *values).fetchall())

    def play(self, name: str, *options: str, hosts: Any = KINDS, **variables: Any) -> ansible.Outcome:
        """Run a playbook over some hosts of the inventory."""
        chosen = {host: self.hosts[host] for host in hosts}
        given = {
            "multinic_password": PASSWORD,
            "multinic_settings": {"verify_timeout": "4s"},
            "multinic_soak": 0,
        }
        done = ansible.playbook(self.directory, name, chosen, *options, **(given | variables))
        assert PASSWORD not in done.said
        return done

    def left(self, name: str) -> list[str]:
        """Return what of ours is on a host."""
        places = (
            "/etc/multinic* /usr/bin/multinic /var/lib/multinic* /var/cache/multinic-packages /run/multinic*"
        )
        return self.boxes[name].glob(
            *places.split(),
            "/etc/netplan/9*",
            "/etc/systemd/system/multinic*",
            "/etc/systemd/system/*/multinic*",
        )

    def version(self, name: str) -> str:
        """Return the installed version."""
        return self.boxes[name].run("multinic", "--version").stdout.split()[-1]


@pytest.fixture(scope="session")
def controller() -> Iterator[Path]:
    """A directory with the collection, installed from its tarball."""
    with scratch("ansible") as directory:
        ansible.installed(directory)
        yield directory


@pytest.fixture(scope="session")
def debs(controller: Path) -> tuple[Path, Path]:
    """The package of this checkout, and one of a version before it; both under the names of builds."""
    new = build("deb", controller)
    old = older(new, controller)
    named = controller / new.name.replace(new.name.split("_")[1], "0.0.9")
    old.rename(named)
    return named, new


@pytest.fixture(scope="session")
def fleet(controller: Path) -> Iterator[Fleet]:
    """Four hosts that have nothing of ours, one that is too old, and one that is switched off."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        server = stack.enter_context(PrivateMariaDB())
        server.start()
        kinds = {**KINDS, "bullseye1": BULLSEYE}
        boxes = {name: Box(dataclasses.replace(kind), hostname=name) for name, kind in kinds.items()}
        for box in boxes.values():
            stack.push(box)
        list(pool.map(Box.__enter__, boxes.values()))
        server.create_user("multinic", PASSWORD, ["SELECT, UPDATE ON *.*"])
        fleet = Fleet(controller, boxes, server)
        for name, box in boxes.items():
            box.remove("/usr/local/bin/multinic", "/etc/multinic-coverage.ini")
            box.run("umount", BOOT_ID)
            way = stack.enter_context(proxy(server.socket, prefix=box.cloud_prefix, address=box.gateway))
            fleet.add(name, box, way.port)
        fleet.hosts["gone"] = {**fleet.hosts["trixie1"], "box_leader": 0}
        yield fleet
