"""Why the kernel refused something, in more words than its error number has."""

from __future__ import annotations

import errno
import os
import struct
from ipaddress import IPv6Interface

from multinic.kernel.properties import read_sysctl
from multinic.values.addresses import IPInterface
from multinic.values.errors import HostError

_ADDRESSES = "/proc/net/if_inet6"
_ANSWER = struct.Struct("=16xi16x")  # NLMSG_ERROR: a header, the error, the header of the request
_ATTRIBUTE = struct.Struct("=HH")
_FLAGS, _HAS_ATTRIBUTES = struct.Struct("=6xH"), 0x200  # NLM_F_ACK_TLVS
_MESSAGE = 1  # NLMSGERR_ATTR_MSG


def why_not_added(index: int, name: str, address: IPInterface, code: int) -> HostError | None:
    """Return why an address was not put on a link; None if the kernel's own words say it best."""
    if not isinstance(address, IPv6Interface):
        return None
    what = f"cannot add {address} to {name}"
    if code == errno.EACCES and (variable := _disabling(name)):
        words = f"{what}: IPv6 is disabled on {name} by {variable}"
        return HostError(words, f"set {variable} to 0, also where the host sets it at boot (/etc/sysctl.d)")
    prefix = _prefix_of(index, address) if code == errno.EEXIST else address.network.prefixlen
    if prefix != address.network.prefixlen:
        there = f"{address.ip}/{prefix}"
        return HostError(f"{what}: it has {there} already", f"remove {there} from it, or correct the row")
    return None


def _disabling(name: str) -> str:
    """Return the variable by which IPv6 is disabled on a link; "" if it is not."""
    for link in ("all", name):
        if read_sysctl(link, "disable_ipv6") == "1":
            return f"net.ipv6.conf.{link}.disable_ipv6"
    return ""


def _prefix_of(index: int, address: IPv6Interface) -> int:
    """Return the prefix length with which a link has an address; that of `address` if it has it not."""
    try:
        with open(_ADDRESSES, encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        rows = []
    for text, number, length, *_ in rows:
        if int(number, 16) == index and bytes.fromhex(text) == address.ip.packed:
            return int(length, 16)
    return address.network.prefixlen


def answer(packet: bytes) -> tuple[int, str]:
    """Return the error number in the kernel's answer to a request, 0 for none, and its sentence on it.

    For a socket with NETLINK_CAP_ACK and NETLINK_EXT_ACK.
    """
    code = -_ANSWER.unpack_from(packet)[0]
    rest = packet[_ANSWER.size :] if _FLAGS.unpack_from(packet)[0] & _HAS_ATTRIBUTES else b""
    while len(rest) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(rest)
        if kind == _MESSAGE:
            return code, rest[_ATTRIBUTE.size : size].rstrip(b"\0").decode("utf-8", "replace")
        rest = rest[(max(size, _ATTRIBUTE.size) + 3) & ~3 :]
    return code, os.strerror(code) if code else ""
