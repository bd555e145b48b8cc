"""What the kernel tells, unasked, of changes of its network tables."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_BUFFER_FORCE = 33  # SO_RCVBUFFORCE: beyond net.core.rmem_max


class Notifications:
    """The notifications of some groups (RTNLGRP_…) since this was made. Raises OSError if there are none."""

    def __init__(self, groups: Iterable[int], buffer: int = 0) -> None:
        """`buffer`: how many bytes the kernel shall keep; 0 for what it keeps by itself."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            if buffer:
                enlarge(self._socket, buffer)
            self._socket.setblocking(False)
            self._socket.bind((0, 0))
            for group in groups:
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Notifications:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor that can be read when there are notifications."""
        return self._socket.fileno()

    def datagrams(self) -> Iterator[bytes]:
        """Yield what has come since the last call; b"" where the kernel had more to tell than it keeps."""
        while (data := self._next()) is not None:
            yield data

    def _next(self) -> bytes | None:
        try:
            return self._socket.recv(1 << 18)
        except BlockingIOError:
            return None
        except OSError:  # ENOBUFS
            return b""


def enlarge(of: socket.socket, queue: int) -> None:
    """Let a socket keep so many bytes that nobody has read yet, or as many as this process may."""
    try:
        of.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCE, queue)
    except OSError:
        of.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, queue)
