"""A connection to MySQL or MariaDB through PyMySQL, which waits no longer and reads no more than it may."""

from __future__ import annotations

import codecs
import socket
from collections.abc import Callable
from functools import lru_cache
from io import BufferedReader, RawIOBase
from typing import Any

import pymysql
from pymysql.charset import charset_by_id
from pymysql.constants import CLIENT, CR
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

from multinic.database import dial, login
from multinic.database.connection import ANSWER_MAX
from multinic.database.limit import Limit
from multinic.database.login import Keys
from multinic.values.settings import DatabaseSettings

_CODEC = "multinic_text"
_CLEAR = (b"mysql_clear_password", b"dialog")  # ways to log in that send the password as it is ...
_CHALLENGES = (b"mysql_native_password", b"client_ed25519")  # ... and that only prove it


def _replacing(name: str) -> codecs.CodecInfo | None:
    """Return UTF-8 that replaces what is none: bytes that are no text must not hide all other rows."""
    if name != _CODEC:
        return None
    return codecs.CodecInfo(
        codecs.utf_8_encode, lambda data, _="": codecs.utf_8_decode(data, "replace", True), name=_CODEC
    )


codecs.register(_replacing)


class TooMuch(pymysql.Error):
    """The answer is longer than ANSWER_MAX."""


class _Incoming(RawIOBase):
    """What comes through a socket; no wait for the next part of it lasts longer than `patience` allows."""

    def __init__(self, opened: socket.socket, patience: Callable[[], float]) -> None:
        self._socket, self._patience = opened, patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._patience())
        return self._socket.recv_into(buffer)


