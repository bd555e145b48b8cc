"""MAC and IP addresses. A MAC address is parsed and checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


def ip_address(raw: bytes) -> IPAddress:
    """Return the address of 4 or 16 bytes as they come from the kernel."""
    return IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)


def ip_interface(raw: bytes, prefix: int) -> IPInterface:
    """Return an address with its prefix length from the kernel's bytes."""
    return IPv4Interface((raw, prefix)) if len(raw) == 4 else IPv6Interface((raw, prefix))


def ip_network(raw: bytes, prefix: int) -> IPNetwork:
    """Return a network from the kernel's bytes."""
    return IPv4Network((raw, prefix)) if len(raw) == 4 else IPv6Network((raw, prefix))


_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


@dataclass(frozen=True, order=True, slots=True)
class Mac:
    """A unicast link-layer address, always lower case with colons, so `==` just works.

    Raises ValueError for any other text, also for the zero, multicast and broadcast addresses: no network
    card has one of those.
    """

    text: str

    def __post_init__(self) -> None:
        text = self.text.lower().replace("-", ":")
        if not _MAC.fullmatch(text):
            raise ValueError("not a MAC address (six bytes in hex, like fa:16:3e:00:00:01)")
        if text == "00:00:00:00:00:00":
            raise ValueError("the zero MAC address, which belongs to no network card")
        if int(text[1], 16) & 1:
            raise ValueError("a multicast or broadcast MAC address, which belongs to no network card")
        object.__setattr__(self, "text", text)

    def __str__(self) -> str:
        return self.text
