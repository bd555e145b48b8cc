"""Errors of some changes, kept while others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from multinic.values.errors import HostError
from multinic.values.plan import Interface


class Faults(dict[str, HostError]):
    """The first error of each interface, by its key: an interface that fails does not stop the others."""

    of_all: HostError | None = None
    """The error of the network service itself: it may not have read any new file."""

    @contextmanager
    def of(self, interface: Interface) -> Iterator[None]:
        """Keep a HostError of the block as the fault of this interface, instead of raising it."""
        try:
            yield
        except HostError as e:
            self.setdefault(interface.key, e)


@contextmanager
def collected(faults: list[HostError]) -> Iterator[None]:
    """Add a HostError of the block to `faults` instead of raising it."""
    try:
        yield
    except HostError as e:
        faults.append(e)
