"""Numbers of linux/rtnetlink.h that more than one room uses."""

from __future__ import annotations

MAIN_TABLE = 254
"""RT_TABLE_MAIN."""
LOCAL_TABLE = 255
"""RT_TABLE_LOCAL: the kernel makes the routes in it from the addresses."""
LINK_SCOPE = 253
"""RT_SCOPE_LINK: addresses of this scope or a narrower one mean nothing beyond the link."""
PROTOCOL_KERNEL, PROTOCOL_STATIC, PROTOCOL_RA, PROTOCOL_DHCP = 2, 4, 9, 16
"""RTPROT_KERNEL, STATIC, RA and DHCP: the program that made a route or a rule."""
RECEIVED = frozenset({PROTOCOL_KERNEL, PROTOCOL_RA, PROTOCOL_DHCP})
"""Routes that follow from addresses, router advertisements and leases: they come and go by themselves."""
