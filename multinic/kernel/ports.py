"""The ports of netlink sockets for links, addresses, routes and rules: by them the kernel names who asked."""

from __future__ import annotations

import os
import socket

_SOCKETS = "/proc/self/net/netlink"
_used: set[int] = set()


def used(port: int) -> None:
    """Note the port of a socket of this process that is closed soon."""
    _used.add(port)


def ours() -> frozenset[int] | None:
    """Return the ports of all sockets that this process has, or that it noted; None if that is not known."""
    try:
        descriptors = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        inodes = {os.readlink(path) for path in descriptors if os.path.islink(path)}
        _used.update(port for port, inode in _open() if f"socket:[{inode}]" in inodes)
    except OSError:
        return None
    return frozenset(_used)


def open_ports() -> frozenset[int]:
    """Return the ports of all open sockets in this network namespace; none if that is not known."""
    try:
        return frozenset(port for port, _ in _open())
    except OSError:
        return frozenset()


def _open() -> list[tuple[int, str]]:
    with open(_SOCKETS, encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    return [(int(row[2]), row[-1]) for row in rows if row[1] == str(socket.NETLINK_ROUTE)]
