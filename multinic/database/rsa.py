"""RSA-OAEP with a public key (RFC 8017), as MySQL's servers want a password where there is no TLS.

Why not a library: docs/decisions/0004-own-rsa.md. Only the public operation is here: no exponent is secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from typing import NamedTuple

_HASH = hashlib.sha1  # OAEP's default, and what the servers use; its collisions do not matter there
_SIZE = 20
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----\s+(.*?)-----END PUBLIC KEY-----", re.DOTALL)
_RSA = bytes.fromhex("06092a864886f70d010101")  # the object identifier of rsaEncryption
_BITS = (1024, 16384)
_INTEGER, _BIT_STRING, _SEQUENCE = 0x02, 0x03, 0x30


class Key(NamedTuple):
    """A public key."""

    modulus: int
    exponent: int

    @property
    def size(self) -> int:
        """How many bytes an encrypted message has."""
        return (self.modulus.bit_length() + 7) // 8


def parse(pem: bytes) -> Key:
    """Return the key of a text in PEM format. Raises ValueError."""
    match = _PEM.search(pem)
    if not match:
        raise ValueError("there is no public key in PEM format (-----BEGIN PUBLIC KEY-----)")
    try:
        document = base64.b64decode(b"".join(match[1].split()), validate=True)
    except binascii.Error as e:
        raise ValueError(f"the public key is damaged ({e})") from None
    outer, _ = _element(document, _SEQUENCE)
    algorithm, rest = _element(outer, _SEQUENCE)
    if not algorithm.startswith(_RSA):
        raise ValueError("the public key is none of RSA")
    packed, _ = _element(rest, _BIT_STRING)
    numbers, _ = _element(packed[1:], _SEQUENCE)
    modulus, rest = _element(numbers, _INTEGER)
    exponent, _ = _element(rest, _INTEGER)
    key = Key(int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big"))
    if not _BITS[0] <= key.modulus.bit_length() <= _BITS[1] or not key.modulus % 2 or not _fair(key.exponent):
        raise ValueError("the public key is no key of RSA that can be used")
    return key


def _fair(exponent: int) -> bool:
    return exponent >= 3 and exponent % 2 == 1 and exponent.bit_length() <= 64


def _element(data: bytes, kind: int) -> tuple[bytes, bytes]:
    """Return the content of the first element of DER, and what follows it. Raises ValueError."""
    if len(data) < 2 or data[0] != kind:
        raise ValueError("the public key is damaged")
    size, start = data[1], 2
    if size & 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if start + size > len(data):
        raise ValueError("the public key is cut off")
    return data[start : start + size], data[start + size :]


def encrypted(message: bytes, key: Key) -> bytes:
    """Return a message that only the key's owner can read. Raises ValueError for one that is too long."""
    room = key.size - 2 * _SIZE - 2
    if len(message) > room:
        raise ValueError(f"the password is too long for the server's key: {room - 1} bytes at most")
    data = _HASH(b"").digest() + bytes(room - len(message)) + b"\x01" + message
    seed = os.urandom(_SIZE)
    masked = _xor(data, _mask(seed, len(data)))
    padded = b"\x00" + _xor(seed, _mask(masked, _SIZE)) + masked
    return pow(int.from_bytes(padded, "big"), key.exponent, key.modulus).to_bytes(key.size, "big")


def _mask(seed: bytes, size: int) -> bytes:
    """Return the mask that a seed makes (MGF1)."""
    blocks = (_HASH(seed + count.to_bytes(4, "big")).digest() for count in range(-(-size // _SIZE)))
    return b"".join(blocks)[:size]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
