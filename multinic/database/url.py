"""The URL of a MySQL or MariaDB database: mysql://user@host1,host2:3306/name?ssl_ca=…, without a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from multinic.values.errors import ConfigError

_URL = re.compile(r"mysql://(?:(?P<user>[^:@/]*)@)?(?P<hosts>[^/?@]+)/(?P<name>[^/?@]+)(?:\?(?P<query>.*))?")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?")
_CHOICES = {"ssl_verify": ("full", "ca"), "get_server_public_key": ("0", "1")}
_TLS = ("ssl_ca", "ssl_verify", "ssl_cert", "ssl_key")
_PARAMETERS = (*_TLS, "server_public_key", "get_server_public_key", "unix_socket")


class Target(NamedTuple):
    """A parsed database.url."""

    user: str
    hosts: tuple[tuple[str, int], ...]
    name: str
    parameters: Mapping[str, str]


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
    _check(parameters)
    return Target(
        user=_unquoted(match["user"] or ""),
        hosts=tuple((name, port or last) for name, port in hosts),
        name=_unquoted(match["name"]),
        parameters=parameters,
    )


def _check(parameters: Mapping[str, str]) -> None:
    """Refuse what would silently do less than it says. Raises ConfigError."""
    for key, allowed in _CHOICES.items():
        if parameters.get(key, allowed[0]) not in allowed:
            raise ConfigError(f"database.url: {key} must be {' or '.join(allowed)}")
    for key in ("ssl_cert", "ssl_key", "ssl_verify"):
        if key in parameters and "ssl_ca" not in parameters:
            raise ConfigError(
                f"database.url has {key} without ssl_ca: the connection would not be encrypted",
                "add ssl_ca=/path/of/the/authority.pem, the authority that signed the server's certificate",
            )
    if "ssl_key" in parameters and "ssl_cert" not in parameters:
        raise ConfigError(
            "database.url has ssl_key without ssl_cert", "add ssl_cert=/path/of/the/certificate"
        )


def with_user(url: str, user: str) -> str:
    """Return a URL with another user in it. Raises ConfigError."""
    from urllib.parse import quote

    parse_url(url)
    rest = url.removeprefix("mysql://")
    authority, slash, tail = rest.partition("/")
    return f"mysql://{quote(user, safe='')}@{authority.rpartition('@')[2]}{slash}{tail}"


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
