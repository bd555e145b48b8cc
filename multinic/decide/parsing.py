"""JSON into values: functions that read one place of a document, and the error that names the place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from multinic.values.text import shown

TEXT_MAX = 16_384  # characters of a document: twice what 64 routes need


class OptionError(ValueError):
    """One place in an `options` document that cannot be carried out.

    `path`: the place, as in "routes[0].via"; "" for the whole document. `shown`: its value, for a message.
    """

    def __init__(self, path: str, value: object, problem: str) -> None:
        self.path, self.value, self.problem = path, value, problem
        self.shown = _display(value)
        super().__init__(" ".join(part for part in (path, self.shown, problem) if part))


def _display(value: object) -> str:
    """Return a JSON value for a message; objects and arrays are not looked into, they may be deep."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        number = str(value)
        return number if len(number) <= 20 else shown(number)
    if isinstance(value, Mapping):
        return "{…}" if value else "{}"
    if isinstance(value, list | tuple):
        return "[…]" if value else "[]"
    return shown(value)


def read(text: str) -> dict[str, Any]:
    """Return the JSON object in a column; {} for an empty text. Raises OptionError."""
    if len(text) > TEXT_MAX:
        raise OptionError("", text, f"is longer than {TEXT_MAX} characters")
    if not text.strip():
        return {}
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except OptionError:
        raise
    except RecursionError:
        raise OptionError("", text, "is nested too deeply") from None
    except json.JSONDecodeError as e:
        raise OptionError("", text, f"is not JSON: {e}") from None
    except ValueError:  # Python refuses to convert a number of more than 4,300 digits
        raise OptionError("", text, "has a number that is too large") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise OptionError("", found, "is not a JSON object")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise OptionError("", key, "is there twice")
        found[key] = value
    return found


def _no_number(word: str) -> Any:
    raise OptionError("", word, "is not a number in JSON")


Read = Callable[[str, Any], Any]
"""A path and the JSON value there → the value. Raises OptionError."""


def members(path: str, value: Any, keys: Mapping[str, Read]) -> dict[str, Any]:
    """Return the members of an object, read; null is the same as no key. Raises OptionError."""
    if not isinstance(value, Mapping):
        raise OptionError(path, value, "is not an object")
    for key in value:
        if key not in keys:
            raise OptionError(path, key, f"is not an option{_nearest(key, keys)}")
    return {
        key: read_one(f"{path}.{key}" if path else key, value[key])
        for key, read_one in keys.items()
        if value.get(key) is not None
    }


def _nearest(name: object, known: Iterable[str]) -> str:
    import difflib  # only for this error

    near = difflib.get_close_matches(str(name)[:64], list(known), n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def items(path: str, value: Any, read_one: Read, limit: int) -> list[Any]:
    """Return the items of an array, read. Raises OptionError, also for more than `limit` items."""
    if not isinstance(value, list):
        raise OptionError(path, value, "is not an array")
    if len(value) > limit:
        raise OptionError(path, value, f"has more than {limit} entries")
    return [read_one(f"{path}[{number}]", item) for number, item in enumerate(value)]


def distinct(read_one: Read, limit: int) -> Read:
    """Return a reader for an array in which an item that is there twice counts once."""
    return lambda path, value: tuple(dict.fromkeys(items(path, value, read_one, limit)))


def boolean(path: str, value: Any) -> bool:
    """Return true or false. Raises OptionError for anything else, also for 0 and 1."""
    if not isinstance(value, bool):
        raise OptionError(path, value, "is not true or false")
    return value


def integer(low: int, high: int, *more: int) -> Read:
    """Return a reader for a whole number from `low` to `high`, or one of `more`; 1.0 and true are refused."""

    def integer(path: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise OptionError(path, value, "is not a whole number")
        if not low <= value <= high and value not in more:
            raise OptionError(path, value, f"is outside {low}..{high}" + "".join(f", {n}" for n in more))
        return value

    return integer


def word(words: Mapping[str, Any]) -> Read:
    """Return a reader for one of these words, which gives the value of the word."""

    def word(path: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise OptionError(path, value, f"is not {' or '.join(map(repr, words))}")
        return words[value]

    return word
