"""Frozen values to JSON and back: one set of rules for every file on disk.

The fields of a dataclass and their types say how it is written. The tables below have the exceptions:
classes that are written as a list, fields that are left out, keys that have another name in files.
"""

from __future__ import annotations

import base64
import operator
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, reduce
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, NamedTuple

from multinic.decide import options
from multinic.host.host import File
from multinic.values.addresses import IPAddress, IPInterface, IPNetwork, Mac
from multinic.values.desired import Options, Route, Rule
from multinic.values.observed import ObservedAddress, ObservedLink, ObservedRoute, ObservedRule

_AS_LIST: dict[type, tuple[str, ...]] = {
    Route: ("to", "via", "metric", "table", "on_link"),
    Rule: ("source", "destination", "table", "priority"),
    ObservedRoute: ("to", "via", "link", "table", "metric", "protocol", "raw"),
    ObservedAddress: ("address", "kernel", "raw"),
}
"""Classes that are written as a list of these fields; further items of a list are ignored when it is read."""
_IN_PART: dict[type, tuple[str, ...]] = {
    ObservedLink: ("index", "name", "mac", "up", "mtu", "altnames", "addresses"),
}
"""Classes of which only these fields are written."""


class Codec(NamedTuple):
    """How a value of one class is written, and how it is read. Reading raises ValueError or TypeError."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _observed_rule(item: Any) -> ObservedRule:
    *rule, family, protocol, raw = item
    return ObservedRule(decode(Rule, rule), decode(int, family), decode(int, protocol), decode(bytes, raw))


def _file(item: Any) -> File:
    found = _dict(item)
    if missing := [name for name in File._fields if name not in found]:
        raise ValueError(f"{missing[0]} is missing")
    numbers = {name: _inside(f".{name}", int, found[name]) for name in ("mode", "uid", "gid")}
    return File(base64.b64decode(_text(found["content"])), **numbers)


_CODECS: dict[Any, Codec] = {
    Mac: Codec(str, lambda item: Mac(_text(item))),
    bytes: Codec(bytes.hex, lambda item: bytes.fromhex(_text(item))),
    IPAddress: Codec(str, lambda item: ip_address(_text(item))),
    IPInterface: Codec(str, lambda item: ip_interface(_text(item))),
    IPNetwork: Codec(str, lambda item: ip_network(_text(item))),
    Options: Codec(options.document, options.parse),
    ObservedRule: Codec(
        lambda found: [*encode(found.rule), found.family, found.protocol, found.raw.hex()], _observed_rule
    ),
    File: Codec(lambda file: {**file._asdict(), "content": base64.b64encode(file.content).decode()}, _file),
}
_WRITERS = {member: codec for kind, codec in _CODECS.items() for member in (typing.get_args(kind) or (kind,))}


def encode(value: Any) -> Any:
    """Return a value as dicts, lists, texts and numbers, as JSON can hold them."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if codec := _WRITERS.get(type(value)):
        return codec.write(value)
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    kind: Any = type(value)
    items = {name: encode(getattr(value, name)) for name in _names(kind)}
    if kind in _AS_LIST:
        return list(items.values())
    return {_keys(kind)[name]: item for name, item in items.items()}


def decode(kind: Any, item: Any) -> Any:
    """Return the value of type `kind` that `encode` wrote. Raises ValueError, which names the place."""
    if codec := _CODECS.get(kind):
        try:
            return codec.read(item)
        except (TypeError, AttributeError) as e:
            raise ValueError(f"{_shown(item)} is no {getattr(kind, '__name__', 'address')}") from e
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):  # files have no other unions than X | None
        members = (argument for argument in arguments if argument is not types.NoneType)
        return None if item is None else decode(reduce(operator.or_, members), item)
    if origin is tuple and arguments[-1] is Ellipsis:
        return tuple(_inside(f"[{number}]", arguments[0], part) for number, part in enumerate(_list(item)))
    if origin is not None and issubclass(origin, Mapping):
        of_keys, of_values = arguments
        return {
            decode(of_keys, key): _inside(f".{key}", of_values, part) for key, part in _dict(item).items()
        }
    if is_dataclass(kind):
        return _object(kind, item)
    return _scalar(kind, item)


def _object(kind: Any, item: Any) -> Any:
    if kind in _AS_LIST:
        item = dict(zip(_AS_LIST[kind], _list(item), strict=False))
    found: dict[str, Any] = {}
    for name in _names(kind):
        key = _keys(kind)[name]
        if key in _dict(item):
            found[name] = _inside(f".{key}", _types(kind)[name], item[key])
        elif name not in _with_default(kind):
            raise ValueError(f"{key} is missing")
    return kind(**found)


def decode_parts(kind: Any, item: Any, lost: list[str]) -> Any:
    """Return a dataclass like `decode`, but leave a field that cannot be read at its default.

    What is wrong with it is added to `lost`. Raises ValueError for a field without a default.
    """
    found: dict[str, Any] = {}
    for name in _names(kind):
        key = _keys(kind)[name]
        try:
            if key in _dict(item):
                found[name] = _inside(f".{key}", _types(kind)[name], item[key])
        except ValueError as e:
            if name not in _with_default(kind):
                raise
            lost.append(str(e))
    if missing := [name for name in _names(kind) if name not in found and name not in _with_default(kind)]:
        raise ValueError(f"{_keys(kind)[missing[0]]} is missing")
    return kind(**found)


def decode_items(
    of_keys: Any, read: Callable[[Any, list[str]], Any], items: Any, lost: list[str]
) -> dict[Any, Any]:
    """Return the readable items of a mapping; what is wrong with the others is added to `lost`."""
    found: dict[Any, Any] = {}
    if not isinstance(items, dict):
        lost.append(f"{_shown(items)} is no dict")
        items = {}
    for key, item in items.items():
        faults: list[str] = []
        try:
            found[decode(of_keys, key)] = read(item, faults)
        except (ValueError, TypeError, OverflowError) as e:
            faults = [str(e)]
        lost += [f"{key}: {fault.lstrip('.')}" for fault in faults]
    return found


def _inside(place: str, kind: Any, item: Any) -> Any:
    try:
        return decode(kind, item)
    except ValueError as e:
        separator = "" if str(e).startswith((".", "[")) else ": "
        raise ValueError(f"{place}{separator}{e}") from e


def _scalar(kind: Any, item: Any) -> Any:
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(item, allowed) or (isinstance(item, bool) and kind is not bool):
        raise ValueError(f"{_shown(item)} is no {kind.__name__}")
    return kind(item)


def _text(item: Any) -> str:
    return str(_scalar(str, item))


def _list(item: Any) -> list[Any]:
    return list(_scalar(list, item))


def _dict(item: Any) -> dict[str, Any]:
    return dict(_scalar(dict, item))


def _shown(item: Any) -> str:
    return repr(item)[:60]


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return _AS_LIST.get(kind) or _IN_PART.get(kind) or tuple(field.name for field in fields(kind))


@cache
def _keys(kind: Any) -> dict[str, str]:
    return {field.name: field.metadata.get("key", field.name) for field in fields(kind)}


@cache
def _with_default(kind: Any) -> frozenset[str]:
    return frozenset(
        field.name
        for field in fields(kind)
        if field.default is not MISSING or field.default_factory is not MISSING
    )


@cache
def _types(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
