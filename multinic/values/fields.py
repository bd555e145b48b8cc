"""The fields: names of the properties that are set one by one on a link. Pure; every pass imports it."""

from __future__ import annotations

from types import MappingProxyType

# Documentation/networking/ip-sysctl.rst. {version} and {name} make the path of the variable.
SYSCTLS = MappingProxyType(
    {
        "rp_filter": 4,
        "arp_ignore": 4,
        "arp_announce": 4,
        "promote_secondaries": 4,
        "accept_ra": 6,
        "accept_ra_defrtr": 6,
        "ra_defrtr_metric": 6,
        "autoconf": 6,
        "addr_gen_mode": 6,
        "disable_ipv6": 6,
    }
)
"""Kernel variables of a link: field → IP version."""
LEFT_BEHIND = frozenset({"accept_ra", "addr_gen_mode", "promote_secondaries", "disable_ipv6"})
"""Variables that network services set on the links that they configure, and do not set back.

The record keeps what they were before a link is first configured, and they are set back when the link is
freed. In between the service sets them, unless the backend leaves them to us.
"""
OFFLOAD = "ethtool."
OFFLOADS = ("rx", "tx", "tso", "gso", "gro", "lro")
"""Offloads by the short names of ethtool(8); their fields begin with OFFLOAD."""
LARGER_OF_ALL = ("rp_filter", "arp_ignore", "arp_announce")
"""Variables of which the kernel takes the larger value: the link's or that of `all`."""
FIELDS = frozenset({"txqueuelen", "description", *SYSCTLS, *(f"{OFFLOAD}{name}" for name in OFFLOADS)})
