"""The texts of the pages in other languages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from multinic.values.catalogue import parsed

LANGUAGES = {"en": "English", "ko": "한국어"}


@cache
def texts(language: str) -> Mapping[str, str]:
    """Return English text → text of a language, for one and for several; {} for English itself."""
    if language == "en":
        return {}
    text = files("multinic").joinpath(f"dashboard/locale/{language}.po").read_text(encoding="utf-8")
    return parsed(text)


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
