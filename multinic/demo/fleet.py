"""A fleet that does not exist: its nodes write what real ones would write, and things go wrong.

The controller's tables are filled too. Everything follows from a number, so that two runs look the same.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

from multinic import __version__
from multinic.database import schema, source, status
from multinic.database.session import Session
from multinic.database.status import News
from multinic.database.tables import INTERFACE, NODE
from multinic.demo.nodes import Interface, Node
from multinic.values.history import Kind
from multinic.values.settings import DatabaseSettings

SUBNETS = 8
_LONG = 800_000
"""Seconds for which most have been as they are: more than a week."""
STEP = 3.0
"""Seconds from one thing that happens to the next."""
_VERSIONS = (__version__, __version__, __version__, "0.9.4")
_BACKENDS = ("netplan", "netplan", "netplan", "networkd", "networkmanager", "wicked")
_BAD = {
    "not-converged": ("failed", "the kernel has no address {address} after 10 s; restored as it was"),
    "activation-failed": ("failed", "networkctl reload ended with 1; restored as it was"),
    "duplicate-address": ("failed", "{address}: 52:54:00:12:34:56 has this address already"),
    "bad-cidr": ("invalid", "multi_subnet.cidr: '10.40.0.0/33' is no network"),
    "address-outside-cidr": ("invalid", "address {address} is not in the network of its subnet"),
    "in-use": ("blocked", "eth1 carries the default route"),
}
_NOT_YET = {
    "not-plugged-in": "no link with this MAC address is plugged in yet",
    "no-carrier": "the link has no carrier",
}


class Fleet:
    """Nodes in a database, which live on with each `step`."""

    def __init__(
        self,
        settings: DatabaseSettings,
        nodes: int = 200,
        *,
        interfaces: tuple[int, int] = (2, 6),
        seed: int = 7,
    ) -> None:
        """Make the tables, and fill them. Raises ConfigError and SourceError.

        `interfaces`: how many a node has, at least and at most.
        """
        for _ in schema.init(settings):
            pass
        self._random = random.Random(seed)  # noqa: S311 - a play, no secret
        self._database = source.connect(settings)
        if self._database.product == "sqlite":  # its readers shall not wait for us, and nothing need last
            self._database.execute("PRAGMA journal_mode = WAL", ())
            self._database.execute("PRAGMA synchronous = OFF", ())
        self._nodes = list(self._made(nodes, interfaces))
        self._fill()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @property
    def database(self) -> Session:
        """The connection of the play."""
        return self._database

    def step(self) -> None:
        """Let some things happen: a few nodes fail, a few recover, one is quiet, most give a sign of life."""
        chosen = self._random
        now = time.time()
        for node in chosen.sample(self._nodes, max(1, len(self._nodes) // 10)):
            if not node.silent:
                status.beat(self._database, node.name)
        for node in chosen.sample(self._nodes, 2):
            self._go_wrong(node, now)
        bad = [node for node in self._nodes if node.error or node.bad]
        for node in chosen.sample(bad, min(len(bad), 2)):
            self._recover(node, now)
        for node in self._nodes:
            if node.happened or node.changed:
                self._tell(node, now)

    def _made(self, number: int, slots: tuple[int, int]) -> Iterator[Node]:
        chosen, row_id = self._random, 0
        for at in range(number):
            interfaces = []
            for slot in range(chosen.randint(*slots)):
                row_id += 1
                subnet = chosen.randrange(SUBNETS)
                interfaces.append(
                    Interface(
                        number=slot,
                        row_id=row_id,
                        port_id=f"{row_id:08x}-cafe-4000-8000-{chosen.randrange(2**48):012x}",
                        mac=f"fa:16:3e:{row_id >> 16 & 255:02x}:{row_id >> 8 & 255:02x}:{row_id & 255:02x}",
                        address=f"10.{40 + subnet}.{row_id // 200 % 250}.{row_id % 200 + 10}/16",
                    )
                )
            name = f"worker-{'abcdefgh'[at % 8]}{at // 8 + 1:03}"
            yield Node(name, chosen.choice(_VERSIONS), chosen.choice(_BACKENDS), interfaces)

    def _fill(self) -> None:
        self._write_rows()
        now = time.time()
        for at, node in enumerate(self._nodes):
            if at % 12 == 5:
                self._go_wrong(node, now - self._random.randrange(60, 80_000))
            if at % 17 == 3:
                self._begin(node, node.interfaces[-1], now)
                node.interfaces[-1].become("waiting", *self._random.choice(list(_NOT_YET.items())))
            for _ in range(self._random.randrange(3)):
                one = self._random.choice(node.interfaces)
                node.happen(Kind.CREATED, now - self._random.randrange(600, 86_000), one)
            node.changed = list(node.interfaces)
            self._tell(node, now)
            self._age(node, at)

    def _write_rows(self) -> None:
        mark = self._database.placeholder
        with self._database.transaction():
            for at in range(SUBNETS):
                values = (_subnet(at), f"{'storage' if at % 2 else 'tenant'}-{at}", f"10.{40 + at}.0.0/16")
                text = "INSERT INTO multi_subnet (subnet_id, subnet_name, cidr) VALUES"
                self._database.execute(f"{text} ({mark}, {mark}, {mark})", values)
            columns = ("id", "port_id", "subnet_id", "macaddress", "address", "mtu", "attached_node_name")
            text = f"INSERT INTO multi_interface ({', '.join(columns)}) VALUES ({', '.join([mark] * 7)})"  # noqa: S608
            for node in self._nodes:
                for one in node.interfaces:
                    address, _, _ = one.address.partition("/")
                    subnet = _subnet(int(address.split(".")[1]) - 40)
                    row = (one.row_id, one.port_id, subnet, one.mac, address, 1500, node.name)
                    self._database.execute(text, row)

    def _age(self, node: Node, at: int) -> None:
        """Let a node have been as it is for some time, and some be silent for long."""
        mark = self._database.placeholder
        ago = status.AGO[self._database.product].format(mark)
        node.silent = at % 41 == 20
        seen = self._random.randrange(2000, 40_000) if node.silent else self._random.randrange(200)
        since = self._random.randrange(3_000, 90_000)
        text = f"UPDATE {NODE} SET last_seen = {ago}, since = {ago} WHERE node = {mark}"  # noqa: S608
        self._database.execute(text, (seen, max(since, seen), node.name))
        old = f"CASE WHEN state = 'converged' THEN {ago} ELSE {ago} END"
        text = f"UPDATE {INTERFACE} SET since = {old} WHERE node = {mark}"  # noqa: S608
        self._database.execute(text, (_LONG, max(since, seen), node.name))

    def _go_wrong(self, node: Node, now: float) -> None:
        if node.silent:
            return
        if self._random.random() < 0.15:
            node.error = "mysql db1:3306/multinic: the connection was lost or did not answer in time"
            node.happen(Kind.OUTAGE, now)
            return
        one = self._random.choice(node.interfaces)
        self._begin(node, one, now)
        reason = self._random.choice(list(_BAD))
        state, message = _BAD[reason]
        kind = {"failed": Kind.FAILED, "invalid": Kind.INVALID, "blocked": Kind.BLOCKED}[state]
        one.become(state, reason, message)
        node.changed.append(one)
        node.happen(kind, now, one)

    def _recover(self, node: Node, now: float) -> None:
        if node.error:
            node.error = ""
            node.happen(Kind.OVER, now)
        for one in node.bad:
            one.become("converged", "converged", "as desired")
            node.changed.append(one)
            node.happen(Kind.REPAIRED, now, one)

    def _begin(self, node: Node, one: Interface, now: float) -> None:
        """Let an interface that is to become interesting have been made long ago."""
        if not one.begun:
            one.begun = True
            node.happen(Kind.CREATED, now - _LONG, one)

    def _tell(self, node: Node, now: float) -> None:
        interfaces = {one.mac: one.values for one in node.changed}
        node.happened.sort(key=lambda event: event.number)
        status.write(self._database, node.name, News(node.values, interfaces, (), node.happened, now))
        node.changed, node.happened = [], []


def _subnet(at: int) -> str:
    return f"{at:08x}-5b1e-4000-8000-00000000{at:04x}"


def play(settings: DatabaseSettings, over: threading.Event) -> None:
    """Make a fleet, and let things happen every few seconds until it is over."""
    with Fleet(settings) as fleet:
        while not over.wait(STEP):
            fleet.step()
