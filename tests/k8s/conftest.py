"""The cluster that the tests of this tier share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.k8s.cluster import Cluster
from tests.k8s.cluster import cluster as running
from tests.k8s.others import settle
from tests.node import mac_of


@pytest.fixture(scope="session")
def bare() -> Iterator[Cluster]:
    """A cluster without the program, brought up once."""
    with running() as made:
        yield made


@pytest.fixture(scope="session")
def cluster(bare: Cluster) -> Cluster:
    """The same cluster with the program on it; each node has a port, number 0 or 1, and its NIC.

    A test finds it as the last one left it, and may be the first.
    """
    settle(bare, *bare.nodes.values())
    for slot, (name, node) in enumerate(bare.nodes.items()):
        node.let_udev_know(0, mac_of(slot))
        bare.attach(name, slot, link="eth1")
    bare.install()
    return bare


@pytest.fixture(autouse=True)
def explained(bare: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what may say why a test has failed."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(bare.report())
