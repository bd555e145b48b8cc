"""The texts of the pages in other languages: gettext's catalogues, read as translators write them (.po)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = {"en": "English", "ko": "한국어"}
_WORD = re.compile(r'(msgid|msgid_plural|msgstr(?:\[\d\])?)?\s*(".*")')


@cache
def texts(language: str) -> Mapping[str, str]:
    """Return English text → text of a language, for one and for several; {} for English itself.

    Languages with more than one plural form are not needed yet: the form of the plural is the last one.
    """
    if language == "en":
        return {}
    text = files("multinic").joinpath(f"dashboard/locale/{language}.po").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for entry in _entries(text):
        last = entry[max(name for name in entry if name.startswith("msgstr"))]
        found |= {entry[name]: last for name in ("msgid", "msgid_plural") if entry.get(name) and last}
    return found


def _entries(text: str) -> Iterator[dict[str, str]]:
    entry: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        found = _WORD.fullmatch(line.strip())
        if not found:
            continue  # a comment, an empty line
        if found[1] == "msgid" and entry:
            yield entry
            entry = {}
        name = found[1] or name
        entry[name] = entry.get(name, "") + str(ast.literal_eval(found[2]))
    if entry:
        yield entry


def chosen(wanted: str) -> str:
    """Return the language for a header Accept-Language: the first of ours in it, else English."""
    for part in wanted.lower().split(","):
        word = part.partition(";")[0].strip().partition("-")[0]
        if word in LANGUAGES:
            return word
    return "en"


def translated(language: str, text: str) -> str:
    """Return a text in a language."""
    return texts(language).get(text, text)


def counted(language: str, one: str, several: str, number: int) -> str:
    """Return a text with a number in a language."""
    return translated(language, one if number == 1 or language != "en" else several)
