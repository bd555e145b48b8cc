"""MySQL's logins of SHA-2: the password goes through TLS, or encrypted with the server's key, or not at all.

PyMySQL has these logins, too, but it fetches the key from any server that answers. A false server could then
read the password.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import CR

from multinic.values.errors import ConfigError, SourceRejected

SCRAMBLE = 20  # bytes of a server's challenge
_FAST, _FULL = 3, 4  # what follows the answer to a challenge: known, or to be proved by the password itself


class Keys(NamedTuple):
    """By which key the password may be encrypted where there is no TLS."""

    key: bytes | None = None
    """The server's public key in PEM format, from a file."""
    fetch: bool = False
    """Whether the server may be asked for it: then a false server can give its own and read the password."""


class Unprotected(SourceRejected):
    """The server asks for the password itself, and it could be read on the way."""


def read_key(path: str) -> bytes:
    """Return the content of a file with a public key. Raises ConfigError."""
    from multinic.database import rsa

    try:
        with open(path, "rb") as file:
            text = file.read(65536)
        rsa.parse(text)
    except OSError as e:
        raise ConfigError(
            f"database.url: server_public_key={path}: {e.strerror}", "name the server's public_key.pem"
        ) from None
    except ValueError as e:
        raise ConfigError(
            f"database.url: server_public_key={path}: {e}", "name the server's public_key.pem"
        ) from None
    return text


def answer(wire: Any, plugin: bytes, challenge: bytes, keys: Keys, *, secure: bool) -> Any:
    """Log in as the server asks, and return its last packet. Raises Unprotected and what PyMySQL raises."""
    challenge = challenge.removesuffix(b"\0")
    last = ANSWERS[plugin](wire, challenge, keys, secure)
    if not last.is_ok_packet():  # PyMySQL would go on with it in its own way
        raise pymysql.err.OperationalError(CR.CR_MALFORMED_PACKET, "the server goes on after the login")
    return last


def _caching_sha2(wire: Any, challenge: bytes, keys: Keys, secure: bool) -> Any:
    if not wire.password:
        return _sent(wire, b"")
    packet = _sent(wire, _scrambled(wire.password, challenge))
    if not packet.is_extra_auth_data():
        return packet
    packet.advance(1)
    step = packet.read_uint8()
    if step == _FAST:
        return wire._read_packet()
    if step != _FULL:
        raise pymysql.err.OperationalError(CR.CR_MALFORMED_PACKET, f"unknown step {step} of the login")
    return _with_password(wire, challenge, keys, secure, b"\x02")


def _sha256(wire: Any, challenge: bytes, keys: Keys, secure: bool) -> Any:
    if not wire.password:
        return _sent(wire, b"\0")
    return _with_password(wire, challenge, keys, secure, b"\x01")


ANSWERS: dict[bytes, Callable[[Any, bytes, Keys, bool], Any]] = {
    b"caching_sha2_password": _caching_sha2,
    b"sha256_password": _sha256,
}


def _with_password(wire: Any, challenge: bytes, keys: Keys, secure: bool, ask_for_key: bytes) -> Any:
    password: bytes = wire.password + b"\0"
    if secure:
        return _sent(wire, password)
    key = keys.key
    if key is None:
        if not keys.fetch:
            raise Unprotected(
                "the server asks for the password itself, which could be read on the way (it has not seen "
                "this user since it was started, or the password is wrong)",
                "use TLS: add ssl_ca=… to database.url; or name a copy of the server's public_key.pem: "
                "server_public_key=… (man multinic.toml)",
            )
        packet = _sent(wire, ask_for_key)
        if not packet.is_extra_auth_data():
            raise pymysql.err.OperationalError(CR.CR_MALFORMED_PACKET, "the server gives no public key")
        key = packet.read_all()[1:]
    from multinic.database import rsa  # only the first login after the server's start needs it

    hidden = bytes(byte ^ challenge[at % len(challenge)] for at, byte in enumerate(password))
    return _sent(wire, rsa.encrypted(hidden, rsa.parse(key)))


def _sent(wire: Any, data: bytes) -> Any:
    """Send a packet and return the next one of the server's; an error of it is raised."""
    wire.write_packet(data)
    return wire._read_packet()


def _scrambled(password: bytes, challenge: bytes) -> bytes:
    """Return the answer to a challenge: it proves the password, and does not tell it."""
    once = hashlib.sha256(password).digest()
    mask = hashlib.sha256(hashlib.sha256(once).digest() + challenge).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))
