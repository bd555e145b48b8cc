"""The recipes of docs/networking.md: what the page says of the host is on real links."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
import yaml

from tests.kernel.node import Node, mac_of

PAGE = (Path(__file__).parents[2] / "docs/networking.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sql|text|yaml) ([\w-]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = {name: body for kind, name, body in BLOCKS if kind == "sql"}
OUTPUTS = {name: body for kind, name, body in BLOCKS if kind == "text"}
FILES = {name: body for kind, name, body in BLOCKS if kind == "yaml"}


class Reader(Node):
    """Somebody who follows the page: the tables of `db init`, a host with a default route of its own."""

    def follow(self, rows: str) -> None:
        self.settings.write_text('node = "worker-1"\n')
        self.url = f"sqlite:///{self.directory / 'reader.db'}"
        self.multinic("db", "init")
        with sqlite3.connect(self.directory / "reader.db") as database:
            database.executescript(rows)
        self.namespace.plug("eth0", "fa:16:3e:00:00:ee", up=True)
        self.ip("address", "add", "192.0.2.10/24", "dev", "eth0")
        self.ip("route", "add", "default", "via", "192.0.2.1")
        for number in range(1, rows.count("fa:16:3e:") + 1):
            self.namespace.plug(f"eth{number}", mac_of(number), mtu=9000)

    def command(self, *arguments: object) -> list[str]:
        """Return the command line; the node is that of the page."""
        return [word if word != "node1" else "worker-1" for word in super().command(*arguments)]


@pytest.fixture
def reader(namespace, tmp_path):
    made = Reader(namespace, tmp_path)
    yield made
    made.connection.close()


def test_every_recipe_shows_what_the_host_then_has():
    assert set(ROWS) == set(OUTPUTS) | set(FILES)


@pytest.mark.parametrize("recipe", OUTPUTS)
def test_the_host_has_what_the_recipe_shows(reader, recipe):
    reader.follow(ROWS[recipe])
    reader.reconcile()
    reader.namespace.settle()
    for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", OUTPUTS[recipe], re.MULTILINE):
        said = reader.namespace.run(*command.split()).stdout
        assert simple(said) == simple(shown), command


def simple(text: str) -> list[str]:
    """Return lines with single spaces, without what differs by machine: the other end of a veth, a cache."""
    lines = [re.sub(r"@\w+", "", " ".join(line.split())) for line in text.splitlines()]
    return [line.removesuffix(" uid 0") for line in lines if line and line != "cache"]


@pytest.mark.parametrize("recipe", FILES)
def test_netplan_gets_the_file_that_the_recipe_shows(reader, recipe):
    reader.follow(ROWS[recipe])
    reader.backend = "netplan"
    for path in ("usr/libexec/netplan/generate", "run/systemd/units/invocation:systemd-networkd.service"):
        (reader.root / path).parent.mkdir(parents=True)
        (reader.root / path).touch()  # a host with netplan; nothing is run
    said = reader.multinic("render", "multinic0").stdout
    for_netplan, *_ = said[said.index("network:") :].split("==> ")  # what it has no key for comes next
    assert yaml.safe_load(for_netplan) == yaml.safe_load(FILES[recipe])
