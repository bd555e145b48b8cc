"""The routes of a host, which may be 100,000: what looks at them asks for those that it is about. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from multinic.values.addresses import IPAddress, IPNetwork
from multinic.values.observed import ObservedRoute
from multinic.values.rtnetlink import MAIN_TABLE


class Routes:
    """Some routes. Those of the kernel are parsed only when they are asked for (kernel/routes.py).

    The methods with an underscore may return more than what is asked for, and never less.
    """

    def __init__(self, found: Iterable[ObservedRoute] = ()) -> None:
        self._found = tuple(found)

    def __iter__(self) -> Iterator[ObservedRoute]:
        return iter(self._found)

    def through(self, link: int) -> list[ObservedRoute]:
        """Return the routes through a link, by its index."""
        return [route for route in self._through(link) if route.link == link]

    def defaults(self) -> list[ObservedRoute]:
        """Return the default routes of all tables."""
        return [route for route in self._defaults() if not route.to.prefixlen]

    def in_table(self, table: int) -> list[ObservedRoute]:
        """Return the routes of a routing table."""
        return [route for route in self._in_table(table) if route.table == table]

    def to(self, address: IPAddress) -> list[ObservedRoute]:
        """Return the routes of the main table whose network has an address."""
        return [
            route
            for route in self._to(address)
            if route.table == MAIN_TABLE and route.to.version == address.version and address in route.to
        ]

    def to_network(self, network: IPNetwork) -> list[ObservedRoute]:
        """Return the routes of all tables to just this network."""
        return [route for route in self._to_network(network) if route.to == network]

    def only(self, keep: Callable[[ObservedRoute], bool]) -> Routes:
        """Return the routes of which `keep` is true."""
        return Routes(route for route in self if keep(route))

    def gone_from(self, after: Routes) -> list[ObservedRoute]:
        """Return the routes that are not among those of later."""
        present = set(after)
        return [route for route in self if route not in present]

    def _through(self, link: int) -> Iterable[ObservedRoute]:
        del link
        return self

    def _defaults(self) -> Iterable[ObservedRoute]:
        return self

    def _in_table(self, table: int) -> Iterable[ObservedRoute]:
        del table
        return self

    def _to(self, address: IPAddress) -> Iterable[ObservedRoute]:
        del address
        return self

    def _to_network(self, network: IPNetwork) -> Iterable[ObservedRoute]:
        del network
        return self


def of(routes: Iterable[ObservedRoute]) -> Routes:
    """Return routes as ones that can be asked."""
    return routes if isinstance(routes, Routes) else Routes(routes)
