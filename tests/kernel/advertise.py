"""Send router advertisements (RFC 4861) over a link until standard input ends: a default route, the prefix
fd00:ad::/64 to make addresses of, a route to fd00:be::/48 and a DNS server."""

from __future__ import annotations

import select
import socket
import struct
import sys
import time

HOUR = 3600
LIFETIME = int(sys.argv[2]) if len(sys.argv) > 2 else HOUR
"""How many seconds an address made of the prefix is valid."""
PREFIX = socket.inet_pton(socket.AF_INET6, "fd00:ad::")
SERVER = socket.inet_pton(socket.AF_INET6, "fd00:ad::53")
FURTHER = socket.inet_pton(socket.AF_INET6, "fd00:be::")
ON_LINK, AUTONOMOUS = 0x80, 0x40

ADVERTISEMENT = (
    struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, HOUR, 0, 0)
    + struct.pack("!BBBBIII", 3, 4, 64, ON_LINK | AUTONOMOUS, LIFETIME, LIFETIME, 0)
    + PREFIX
    + struct.pack("!BBBBI", 24, 2, 48, 0, HOUR)  # a more specific route, RFC 4191
    + FURTHER[:8]
    + struct.pack("!BBHI", 25, 3, 0, HOUR)  # a DNS server, RFC 8106
    + SERVER
)


def main() -> None:
    """Advertise over the link that the command line names, five times a second."""
    index = socket.if_nametoindex(sys.argv[1])
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
        # The kernel adds the checksum and, as the source, the link-local address of the link.
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        while not _sent(router, index):
            time.sleep(0.05)  # the link-local address is being checked still
        print("advertising", flush=True)
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            _sent(router, index)


def _sent(router: socket.socket, index: int) -> bool:
    try:
        router.sendto(ADVERTISEMENT, ("ff02::1", 0, 0, index))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
