"""Properties of a link that are set one by one, as names of fields. Pure, and imported by every pass."""

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
"""Variables that network services set on the links that they configure, and leave so.

They are noted before a link is first configured and set back when it is given back. In between they are the
service's own, unless the backend leaves them to us.
"""
OFFLOAD = "ethtool."
OFFLOADS = ("rx", "tx", "tso", "gso", "gro", "lro")
"""Offloads by the short names of ethtool(8); their fields have OFFLOAD before that."""
LARGER_OF_ALL = ("rp_filter", "arp_ignore", "arp_announce")
"""Of these the kernel takes the larger value of the link's and of `all`."""
FIELDS = frozenset({"txqueuelen", "description", *SYSCTLS, *(f"{OFFLOAD}{name}" for name in OFFLOADS)})
