"""The kernel tier: real links in a network namespace of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import prepared
from tests.kernel.node import Node
from tests.namespaces import Namespace


@pytest.fixture(scope="session", autouse=True)
def _ended() -> Iterator[None]:
    """The process that runs are forked off ends before the tests do: it has coverage to tell."""
    yield
    prepared.close()


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace with only `lo`, up; plug links in with `namespace.plug(name, mac)`."""
    with Namespace() as made:
        yield made


@pytest.fixture
def node(namespace: Namespace, tmp_path: Path) -> Iterator[Node]:
    """A node with an empty SQLite database and no links."""
    made = Node(namespace, tmp_path)
    yield made
    made.connection.close()


@pytest.fixture
def converged(node: Node) -> Callable[..., Node]:
    """Return the node with `count` ports attached, plugged in and configured: `converged(3)`."""

    def prepare(count: int) -> Node:
        node.provide(count)
        node.reconcile()
        return node

    return prepare
