"""The settings: what each may be, its default, its names; each key in one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

BACKENDS = ("auto", "netplan", "networkd", "wicked", "networkmanager", "netlink")

_DURATION = r"((\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*)"  # compiled where one is set: few passes need it
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_EARLIER_LEVELS = {"trace": "debug", "warn": "warning", "fatal": "error", "panic": "error"}


class Secret:
    """A text that `repr`, f-strings and tracebacks do not show."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it to the database."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._text)


class DatabaseSettings(NamedTuple):
    """How to reach the database. Times in seconds."""

    url: str
    password: Secret
    connect_timeout: float
    read_timeout: float
    ignore_deleted_at: bool


class Settings(NamedTuple):
    """All settings, checked. Times in seconds."""

    node: str
    backend: str
    max_interfaces: int
    routing_table_base: int
    verify_timeout: float
    command_timeout: float
    log_level: str
    log_format: str
    database: DatabaseSettings
    ask_for_mass_deletion: bool
    """Whether only a person may have most or all interfaces removed at once."""
    fleet_brake: Brake | None
    """None: off."""
    probe_addresses: bool
    """Whether the network is asked by ARP whether another machine has a new IPv4 address."""
    metrics_textfile: str
    """Where full passes write the metrics, for node_exporter; "" for nowhere."""
    poll_interval: float
    """How often the agent looks, if nothing tells it to."""
    listen: str
    """Where the agent answers for its health, as HOST:PORT; "" for nowhere."""
    metrics_listen: str
    """Where it answers for its metrics; "" for nowhere."""
    dashboard: Mapping[str, Any]
    """The settings of `multinic dashboard`, by their names without "dashboard."; no pass looks at them."""
    warnings: tuple[str, ...] = ()
    """Sentences about files with too open permissions."""


class Brake(NamedTuple):
    """Where the fleet brake holds: more peers than this failed, and more per cent of those that tried."""

    nodes: int
    percent: int

    def __str__(self) -> str:
        return f"{self.nodes}, {self.percent}%"


class Key(NamedTuple):
    """One setting: its name in the file, how its text is read, its default and its variables."""

    name: str
    parse: Callable[[Any], Any]
    default: Any
    variables: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable of this key that begins with MULTINIC_."""
        return "MULTINIC_" + self.name.upper().replace(".", "_")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if not value.isprintable():
        raise ValueError("must not contain control characters, nor others that cannot be printed")
    return value.strip()


def _duration(value: Any) -> float:
    text = str(value).strip()
    parts = re.findall(_DURATION, text)
    clear = len(parts) == 1 or all(unit for _, _, unit in parts)  # "1m30s", but not "1 30"
    if isinstance(value, bool) or "".join(whole for whole, _, _ in parts) != text or not parts or not clear:
        raise ValueError('must be a time like "30s", "500ms", "5m" or "1m30s"')
    seconds = sum(float(number) * _UNITS[unit] for _, number, unit in parts)
    if not 0 < seconds <= 86400:
        raise ValueError("must be more than 0 and at most a day")
    return seconds


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return a function that reads a whole number from `low` to `high`; it raises ValueError otherwise."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)):
            raise ValueError("must be a whole number")
        if not low <= int(value) <= high:
            raise ValueError(f"must be between {low} and {high}")
        return int(value)

    return parse


def _choice(*allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if (text := _text(value).lower()) not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def _brake(value: Any) -> Brake | None:
    if (text := _text(value).lower()) == "off":
        return None
    found = re.fullmatch(r"(\d{1,6})\s*,\s*(\d{1,3})\s*%", text)
    if not found or int(found[2]) > 100:
        raise ValueError('must be a number of nodes and a share of them, like "5, 10%", or "off"')
    return Brake(int(found[1]), int(found[2]))


def _textfile(value: Any) -> str:
    text = _text(value)
    if text and not (text.startswith("/") and text.endswith(".prom") and not text.endswith("/.prom")):
        raise ValueError("must be an absolute path that ends in .prom: node_exporter reads no other files")
    return text


def _address(value: Any) -> str:
    text = _text(value)
    match = re.fullmatch(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", text)
    if text and not (match and 0 < int(match[1]) < 65536):
        raise ValueError('must be HOST:PORT like "127.0.0.1:8080" or "[::]:9100", or "" for none')
    return text


def _prefix(value: Any) -> str:
    text = _text(value).rstrip("/")
    if text and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", text):
        raise ValueError('must be a path like "/multinic", or "" for none')
    return text


def _header(value: Any) -> str:
    text = _text(value).lower()
    if not re.fullmatch(r"[a-z0-9-]*", text):
        raise ValueError('must be the name of an HTTP header, like "X-Remote-User"')
    return text


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _level(value: Any) -> str:
    text = _text(value).lower()
    return _choice("debug", "info", "warning", "error")(_EARLIER_LEVELS.get(text, text))


KEYS = (
    Key("node", _text, "", ("NODE_NAME",)),
    Key("backend", _choice(*BACKENDS), "auto"),
    # 1,000: far more links than a VM can have; keeps link names short and tables apart.
    Key("max_interfaces", integer(1, 1000), 10),
    # Above the 8-bit numbers of the kernel's own tables and of those in /etc/iproute2/rt_tables.
    Key("routing_table_base", integer(256, 999_998_000), 1000),
    Key("verify_timeout", _duration, 10.0),
    # Ten times what the generator of netplan took on the slowest machine seen.
    Key("command_timeout", _duration, 60.0),
    Key("log_level", _level, "info", ("LOG_LEVEL",)),
    Key("log_format", _choice("text", "json"), "text"),
    Key("database.url", _text, ""),
    Key("database.password_file", _text, ""),
    Key("database.connect_timeout", _duration, 3.0),
    Key("database.read_timeout", _duration, 5.0),
    Key("database.deleted_at", _choice("removes", "ignored"), "removes"),
    Key("safety.mass_delete", _choice("after-3-reads", "ask"), "after-3-reads"),
    Key("safety.fleet_brake", _brake, Brake(5, 10)),
    Key("safety.probe_addresses", _boolean, True),
    Key("metrics.textfile", _textfile, ""),
    Key("agent.poll_interval", _duration, 30.0, ("POLL_INTERVAL",)),
    Key("agent.listen", _address, "127.0.0.1:8080"),
    Key("agent.metrics_listen", _address, ""),
    Key("dashboard.listen", _address, "127.0.0.1:8090"),
    Key("dashboard.prefix", _prefix, ""),
    Key("dashboard.hosts", _text, ""),
    Key("dashboard.proxies", _text, ""),
    Key("dashboard.user_header", _header, ""),
    Key("dashboard.token_file", _text, ""),
    Key("dashboard.silent_after", _duration, 900.0),
    Key("dashboard.retired", _text, ""),
    Key("dashboard.links", _text, ""),
)
