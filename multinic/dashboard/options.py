"""The settings of the dashboard, checked as a whole."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from multinic.host import config
from multinic.values.errors import ConfigError
from multinic.values.settings import DatabaseSettings, Secret, Settings

_LINK = re.compile(r"([^=\s]{1,40})=(https?://\S+)")


class Proxies(NamedTuple):
    """The proxies whose headers are believed."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def has(self, word: str) -> bool:
        """Return whether this is the address of one of them."""
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


class Options(NamedTuple):
    """What `multinic dashboard` runs with."""

    database: DatabaseSettings
    listen: str
    prefix: str
    hosts: frozenset[str]
    """The names under which it may be asked for, in lower case."""
    proxies: Proxies
    user_header: str
    token: Secret
    silent_after: int
    """Seconds."""
    retired: tuple[str, ...]
    """Patterns of names, as LIKE takes them with `!` as its escape."""
    links: Mapping[str, str]
    """Word → URL with {node} in it."""

    def links_of(self, node: str) -> dict[str, str]:
        """Return the links of one node."""
        return {word: url.replace("{node}", quote(node, safe="")) for word, url in self.links.items()}


def of_settings(settings: Settings) -> Options:
    """Return the options. Raises ConfigError."""
    given = settings.dashboard
    if not given["listen"]:
        raise ConfigError("dashboard.listen is empty", 'give it an address, such as "127.0.0.1:8090"')
    proxies = Proxies(tuple(map(_proxy, _words(given["proxies"]))))
    if given["user_header"] and not proxies.networks:
        raise ConfigError(
            "dashboard.user_header is set, but dashboard.proxies names no proxy: anybody could send it",
            "name the address of the proxy that sets the header",
        )
    return Options(
        database=settings.database,
        listen=given["listen"],
        prefix=given["prefix"],
        hosts=frozenset(word.lower() for word in _words(given["hosts"])),
        proxies=proxies,
        user_header=given["user_header"],
        token=_token(given["token_file"]),
        silent_after=round(given["silent_after"]),
        retired=tuple(map(_pattern, _words(given["retired"]))),
        links=dict(map(_link, given["links"].split())),
    )


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _proxy(word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError as e:
        said = str(e) if "host bits" in str(e) else f"{word!r} is not an address or a network"
        raise ConfigError(f"dashboard.proxies: {said}", "such as 10.0.0.7 or 10.0.0.0/24") from None


def _pattern(word: str) -> str:
    return re.sub(r"([!%_])", r"!\1", word).replace("*", "%")


def _link(word: str) -> tuple[str, str]:
    if not (found := _LINK.fullmatch(word)):
        raise ConfigError(
            f"dashboard.links: {word!r} is not of the form NAME=URL",
            "write links as Grafana=https://grafana.example.org/d/node?var-node={node}, with spaces between",
        )
    return found[1], found[2]


def _token(file: str) -> Secret:
    if not file:
        return Secret("")
    text = config.secret_file(file, "dashboard.token_file")
    if len(text) < 16:
        raise ConfigError(
            f"the token in {file} is shorter than 16 characters", f"make one: openssl rand -hex 32 > {file}"
        )
    return Secret(text)
