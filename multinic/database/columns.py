"""The columns of a row into values, one function a column."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from multinic.values.addresses import IPAddress, IPInterface, IPNetwork, Mac
from multinic.values.desired import MTU_MAX, MTU_MIN
from multinic.values.text import shown

ADDRESSES_MAX = 64  # per interface; far above any port of Neutron, far below what netlink minds
TEXT_MAX = 4096  # characters of a column: 64 addresses of IPv6 fit

PORT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class BadColumn(ValueError):
    """One column of a row cannot be carried out. `seen`: what is there, for a message, if not all of it."""

    def __init__(
        self, column: str, value: object, problem: str, reason: str = "bad-value", *, seen: str = ""
    ) -> None:
        super().__init__(problem)
        self.column, self.value, self.problem, self.reason = column, value, problem, reason
        self.seen = seen or shown(value)


def as_text(value: Any) -> str:
    """Return what a column holds as text; "" for NULL."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def as_word(column: str, value: Any) -> str:
    """Return what a column holds as text, without the blanks around it; nothing looks into an endless one."""
    text = as_text(value)
    if len(text) > TEXT_MAX:
        raise BadColumn(column, value, f"is longer than {TEXT_MAX} characters")
    return text.strip()


def as_flag(value: Any) -> bool | None:
    """Return a yes or no in any of the forms it is stored in; None for NULL."""
    if value is None or isinstance(value, int | float):
        return None if value is None else bool(value)
    return as_text(value).strip("\0 ") not in ("", "0")  # a BIT column gives bytes, a careless one text


def row_id(value: Any) -> int:
    """Return a row's `id`. Raises BadColumn."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadColumn("id", value, "is not a number that counts up")
    return value


def port_id(value: Any) -> str:
    """Return an identifier that is safe wherever it goes. Raises BadColumn."""
    text = as_word("port_id", value)
    if not PORT_ID.fullmatch(text):
        raise BadColumn("port_id", value, "is not an identifier of 1 to 64 letters, digits and ._:-")
    return text


def mac(value: Any) -> Mac:
    """Return a `macaddress`. Raises BadColumn."""
    try:
        return Mac(as_word("macaddress", value))
    except BadColumn:
        raise
    except ValueError as e:
        raise BadColumn("macaddress", value, f"is {e}") from None


def mtu(value: Any) -> int | None:
    """Return an `mtu`, None for one that is not given. Raises BadColumn."""
    text = as_word("mtu", value)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        raise BadColumn("mtu", value, "is not a whole number")
    found = int(text.partition(".")[0])
    if not MTU_MIN <= found <= MTU_MAX:
        raise BadColumn("mtu", value, f"is outside {MTU_MIN}..{MTU_MAX}")
    return found


def addresses(value: Any, cidr: Any) -> tuple[IPInterface, ...]:
    """Return what `address` holds, prefix lengths from the subnet's `cidr` filled in. Raises BadColumn."""
    words = re.split(r"[\s,;]+", as_word("address", value))
    words = [word for word in words if word]
    if not words:
        return ()
    if len(words) > ADDRESSES_MAX:
        raise BadColumn("address", value, f"has more than {ADDRESSES_MAX} addresses")
    network = network_of(cidr)
    found: list[IPInterface] = []
    for word in words:
        address = _address(word, network)
        if address not in found:
            found.append(address)
    return tuple(found)


def network_of(value: Any) -> IPNetwork | None:
    """Return the network in a `cidr` of multi_subnet; None for an empty one. Raises BadColumn."""
    text = as_word("multi_subnet.cidr", value)
    if not text:
        return None
    try:
        if "%" in text:
            raise ValueError("a zone is no part of a network")
        return ip_network(text, strict=False)  # host bits are tolerated: 10.0.0.1/24 means 10.0.0.0/24
    except ValueError:
        raise BadColumn("multi_subnet.cidr", value, "is not a network like 10.0.0.0/24", "bad-cidr") from None


def _address(word: str, network: IPNetwork | None) -> IPInterface:
    if "%" in word:  # Python takes any text for a zone, also one that a shell would run
        raise BadColumn("address", word, "has a zone; leave out the % part")
    try:
        if "/" in word:
            address = ip_interface(word)
            if not word.partition("/")[2].isdecimal():
                raise ValueError("a netmask is not a prefix length")
            plain: IPAddress = address.ip
        else:
            plain = ip_address(word)
    except ValueError:
        raise BadColumn("address", word, "is not an IP address") from None
    if "/" not in word:
        if network is None or network.version != plain.version:
            raise BadColumn("address", word, "has no prefix length, and the subnet's cidr gives none")
        address = ip_interface(f"{plain}/{network.prefixlen}")
    if network is not None and network.version == plain.version and plain not in network:
        raise BadColumn("address", word, f"is outside the subnet's cidr {network}", "address-outside-cidr")
    _usable(word, plain, address.network)
    return address


def _usable(word: str, plain: IPAddress, network: IPNetwork) -> None:
    """Raise BadColumn for an address that no link can have."""
    wrong = {
        "is a multicast address": plain.is_multicast,
        "is the unspecified address": plain.is_unspecified,
        "is a loopback address": plain.is_loopback,
        "is a reserved address": plain.version == 4 and plain.is_reserved,
        # RFC 3021: with /31 and /32 every address is a host's.
        "is the broadcast address of its subnet": network.version == 4
        and network.prefixlen < 31
        and plain == network.broadcast_address,
        "is the network address of its subnet": network.version == 4
        and network.prefixlen < 31
        and plain == network.network_address,
        "has prefix length 0": network.prefixlen == 0,
    }
    for problem, found in wrong.items():
        if found:
            raise BadColumn("address", word, problem, "unusable-address")
