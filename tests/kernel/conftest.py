"""The kernel tier: real links in a network namespace of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.namespaces import Namespace


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace with only `lo`, up; plug links in with `namespace.plug(name, mac)`."""
    with Namespace() as made:
        yield made
