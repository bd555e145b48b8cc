"""The options of a row: JSON to a value, and back.

Here every key is checked by itself; contradictions.py checks what does not go together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from multinic.decide.parsing import OptionError, Read, boolean, distinct, integer, items, members, word
from multinic.values.addresses import IPAddress, IPNetwork
from multinic.values.desired import Options, Route
from multinic.values.fields import OFFLOADS
from multinic.values.rtnetlink import MAIN_TABLE

__all__ = ["OptionError", "asked", "document", "parse"]

ROUTES_MAX = 64
DNS_MAX = 8
SEARCH_MAX = 16
DESCRIPTION_MAX = 255  # bytes: IFALIASZ of linux/if.h, without the NUL
U32_MAX = 2**32 - 1  # metrics and table numbers are 32 bits wide
RESERVED_TABLES = {253: "default", 254: "main", 255: "local"}  # rt_class_t of linux/rtnetlink.h

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, section 2.1


def _address(path: str, value: Any) -> IPAddress:
    if isinstance(value, str) and "%" in value:  # Python takes any text for a zone
        raise OptionError(path, value, "has a zone; leave out the % part")
    try:
        found = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise OptionError(path, value, "is not an IP address")
    if found.version == 6 and found.ipv4_mapped:
        raise OptionError(path, value, f"is not an IP address of its own: write {found.ipv4_mapped}")
    if found.is_multicast:
        raise OptionError(path, value, "is a multicast address")
    if found.is_unspecified:
        raise OptionError(path, value, "is the unspecified address")
    return found


def _next_hop(path: str, value: Any) -> IPAddress:
    """Return an address to which a packet can be sent on a link."""
    found = _address(path, value)
    if found.is_loopback:
        raise OptionError(path, value, "is a loopback address")
    if found.version == 4 and found.is_reserved:
        raise OptionError(path, value, "is a reserved address")
    return found


def _gateways(path: str, value: Any) -> tuple[IPAddress, ...]:
    if not isinstance(value, list):
        return (_next_hop(path, value),)
    found = tuple(items(path, value, _next_hop, 2))
    if len({address.version for address in found}) < len(found):
        raise OptionError(path, value, "has two gateways of one family")
    return found


def _network(path: str, value: Any) -> IPNetwork:
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError("a zone is no part of a network")
        network = ip_network(value, strict=False)
        address, _, prefix = value.partition("/")
        if prefix and not prefix.isdecimal():
            raise ValueError("a netmask is not a prefix length")
    except ValueError:
        raise OptionError(path, value, "is not a network like 10.20.0.0/16") from None
    if not prefix:
        raise OptionError(
            path, value, f"has no prefix length; {network} is one address, 10.20.0.0/16 a network"
        )
    if ip_address(address) != network.network_address:
        raise OptionError(path, value, f"has host bits; the network is {network}")
    wrong = {
        "is multicast, where no unicast route leads": network.is_multicast,
        "is loopback, which never leaves the host": network.is_loopback,
        "is link-local: the kernel makes that route itself": network.version == 6 and network.is_link_local,
        "is the unspecified address": network.network_address.is_unspecified and network.prefixlen >= 8,
    }
    for problem, found in wrong.items():
        if found:
            raise OptionError(path, value, problem)
    return network


def _table(path: str, value: Any) -> int:
    found: int = integer(1, U32_MAX)(path, value)
    if found in RESERVED_TABLES:
        raise OptionError(
            path,
            value,
            f"is the kernel's table {RESERVED_TABLES[found]}; leave `table` out for the main table",
        )
    return found


_ROUTE: dict[str, Read] = {
    "to": _network,
    "via": _next_hop,
    "metric": integer(1, U32_MAX),
    "table": _table,
    "on_link": boolean,
}
ROUTE_KEYS = tuple(_ROUTE)
"""The keys of a route."""


def _route(path: str, value: Any) -> Route:
    found = members(path, value, _ROUTE)
    if "to" not in found:
        raise OptionError(path, value, "has no `to`, the network that it leads to")
    route = Route(**found)
    if route.via is None and route.on_link:
        raise OptionError(f"{path}.on_link", True, "needs `via`; without one a network is on the link anyway")
    if route.via is not None and route.via.version != route.to.version:
        raise OptionError(f"{path}.via", str(route.via), f"is not of the family of {route.to}")
    if route.to.prefixlen == 0 and route.table == MAIN_TABLE:
        raise OptionError(
            f"{path}.to", str(route.to), "is a default route; use `gateway` and `default_route`, or a `table`"
        )
    return route


def _routes(path: str, value: Any) -> tuple[Route, ...]:
    found = items(path, value, _route, ROUTES_MAX)
    seen: dict[tuple[IPNetwork, int, int | None], int] = {}
    for number, route in enumerate(found):
        first = seen.setdefault((route.to, route.table, route.metric), number)
        if first != number:
            problem = f"is the network of {path}[{first}] too, in the same table with the same metric"
            raise OptionError(f"{path}[{number}].to", str(route.to), problem)
    return tuple(found)


def _domain(path: str, value: Any) -> str:
    name = value.lower().removesuffix(".") if isinstance(value, str) and value.isascii() else ""
    if not 0 < len(name) <= 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise OptionError(path, value, "is not a domain name of letters, digits and hyphens (RFC 1123)")
    return name


def _description(path: str, value: Any) -> str:
    text = value.strip() if isinstance(value, str) and value.isprintable() else ""
    if not text:
        raise OptionError(path, value, "is not a text of printable characters")
    if len(value.encode()) > DESCRIPTION_MAX:
        raise OptionError(path, value, f"is longer than {DESCRIPTION_MAX} bytes in UTF-8")
    return text


_DNS: dict[str, Read] = {
    "addresses": distinct(_address, DNS_MAX),
    "search": distinct(_domain, SEARCH_MAX),
}
_OFFLOADS: dict[str, Read] = dict.fromkeys(OFFLOADS, boolean)
_FAMILIES = {"ipv4": 4, "ipv6": 6}
_ROUTING = {"off": False, "auto": True}


def _link_local(path: str, value: Any) -> tuple[int, ...]:
    return tuple(sorted(set(items(path, value, word(_FAMILIES), 2))))


def _dns_object(options: Options) -> dict[str, Any]:
    parts = {"addresses": [str(address) for address in options.dns], "search": list(options.search)}
    return {key: part for key, part in parts.items() if part}


def _gateway_text(options: Options) -> Any:
    found = [str(address) for address in options.gateways]
    return found[0] if len(found) == 1 else found


def _route_object(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {"to": str(route.to)}
    if route.via is not None:
        found["via"] = str(route.via)
    if route.metric is not None:
        found["metric"] = route.metric
    if route.table != MAIN_TABLE:
        found["table"] = route.table
    if route.on_link:
        found["on_link"] = True
    return found


class _Key(NamedTuple):
    """How to read a top-level key, and how to write it; without `write`, the field is written as it is."""

    read: Read
    write: Callable[[Options], Any] | None = None


_KEYS = {
    "dhcp4": _Key(boolean),
    "dhcp6": _Key(boolean),
    "accept_ra": _Key(boolean),
    "gateway": _Key(_gateways, _gateway_text),
    "default_route": _Key(boolean),
    "metric": _Key(integer(1, U32_MAX)),
    "routes": _Key(_routes, lambda options: [_route_object(route) for route in options.routes]),
    "policy_routing": _Key(word(_ROUTING), lambda options: "auto" if options.policy_routing else "off"),
    "dns": _Key(lambda path, value: members(path, value, _DNS), _dns_object),
    "rp_filter": _Key(integer(0, 2)),
    "arp_ignore": _Key(integer(0, 3, 8)),
    "arp_announce": _Key(integer(0, 2)),
    "link_local": _Key(
        _link_local,
        lambda options: None if options.link_local is None else [f"ipv{n}" for n in options.link_local],
    ),
    "ethtool": _Key(
        lambda path, value: tuple(sorted(members(path, value, _OFFLOADS).items())),
        lambda options: dict(options.ethtool),
    ),
    "txqueuelen": _Key(integer(0, 1_000_000)),
    "description": _Key(_description),
    "lldp": _Key(boolean),
}
KEYS = tuple(_KEYS)
"""The top-level keys, in the order of the documentation."""


def parse(document: Mapping[str, Any]) -> Options:
    """Return the options in a JSON object. Raises OptionError for the first place that is wrong."""
    found = members("", document, {name: key.read for name, key in _KEYS.items()})
    gateways, dns = found.pop("gateway", ()), found.pop("dns", {})
    return Options(gateways=gateways, dns=dns.get("addresses", ()), search=dns.get("search", ()), **found)


def document(options: Options) -> dict[str, Any]:
    """Return the JSON object from which `parse` makes these options, without the defaults."""
    return {name: value for name in KEYS if (value := _written(name, options)) != _DEFAULTS[name]}


def asked(options: Options) -> tuple[str, ...]:
    """Return the keys of the options that differ from their default."""
    return tuple(document(options))


def _written(name: str, options: Options) -> Any:
    write = _KEYS[name].write
    return getattr(options, name) if write is None else write(options)


_DEFAULTS = {name: _written(name, Options()) for name in KEYS}
