"""The settings: what each may be, its default, its names; each key in one table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

BACKENDS = ("auto", "netplan", "networkd", "wicked", "networkmanager", "netlink")

_DURATION = re.compile(r"((\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_EARLIER_LEVELS = {"trace": "debug", "warn": "warning", "fatal": "error", "panic": "error"}


class Secret:
    """A text that no `repr`, f-string or traceback shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._text)


@dataclass(frozen=True)
class DatabaseSettings:
    """Where the desired state is. Times in seconds."""

    url: str
    password: Secret
    connect_timeout: float
    read_timeout: float
    ignore_deleted_at: bool


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured, checked. Times in seconds."""

    node: str
    backend: str
    max_interfaces: int
    routing_table_base: int
    verify_timeout: float
    command_timeout: float
    log_level: str
    log_format: str
    database: DatabaseSettings
    poll_interval: float
    listen: str
    warnings: tuple[str, ...] = ()
    """What is open to others that should not be, in sentences."""


class Key(NamedTuple):
    """One setting: its name in the file, how its text is read, its default and its variables."""

    name: str
    parse: Callable[[Any], Any]
    default: Any
    variables: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Our own environment variable of this key."""
        return "MULTINIC_" + self.name.upper().replace(".", "_")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if not value.isprintable():
        raise ValueError("must not contain control characters, nor others that cannot be printed")
    return value.strip()


def _duration(value: Any) -> float:
    text = str(value).strip()
    parts = _DURATION.findall(text)
    clear = len(parts) == 1 or all(unit for _, _, unit in parts)  # "1m30s", but not "1 30"
    if isinstance(value, bool) or "".join(whole for whole, _, _ in parts) != text or not parts or not clear:
        raise ValueError('must be a time like "30s", "500ms", "5m" or "1m30s"')
    seconds = sum(float(number) * _UNITS[unit] for _, number, unit in parts)
    if not 0 < seconds <= 86400:
        raise ValueError("must be more than 0 and at most a day")
    return seconds


def integer(low: int, high: int) -> Callable[[Any], int]:
    """Return what reads a whole number from `low` to `high`, and raises ValueError for anything else."""

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


def _level(value: Any) -> str:
    text = _text(value).lower()
    return _choice("debug", "info", "warning", "error")(_EARLIER_LEVELS.get(text, text))


KEYS = (
    Key("node", _text, "", ("NODE_NAME",)),
    Key("backend", _choice(*BACKENDS), "auto"),
    # 1,000: far above what a VM can be given; keeps link names short and tables apart.
    Key("max_interfaces", integer(1, 1000), 10),
    # Above the 8-bit tables, in which the kernel's own and those of /etc/iproute2/rt_tables are.
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
    Key("agent.poll_interval", _duration, 30.0, ("POLL_INTERVAL",)),
    Key("agent.listen", _text, "127.0.0.1:8080"),
)
