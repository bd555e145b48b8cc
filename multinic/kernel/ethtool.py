"""Read and set offloads of a link: the ioctl behind ethtool(8). Constants are those of linux/ethtool.h."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
from types import MappingProxyType

from multinic.values.errors import HostError

_SIOCETHTOOL = 0x8946
_GET_FLAGS, _SET_FLAGS = 0x25, 0x26
_LRO = 1 << 15  # ETH_FLAG_LRO
# Name → the commands that get and set it; lro has no command of its own.
_COMMANDS = MappingProxyType(
    {"rx": (0x14, 0x15), "tx": (0x16, 0x17), "tso": (0x1E, 0x1F), "gso": (0x23, 0x24), "gro": (0x2B, 0x2C)}
)


def get(link: str, name: str) -> bool | None:
    """Return whether an offload is on; None if the link does not have it. Raises HostError."""
    try:
        if name == "lro":
            return bool(_ask(link, _GET_FLAGS) & _LRO)
        return bool(_ask(link, _COMMANDS[name][0]))
    except OSError as e:
        if e.errno in (errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL):
            return None
        raise HostError(f"cannot read offload {name} of {link}: {e.strerror}") from e


def put(link: str, name: str, *, on: bool) -> None:
    """Switch an offload on or off. Raises OSError."""
    if name == "lro":
        flags = _ask(link, _GET_FLAGS)
        _ask(link, _SET_FLAGS, flags | _LRO if on else flags & ~_LRO)
    else:
        _ask(link, _COMMANDS[name][1], int(on))


def _ask(link: str, command: int, value: int = 0) -> int:
    """Send a struct ethtool_value to the kernel and return the value that it answers."""
    request = array.array("I", [command, value])
    name = os.fsencode(link)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as kernel:
        fcntl.ioctl(kernel, _SIOCETHTOOL, struct.pack("16sP16x", name, request.buffer_info()[0]))
    return request[1]
