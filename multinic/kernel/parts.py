"""Parts of the kernel's dumps: many messages with their headers, as they came.

100,000 routes are 100,000 messages in 160 parts. To search the parts, and to compare those of two dumps, is
much cheaper than to make an object of every message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr of linux/netlink.h: size, type, flags, sequence, port."""
_SIZE = struct.Struct("=I")
_HEADER = HEADER.size
_DUMP = slice(8, _HEADER)  # of a header: which dump, and for which socket
_BLOCK = 1 << 12  # bytes that are compared at once


def payloads(part: bytes) -> Iterator[bytes]:
    """Yield the messages of a part, without their headers."""
    offset = 0
    while offset < len(part):
        (size,) = _SIZE.unpack_from(part, offset)
        yield part[offset + _HEADER : offset + size]
        offset += (size + 3) & ~3


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, port and payload of the messages that came at once."""
    offset = 0
    while offset + _HEADER <= len(data):
        size, kind, flags, _, port = HEADER.unpack_from(data, offset)
        yield kind, flags, port, data[offset + _HEADER : offset + size]
        offset += (max(size, _HEADER) + 3) & ~3


def beginning(part: bytes, payload: bytes) -> bytes:
    """Return what is in a part if the payload of one of its messages begins like this; seldom if not."""
    return part[_DUMP] + payload


def differing(before: Sequence[bytes], after: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the messages of two dumps that are not in both; also some that are, around them.

    What both dumps begin and end with is left out. That is nearly all, because the kernel tells routes in the
    same order each time; but nothing depends on that.
    """
    pairs = enumerate(zip(before, after, strict=False))
    start = next((at for at, (one, other) in pairs if _compared(one) != _compared(other)), None)
    if start is None:
        start = min(len(before), len(after))
    one, other = _whole(before[start:]), _whole(after[start:])
    end = _common_end(one, other)
    at = at_other = 0
    found: list[bytes] = []
    found_in_other: list[bytes] = []
    while (rest := len(one) - at) != (rest_of_other := len(other) - at_other) or rest > end:
        if rest >= rest_of_other:
            at = _take(one, at, found)
        else:
            at_other = _take(other, at_other, found_in_other)
    return found, found_in_other


def _compared(part: bytes) -> bytes:
    """Return a part without what differs from dump to dump."""
    # In a message itself these eight bytes, a count and a socket's number, would be no attribute.
    return part.replace(part[_DUMP], bytes(8))


def _whole(parts: Iterable[bytes]) -> bytes:
    return b"".join(map(_compared, parts))


def _common_end(one: bytes, other: bytes) -> int:
    size, most = 0, min(len(one), len(other))
    while size + _BLOCK <= most and _block_before(one, size) == _block_before(other, size):
        size += _BLOCK
    return size


def _block_before(text: bytes, size: int) -> bytes:
    end = len(text) - size
    return text[end - _BLOCK : end]


def _take(text: bytes, at: int, found: list[bytes]) -> int:
    size: int = _SIZE.unpack_from(text, at)[0]
    found.append(text[at + _HEADER : at + size])
    return at + ((size + 3) & ~3)
