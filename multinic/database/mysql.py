"""MySQL and MariaDB through PyMySQL: several hosts, TLS, and an end to every wait."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import CLIENT, CR, ER

from multinic.errors import ConfigError, NoSuchDatabase, SourceBusy, SourceError, SourceRejected
from multinic.settings import DatabaseSettings
from multinic.source.database import ANSWER_MAX, Database, MissingTable, too_much
from multinic.source.limit import deadline
from multinic.text import printable

_URL = re.compile(r"mysql://(?:(?P<user>[^:@/]*)@)?(?P<hosts>[^/?@]+)/(?P<name>[^/?@]+)(?:\?(?P<query>.*))?")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?")
_PARAMETERS = ("ssl_ca", "ssl_cert", "ssl_key", "unix_socket")

_UNASKED = "(using password: NO)"
_NONE = "no password was found: set database.password_file, or run it where the systemd credential is"
_GRANT = "grant the user SELECT, and UPDATE of netplan_success and modified_at (docs/reference.md)"
# What PyMySQL raises: errors of its own, and whatever its parser trips over when the other side does not
# speak MySQL.
_FAILURES = (pymysql.Error, RuntimeError, ValueError, LookupError, NameError, AssertionError, struct.error)

# The server answered and said no: trying again will not help, an operator must act.
_REJECTED = {
    ER.ACCESS_DENIED_ERROR: "correct database.url's user or the password",
    ER.DBACCESS_DENIED_ERROR: _GRANT,
    ER.TABLEACCESS_DENIED_ERROR: _GRANT,
    ER.COLUMNACCESS_DENIED_ERROR: _GRANT,
    ER.BAD_FIELD_ERROR: "this is not the table of the MultiNIC controller",
}


class Target(NamedTuple):
    """A parsed database.url."""

    user: str
    hosts: tuple[tuple[str, int], ...]
    name: str
    parameters: Mapping[str, str]


class _TooMuch(pymysql.Error):
    """The answer is longer than ANSWER_MAX."""


class _Connection(pymysql.connections.Connection):  # type: ignore[type-arg,unused-ignore]
    """A connection that sends nothing of its own, and reads no more than it can hold."""

    left = ANSWER_MAX
    """How many bytes may still come in answer to the statement."""

    def set_character_set(self, charset: str, collation: str | None = None) -> None:
        """Do not send SET NAMES, which the handshake asks for: one statement a pass is the budget."""

    def _read_bytes(self, num_bytes: int) -> bytes:
        self.left -= num_bytes
        if self.left < 0:
            self._force_close()  # type: ignore[attr-defined,unused-ignore]
            raise _TooMuch
        return bytes(super()._read_bytes(num_bytes))  # type: ignore[misc,unused-ignore]

    def _request_authentication(self) -> None:
        """Log in under TLS or not at all, where it is asked for; PyMySQL before 1.2 goes on in clear."""
        if self.ssl and not self.server_capabilities & CLIENT.SSL:  # type: ignore[attr-defined,unused-ignore]
            raise pymysql.err.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "database.url asks for TLS (ssl_ca), and the server offers none"
            )
        super()._request_authentication()  # type: ignore[misc,unused-ignore]

    def _process_auth(self, plugin_name: bytes, *rest: Any) -> Any:
        """Send no password that a listener could read, whoever asks for it in this way."""
        secure: bool = self._secure  # type: ignore[attr-defined,unused-ignore]
        if plugin_name in (b"mysql_clear_password", b"dialog") and not secure:
            raise pymysql.err.OperationalError(
                CR.CR_AUTH_PLUGIN_CANNOT_LOAD, "it asks for the password in clear, and there is no TLS"
            )
        return super()._process_auth(plugin_name, *rest)  # type: ignore[misc,unused-ignore]


def parse_url(url: str) -> Target:
    """Return the parts of `mysql://user@host1,host2:3306/name?ssl_ca=…`. Raises ConfigError."""
    match = _URL.fullmatch(url)
    if not match:
        raise ConfigError(
            "database.url is not of the form mysql://user@host1,host2:3306/name?ssl_ca=/path",
            "correct it; the password does not belong in it",
        )
    hosts: list[tuple[str, int | None]] = []
    for part in match["hosts"].split(","):
        host = _HOST.fullmatch(part)
        if not host or (host["port"] and not 0 < int(host["port"]) < 65536):
            raise ConfigError(f"database.url: {part!r} is not a host or host:port")
        hosts.append((host["v6"] or host["name"], int(host["port"]) if host["port"] else None))
    last = hosts[-1][1] or 3306  # a port at the end counts for all hosts without one
    parameters = _query(match["query"] or "")
    for key in parameters:
        if key not in _PARAMETERS:
            raise ConfigError(
                f"database.url: unknown parameter {key!r}", f"known are {', '.join(_PARAMETERS)}"
            )
    return Target(
        user=_unquoted(match["user"] or ""),
        hosts=tuple((name, port or last) for name, port in hosts),
        name=_unquoted(match["name"]),
        parameters=parameters,
    )


def each_host(url: str) -> list[tuple[str, str]]:
    """Return every host of a URL as it is written there, with the URL of it alone. Raises ConfigError."""
    target = parse_url(url)
    match = _URL.fullmatch(url)
    start, end = match.span("hosts") if match else (0, 0)
    written = (f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in target.hosts)
    return [(host, url[:start] + host + url[end:]) for host in written]


def _query(text: str) -> dict[str, str]:
    if not text:
        return {}
    from urllib.parse import parse_qsl  # most URLs need neither this nor the next

    return dict(parse_qsl(text, keep_blank_values=True))


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def connect(settings: DatabaseSettings, *, database: bool = True) -> Database:
    """Connect to the first host that answers; each gets the same time.

    `database` False: to the server only, for `db init`. Raises ConfigError, SourceError, and
    SourceRejected when a host says no.
    """
    target = parse_url(settings.url)
    problems: list[str] = []
    busy = False
    for host, port in target.hosts:
        where = f"mysql {host}:{port}/{target.name}"
        if "unix_socket" in target.parameters:
            where = f"mysql {target.parameters['unix_socket']} {target.name}"
        try:
            with deadline(settings):
                connection = _open(target, host, port, settings, database=database)
        except SourceError as e:
            problems.append(f"{where}: {e}")
            continue
        except OSError as e:  # before the connection; those of the connection itself are PyMySQL's
            files = " ".join(f"{k}={v}" for k, v in target.parameters.items() if k.startswith("ssl_"))
            if not files:
                problems.append(f"{where}: {e.strerror or e}")
                continue
            raise ConfigError(
                f"database.url: {printable(files)}: {e.strerror or e}", "name files in PEM format that exist"
            ) from None
        except _FAILURES as e:
            translated = _translated(e, where)
            if isinstance(translated, SourceRejected):
                raise translated from None
            problems.append(str(translated))
            busy = busy or isinstance(translated, SourceBusy)
            continue
        return _database(connection, where)
    raise (SourceBusy if busy else SourceError)(
        "; ".join(problems),
        "check that the database runs and that this host may reach it; nothing was changed",
    )


def create_database(settings: DatabaseSettings) -> None:
    """Create the database that database.url names. Raises SourceError and SourceRejected."""
    name = parse_url(settings.url).name
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ConfigError(f"database.url: {name!r} is not a name that multinic creates a database with")
    with connect(settings, database=False) as server:
        server.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4", ())


def _open(target: Target, host: str, port: int, settings: DatabaseSettings, *, database: bool) -> _Connection:
    parameters = target.parameters
    # Without a CA PyMySQL would try TLS and verify nobody, after reading every CA of the system (20 ms).
    tls: dict[str, Any] = {"ssl_disabled": True}
    if "ssl_ca" in parameters:
        tls = {
            "ssl_ca": parameters["ssl_ca"],
            "ssl_cert": parameters.get("ssl_cert"),
            "ssl_key": parameters.get("ssl_key"),
            "ssl_verify_cert": True,
            "ssl_verify_identity": True,
        }
    return _Connection(
        host=host,
        port=port,
        user=target.user or "root",
        # As bytes: PyMySQL would encode text as Latin-1, while servers hash what a client in UTF-8 typed.
        password=settings.password.reveal().encode("utf-8", "surrogateescape"),
        database=target.name if database else None,
        unix_socket=parameters.get("unix_socket"),
        charset="utf8mb4",
        autocommit=None,  # the server's default, which is on; anything else costs a statement
        connect_timeout=max(1, round(settings.connect_timeout)),
        read_timeout=max(1, round(settings.read_timeout)),
        write_timeout=max(1, round(settings.read_timeout)),
        **tls,
    )


def _database(connection: _Connection, where: str) -> Database:
    def execute(statement: str, parameters: Sequence[Any]) -> tuple[list[str], Iterable[Sequence[Any]], int]:
        connection.left = ANSWER_MAX
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, tuple(parameters) or None)
                columns = [item[0] for item in cursor.description or ()]
                return columns, cursor.fetchall(), cursor.rowcount
        except (OSError, *_FAILURES) as e:
            raise _translated(e, where) from None

    @contextmanager
    def transaction() -> Iterator[None]:
        execute("START TRANSACTION", ())
        try:
            yield
        except BaseException:
            try:
                connection.rollback()
            except (OSError, *_FAILURES):
                pass  # the connection is gone, and with it the transaction
            raise
        execute("COMMIT", ())

    def close() -> None:
        try:
            connection.close()
        except (OSError, *_FAILURES):
            pass  # nothing to be saved

    return Database(
        execute=execute,
        close=close,
        transaction=transaction,
        placeholder="%s",
        product="mysql",
        where=where,
        address=_peer(connection),
    )


def _peer(connection: _Connection) -> str:
    """Return the address that answered; "" for a Unix socket."""
    peer = connection._sock.getpeername()  # type: ignore[attr-defined,unused-ignore]
    if not isinstance(peer, tuple):
        return ""
    address: str = peer[0].partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address


def _translated(error: Exception, where: str) -> Exception:
    """Return the error as one of ours; PyMySQL's carry a number and a text of the server's."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    message = printable(str(error.args[1] if len(error.args) > 1 else error))
    if not isinstance(error, pymysql.Error | OSError | RuntimeError):
        message = f"what answers there does not speak MySQL ({type(error).__name__}: {message})"
    if isinstance(error, _TooMuch):
        return too_much(where)
    if code == ER.NO_SUCH_TABLE:
        return MissingTable(message)
    if code == ER.BAD_DB_ERROR:
        return NoSuchDatabase(
            f"{where}: {message}", "correct the name in database.url, or create it with `multinic db init`"
        )
    if code in _REJECTED:
        return SourceRejected(f"{where}: {message}", _NONE if _UNASKED in message else _REJECTED[code])
    if isinstance(error, RuntimeError) and "cryptography" in message:
        # MySQL 8's caching_sha2_password sends the password under RSA where there is no TLS.
        return SourceRejected(
            f"{where}: this user's way to log in needs TLS or the Python package cryptography",
            "give ssl_ca in database.url, install python3-cryptography, or use mysql_native_password",
        )
    if code in (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST):
        return SourceError(f"{where}: the connection was lost or did not answer in time ({message})")
    if 1000 <= code < 2000 or code >= 3000:  # a number of the server's, not of the client's
        return SourceBusy(f"{where}: {message}")
    return SourceError(f"{where}: {message}")
