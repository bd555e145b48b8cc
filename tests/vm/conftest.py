"""A virtual machine for the tests of this tier, and a database server in the cloud around it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mariadb import PrivateMariaDB
from tests.namespaces import Namespace
from tests.node import Node, database_server
from tests.vm.machine import Machine


@pytest.fixture(scope="session")
def cloud() -> Iterator[Namespace]:
    """The namespace whose loopback the machine reaches."""
    with Namespace() as namespace:
        yield namespace


@pytest.fixture(scope="session")
def server(cloud: Namespace) -> Iterator[PrivateMariaDB]:
    """A database server that hosts may ask."""
    with database_server(cloud.prefix, "127.0.0.1") as server:
        yield server


@pytest.fixture
def machine(cloud: Namespace) -> Iterator[Machine]:
    """A machine that was just installed."""
    with Machine(cloud) as machine:
        yield machine


@pytest.fixture(scope="session")
def shared_machine(cloud: Namespace) -> Iterator[Machine]:
    """A machine for several tests, as a boot is slow.

    A test finds it as the last one left it, and may be the first.
    """
    with Machine(cloud) as machine:
        yield machine


@pytest.fixture(scope="session")
def shared_node(shared_machine: Machine, server: PrivateMariaDB) -> Node:
    """That machine with its rows."""
    return Node(shared_machine, server)
