"""Opens a socket that the kernel reports to, and sends it to the process that started this program.

    python tests/listening.py GROUPS DESCRIPTOR

A program, so that it can be started inside a namespace: a process with threads, as pytest's workers are, must
not fork, and could not enter a user namespace. It imports only what it needs, because every watch starts it.
"""

import json
import socket
import sys
from contextlib import suppress

SO_RCVBUFFORCE = 33


def opened(groups: int) -> socket.socket:
    """Return a socket that the kernel reports to from now on; `groups` are those of RTMGRP_*."""
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    # So that everything fits; where that is refused to us, what does not fit is an error of recv.
    for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
        with suppress(PermissionError):
            listening.setsockopt(socket.SOL_SOCKET, option, 1 << 24)
    listening.bind((0, groups))
    return listening


def main() -> None:
    groups, descriptor = map(int, sys.argv[1:])
    with socket.socket(fileno=descriptor) as theirs, opened(groups) as listening:
        socket.send_fds(theirs, [json.dumps(socket.if_nameindex()).encode()], [listening.fileno()])


if __name__ == "__main__":
    main()
