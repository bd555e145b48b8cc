"""MySQL and MariaDB: from database.url to a session with one of its hosts, and their errors as ours."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pymysql
from pymysql.constants import CR

from multinic.database import dial, login, refusals
from multinic.database.connection import (
    Conflict,
    Connection,
    Found,
    Incomparable,
    Interrupted,
    Missing,
    joins,
    too_much,
)
from multinic.database.limit import Limit
from multinic.database.session import Session
from multinic.database.url import Target, parse_url
from multinic.database.wire import TooMuch, Wire
from multinic.values.errors import ConfigError, NoSuchDatabase, SourceBusy, SourceError, SourceRejected
from multinic.values.settings import DatabaseSettings
from multinic.values.text import printable

_UNASKED = "(using password: NO)"
_NONE = "no password was found: set database.password_file, or run it where the systemd credential is"
_RESOLVER = "check the name servers in /etc/resolv.conf, or give the host's address in database.url"
_UNREACHED = "check that the database runs and that this host may reach it"
_BUSY = "look at what the server says of itself; the next pass tries again"
_CERTIFICATE = (
    "ssl_ca must be the authority that signed the server's certificate, and this must have the host's name "
    "as database.url writes it; for one without names, as MySQL makes it for itself: ssl_verify=ca"
)
# What PyMySQL raises: errors of its own, and whatever its parser trips over when the other side does not
# speak MySQL.
_FAILURES = (
    *(pymysql.Error, RuntimeError, ValueError, LookupError, NameError, AssertionError, struct.error),
    *(AttributeError, TypeError, ArithmeticError),
)


def connect(
    settings: DatabaseSettings, allowed: dial.Allowed = dial.anywhere, *, database: bool = True
) -> Session:
    """Connect to the first host that lets us in; each gets the same time.

    `database` False: to the server only, for `db init`. Raises ConfigError, SourceError, and
    SourceRejected when a host says no.
    """
    target = parse_url(settings.url)
    hosts = target.hosts[:1] if "unix_socket" in target.parameters else target.hosts
    opens = [partial(_open, target, host, port, settings, database=database) for host, port in hosts]
    named = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts]
    if "unix_socket" in target.parameters:
        named = [target.parameters["unix_socket"]]
    return Session(opens, placeholder="%s", product="mysql", allowed=allowed, names=named)


def create_database(settings: DatabaseSettings) -> None:
    """Create the database that database.url names. Raises SourceError and SourceRejected."""
    name = parse_url(settings.url).name
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise ConfigError(f"database.url: {name!r} is not a name that multinic creates a database with")
    with connect(settings, database=False) as server:
        server.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4", ())


def _open(
    target: Target, host: str, port: int, settings: DatabaseSettings, allowed: dial.Allowed, *, database: bool
) -> Connection:
    """Connect to one host and log in. Raises ConfigError and SourceError."""
    where = f"mysql {host}:{port}/{target.name}"
    if "unix_socket" in target.parameters:
        where = f"mysql {target.parameters['unix_socket']} {target.name}"
    translated = partial(_translated, where=where, parameters=target.parameters)
    try:
        wire = _wire(target, host, port, settings, database=database)
    except OSError as e:  # before the connection; those of the connection itself are PyMySQL's
        files = " ".join(f"{k}={v}" for k, v in target.parameters.items() if k.startswith("ssl_"))
        if not files:
            raise SourceError(f"{where}: {e.strerror or e}", _UNREACHED) from None
        raise ConfigError(
            f"database.url: {printable(files)}: {e.strerror or e}", "name files in PEM format that exist"
        ) from None
    try:
        wire.log_in(settings, Limit(settings), allowed)
    except dial.Unresolved as e:
        raise dial.Unresolved(f"{where}: {e}", _RESOLVER) from None
    except SourceError as e:
        raise type(e)(f"{where}: {e}", e.hint) from None
    except (OSError, *_FAILURES) as e:
        raise translated(e) from None
    return _connection(wire, where, translated)


def _wire(target: Target, host: str, port: int, settings: DatabaseSettings, *, database: bool) -> Wire:
    parameters = target.parameters
    # Without a CA PyMySQL would try TLS and verify nobody, after reading every CA of the system (20 ms).
    tls: dict[str, Any] = {"ssl_disabled": True}
    if "ssl_ca" in parameters:
        tls = {
            "ssl_ca": parameters["ssl_ca"],
            "ssl_cert": parameters.get("ssl_cert"),
            "ssl_key": parameters.get("ssl_key"),
            "ssl_verify_cert": True,
            "ssl_verify_identity": parameters.get("ssl_verify") != "ca",
        }
    wire = Wire(
        host=host,
        port=port,
        user=target.user or "root",
        # As bytes: PyMySQL would encode text as Latin-1, while servers hash what a client in UTF-8 typed.
        password=settings.password.reveal().encode("utf-8", "surrogateescape"),
        database=target.name if database else None,
        unix_socket=parameters.get("unix_socket"),
        charset="utf8mb4",
        # It costs a statement only where the server's default is off. There an agent, whose connection lasts,
        # would read the same rows for ever: those of its first transaction.
        autocommit=True,
        defer_connect=True,
        **tls,
    )
    wire.keys = login.Keys(
        login.read_key(parameters["server_public_key"]) if "server_public_key" in parameters else None,
        fetch=parameters.get("get_server_public_key") == "1",
    )
    if parameters.get("ssl_verify") == "ca":
        wire.accept_odd_certificates()
    return wire


def _connection(wire: Wire, where: str, translated: Callable[[Exception], Exception]) -> Connection:
    def execute(statement: str, parameters: Sequence[Any]) -> Found:
        try:
            with wire.limit.exchange(), wire.ask(statement, tuple(parameters) or None) as cursor:
                columns = [item[0] for item in cursor.description or ()]
                return columns, cursor.fetchall(), cursor.rowcount
        except (OSError, *_FAILURES) as e:
            raise translated(e) from None

    @contextmanager
    def transaction() -> Iterator[None]:
        with wire.limit.exchange():
            execute("START TRANSACTION", ())
            try:
                yield
            except BaseException:
                try:
                    wire.rollback()
                except (OSError, SourceError, *_FAILURES):
                    pass  # the connection is gone, and with it the transaction
                raise
            execute("COMMIT", ())

    def close() -> None:
        try:
            with wire.limit.exchange():
                wire.close()
        except (OSError, *_FAILURES):
            pass  # nothing to be saved

    return Connection(
        execute=execute,
        close=close,
        transaction=transaction,
        where=where,
        address=_peer(wire),
        login=wire.way_in,
    )


def _peer(wire: Wire) -> str:
    """Return the address that answered; "" for a Unix socket."""
    peer = wire._sock.getpeername()
    if not isinstance(peer, tuple):
        return ""
    address: str = peer[0].partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address


def _translated(error: Exception, where: str, parameters: Mapping[str, str]) -> Exception:
    """Return the error as one of ours; PyMySQL's carry a number and a text of the server's."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    message = printable(str(error.args[1] if len(error.args) > 1 else error))
    if not isinstance(error, pymysql.Error | OSError | RuntimeError):
        message = f"what answers there does not speak MySQL ({type(error).__name__}: {message})"
    if isinstance(error, TooMuch):
        return too_much(where)
    if code == refusals.MISSING_TABLE or (code == refusals.MISSING_COLUMN and joins(message)):
        return Missing(message)
    if code in refusals.DENIED and refusals.NODE_TABLE.search(message) and message.startswith("SELECT"):
        return Missing(message)  # not needed where every row has the name of its node
    if code == refusals.INCOMPARABLE:
        return Incomparable(message)
    if code == refusals.MISSING_DATABASE:
        return NoSuchDatabase(
            f"{where}: {message}", "correct the name in database.url, or create it with `multinic db init`"
        )
    if hint := _remedy(error, code, message, parameters):
        return SourceRejected(f"{where}: {message}", hint)
    if code in (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST):
        return Interrupted(
            f"{where}: the connection was lost or did not answer in time ({message})", _UNREACHED
        )
    if code in refusals.CONFLICTS:
        return Conflict(f"{where}: {message}", _BUSY)
    if refusals.of_the_server(code):
        return SourceBusy(f"{where}: {message}", _BUSY)
    return SourceError(f"{where}: {message}", _UNREACHED)


def _remedy(error: Exception, code: int, message: str, parameters: Mapping[str, str]) -> str:
    """Return what a person must do about an error; "" where that may pass by itself."""
    if code == 1045:
        if _UNASKED in message:
            return _NONE
        return refusals.login_hint(tls="ssl_ca" in parameters, certificate="ssl_cert" in parameters)
    if "certificate verify failed" in message.lower().replace("_", " "):
        return _CERTIFICATE
    if isinstance(error, RuntimeError):  # PyMySQL lacks a library for this way to log in
        return refusals.REFUSALS[CR.CR_AUTH_PLUGIN_CANNOT_LOAD]
    return refusals.REFUSALS.get(code, "")