class Wire(pymysql.connections.Connection):  # type: ignore[type-arg,unused-ignore]
    """A connection that sends nothing of its own, reads no more than it can hold, and waits no longer
    than its limit.

    The timeouts of PyMySQL's own count from one byte to the next, so they are not used.
    """

    left = ANSWER_MAX
    """How many bytes may still come in answer to the statement."""
    limit: Limit
    silence: float
    """How many seconds may pass without a byte."""
    keys = Keys()
    way_in = ""
    """The way in which the user logs in, where the server asked for another one than its usual one."""
    in_utf8 = False
    """Whether the server has been told that we speak UTF-8, in a statement."""
    _auth_plugin_name: str
    _sock: socket.socket
    _rfile: BufferedReader
    _incoming: BufferedReader | None = None
    _force_close: Callable[[], None]

    def log_in(self, settings: DatabaseSettings, limit: Limit, allowed: dial.Allowed) -> None:
        """Connect and log in. Raises SourceError and what PyMySQL raises."""
        self.limit, self.silence = limit, settings.read_timeout
        self.encoding = _CODEC
        path = self.unix_socket
        try:
            if path:
                opened = dial.local(str(path), settings.connect_timeout, limit)
            else:
                opened = dial.tcp(self.host, self.port, settings.connect_timeout, limit, allowed)
        except OSError as e:
            raise pymysql.err.OperationalError(
                CR.CR_CONN_HOST_ERROR, f"Can't connect to MySQL server on {self.host!r} ({e})"
            ) from None
        self._secure = bool(path)  # nobody can read along on a Unix socket
        self.connect(opened)

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Do not send SET NAMES, which the handshake asks for: one statement a pass is the budget."""

    def ask(self, statement: str, parameters: tuple[Any, ...] | None) -> pymysql.cursors.Cursor:
        """Run a statement and return the cursor with its answer, in UTF-8 whatever the server wants."""
        self.left = ANSWER_MAX
        cursor = self.cursor()
        cursor.execute(statement, parameters)
        if not self.in_utf8 and any(_is_foreign(field.charsetnr) for field in _fields(cursor)):
            # The server ignores the character set of the handshake (skip-character-set-client-handshake).
            self.left, self.in_utf8 = ANSWER_MAX, True
            cursor.execute("SET NAMES utf8mb4")
            cursor.execute(statement, parameters)
        return cursor

    def _read_bytes(self, num_bytes: int) -> bytes:
        self.left -= num_bytes
        if self.left < 0:
            self._force_close()
            raise TooMuch
        if self._rfile is not self._incoming:  # PyMySQL has opened it, or opened it anew for TLS
            self._rfile = self._incoming = BufferedReader(_Incoming(self._sock, self._patience))
        try:
            return bytes(super()._read_bytes(num_bytes))  # type: ignore[misc,unused-ignore]
        except pymysql.err.OperationalError:
            self.limit.left()
            raise

    def _write_bytes(self, data: bytes) -> None:
        try:
            while data:
                self._sock.settimeout(self._patience())
                data = data[self._sock.send(data) :]
        except BaseException as e:
            self._force_close()
            if not isinstance(e, OSError):
                raise
            self.limit.left()
            raise pymysql.err.OperationalError(
                CR.CR_SERVER_GONE_ERROR, f"MySQL server has gone away ({e!r})"
            ) from None

    def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        """Read one packet; the description of a column is mostly the same as in the last answer."""
        kind = _described if packet_type is FieldDescriptorPacket else packet_type
        return super()._read_packet(kind)  # type: ignore[misc,no-untyped-call,unused-ignore]

    def _patience(self) -> float:
        """Return how long the next wait may last. Raises SourceError where the limit is over."""
        return min(self.silence, self.limit.left())

    def accept_odd_certificates(self) -> None:
        """Accept certificates that lack what Python 3.13 wants, as MySQL makes them for itself."""
        import ssl

        context: ssl.SSLContext = self.ctx  # type: ignore[attr-defined,unused-ignore]
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)

    def _request_authentication(self) -> None:
        """Log in under TLS or not at all, where it is asked for; PyMySQL before 1.2 goes on in clear.

        If a server's default login is one of SHA-2, PyMySQL would answer it, with a key from any server. So
        that name is kept from it: the server then asks for the login by name, and `_process_auth` answers.
        """
        if self.ssl and not self.server_capabilities & CLIENT.SSL:  # type: ignore[attr-defined,unused-ignore]
            raise pymysql.err.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "database.url asks for TLS (ssl_ca), and the server offers none"
            )
        if self._auth_plugin_name:
            self._auth_plugin_name = "mysql_native_password"
        super()._request_authentication()  # type: ignore[misc,unused-ignore]

    def _process_auth(self, plugin_name: bytes, packet: Any, *rest: Any) -> Any:
        """Send no password that a listener could read, whichever server asks for it in this way."""
        secure: bool = self._secure  # type: ignore[attr-defined,unused-ignore]
        self.way_in = plugin_name.decode("ascii", "replace")
        if plugin_name in login.ANSWERS:
            return login.answer(self, plugin_name, packet.read_all(), self.keys, secure=secure)
        if plugin_name in _CLEAR and not secure:
            raise pymysql.err.OperationalError(
                CR.CR_AUTH_PLUGIN_CANNOT_LOAD, "it asks for the password in clear, and there is no TLS"
            )
        if plugin_name not in (*_CLEAR, *_CHALLENGES):
            raise pymysql.err.OperationalError(
                CR.CR_AUTH_PLUGIN_CANNOT_LOAD,
                f"it asks for a login by {self.way_in}, which is not known here",
            )
        return super()._process_auth(plugin_name, packet, *rest)  # type: ignore[misc,unused-ignore]


@lru_cache(maxsize=256)
def _described(data: bytes, encoding: str) -> FieldDescriptorPacket:
    """Decode the description of a column, which nobody changes afterwards."""
    return FieldDescriptorPacket(data, encoding)


def _fields(cursor: pymysql.cursors.Cursor) -> tuple[Any, ...]:
    return tuple(getattr(getattr(cursor, "_result", None), "fields", None) or ())


def _is_foreign(number: int) -> bool:
    """Return whether the texts of a column come in another character set than UTF-8, as far as is known.

    MariaDB's newer collations have numbers that PyMySQL does not know; all of them are of UTF-8 here.
    """
    try:
        name: str = charset_by_id(number).name  # type: ignore[attr-defined,unused-ignore]
    except KeyError:
        return False
    return not name.startswith("utf8") and name not in ("binary", "ascii")
