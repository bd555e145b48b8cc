"""Report the ARP and ping packets that go over some links, as JSON lines, until standard input ends.

The links are the far ends of a node's NICs: what they receive, the node sent.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from collections.abc import Callable

ALL_PROTOCOLS = 3  # ETH_P_ALL, linux/if_ether.h
KINDS = {
    (4, 8): "echo-request",
    (4, 0): "echo-reply",
    (6, 128): "echo-request",
    (6, 129): "echo-reply",
    (6, 134): "router-advertisement",
    (6, 135): "neighbour-solicitation",
    (6, 136): "neighbour-advertisement",
}


def main() -> None:
    """Listen on the links that the command line names."""
    taps = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW) for _ in sys.argv[1:]]
    for tap, name in zip(taps, sys.argv[1:], strict=True):
        tap.bind((name, ALL_PROTOCOLS))
    print("listening", flush=True)
    while True:
        ready, _, _ = select.select([*taps, sys.stdin], [], [])
        for tap in ready:
            if tap is not sys.stdin:
                frame, (name, _, direction, *_) = tap.recvfrom(1 << 16)
                if packet := parse(frame):
                    from_node = direction != socket.PACKET_OUTGOING
                    print(json.dumps({"port": name, "from_node": from_node, **packet}), flush=True)
        if ready == [sys.stdin]:  # at the end, what is queued is still to be read
            return


def parse(frame: bytes) -> dict[str, str] | None:
    """Return what a test compares of an Ethernet frame; None for one that no test looks at."""
    mac, protocol, rest = frame[6:12].hex(":"), frame[12:14], frame[14:]
    if protocol == b"\x08\x06":
        kind = {1: "arp-request", 2: "arp-reply"}.get(rest[7])
        return _packet(mac, kind, socket.AF_INET, rest[14:18], rest[24:28])
    if protocol == b"\x08\x00" and rest[9] == socket.IPPROTO_ICMP:
        kind = KINDS.get((4, rest[(rest[0] & 15) * 4]))
        return _packet(mac, kind, socket.AF_INET, rest[12:16], rest[16:20])
    if protocol == b"\x86\xdd" and rest[6] == socket.IPPROTO_ICMPV6:
        return _packet(mac, KINDS.get((6, rest[40])), socket.AF_INET6, rest[8:24], rest[24:40])
    return None


def _packet(
    mac: str, kind: str | None, family: socket.AddressFamily, source: bytes, target: bytes
) -> dict[str, str] | None:
    text: Callable[[bytes], str] = lambda address: socket.inet_ntop(family, address)  # noqa: E731
    return {"kind": kind, "source": text(source), "target": text(target), "mac": mac} if kind else None


if __name__ == "__main__":
    main()
