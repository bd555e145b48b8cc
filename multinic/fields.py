"""Properties of a link that are set one by one, as names of fields. Pure, and imported by every pass."""

from __future__ import annotations

from types import MappingProxyType

# Documentation/networking/ip-sysctl.rst. {version} and {name} make the path of the variable.
SYSCTLS = MappingProxyType(
    {
        "rp_filter": 4,
        "arp_ignore": 4,
        "arp_announce": 4,
        "accept_ra": 6,
        "accept_ra_defrtr": 6,
        "ra_defrtr_metric": 6,
        "autoconf": 6,
        "addr_gen_mode": 6,
    }
)
"""Kernel variables of a link: field → IP version."""
OFFLOAD = "ethtool."
OFFLOADS = ("rx", "tx", "tso", "gso", "gro", "lro")
"""Offloads by the short names of ethtool(8); their fields have OFFLOAD before that."""
LARGER_OF_ALL = ("rp_filter", "arp_ignore", "arp_announce")
"""Of these the kernel takes the larger value of the link's and of `all`."""
FIELDS = frozenset({"txqueuelen", "description", *SYSCTLS, *(f"{OFFLOAD}{name}" for name in OFFLOADS)})
