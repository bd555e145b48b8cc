"""The cluster that the tests of this tier share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.k8s.cluster import Cluster
from tests.k8s.cluster import cluster as running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster without the program, brought up once; the tests go on from where the last one left it."""
    with running() as made:
        yield made
