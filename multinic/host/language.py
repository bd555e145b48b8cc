"""The language of what a person reads on a terminal, chosen by gettext's rules.

What a program may read is always English. Never part of an idle pass.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import cache

from multinic.values.catalogue import parsed

LANGUAGES = ("ko",)
"""Those that have a catalogue; English has none."""
_LONGEST = 600
"""Letters of a message: a longer one, with a text from the database in it, would take too long to match."""
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def chosen(environment: Mapping[str, str]) -> str:
    """Return the language that an environment asks for, "en" if we have none of those that it names.

    As gettext: LANGUAGE is a list, and counts only if the locale is not C.
    """
    locale = next((environment[name] for name in _VARIABLES if environment.get(name)), "C")
    if locale in ("C", "POSIX"):
        return "en"
    for name in (environment.get("LANGUAGE") or locale).split(":"):
        word = re.split(r"[_.@]", name, maxsplit=1)[0].lower()
        if word in (*LANGUAGES, "en", "c", "posix"):
            return word if word in LANGUAGES else "en"
    return "en"


def foreign() -> bool:
    """Return whether the reader's language is another than English."""
    return bool(_texts())


def translated(text: str) -> str:
    """Return one of our texts in the reader's language; in English if the catalogue does not have it."""
    return _texts().get(text, text)


def said(sentence: str) -> str:
    """Return a message of the program in the reader's language, by the template that it was made of.

    A template has {} for each value; a value may be such a sentence itself. A message of which the catalogue
    has no template stays as it is.
    """
    texts = _texts()
    if sentence in texts or len(sentence) > _LONGEST:
        return texts.get(sentence, sentence)
    for pattern, template in _templates():
        if found := pattern.fullmatch(sentence):
            return template.format(*(said(value) if " " in value else value for value in found.groups()))
    return sentence


@cache
def _texts() -> Mapping[str, str]:
    language = chosen(os.environ)
    if language == "en" or not _can_show("한국어"):
        return {}
    return catalogue(language)


def _can_show(text: str) -> bool:
    """Return whether the terminal has the letters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def catalogue(language: str) -> dict[str, str]:
    """Return the catalogue of a language: English text → text."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open(f"{package}/locale/{language}/LC_MESSAGES/multinic.po", encoding="utf-8") as file:
        return parsed(file.read())


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    """Return what matches the messages of each template, the longest template first."""
    found = sorted((text for text in _texts() if "{}" in text), key=lambda text: (-len(text), text))
    return [(_pattern(text), _texts()[text]) for text in found]


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(re.escape(part) for part in template.split("{}")), re.DOTALL)
