"""The language of what a person reads on a terminal, chosen by gettext's rules.

What a program may read is always English. Never part of an idle pass.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache

from multinic.values.catalogue import parsed

LANGUAGES = ("ko",)
"""Those that have a catalogue; English has none."""
_LONGEST = 600
"""Letters of a message: a longer one, with a text from the database in it, would take too long to match."""
_JOINTS = ("; ", ": ", ", ")
"""What stands between parts of a message, each of which may be a sentence."""
_JOINED = 20
"""A message with more of one joint is a list, which is not looked into: every part is a call deeper."""
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
    has no template may be put together of several; what is none of ours, as the words of the kernel, stays as
    it is.
    """
    texts = _texts()
    if not texts or sentence in texts or len(sentence) > _LONGEST:
        return texts.get(sentence, sentence)
    return _understood(sentence)[1]


@lru_cache(1000)
def _understood(sentence: str) -> tuple[int, str]:
    """Return how many letters of a message are known, and the message in the reader's language.

    Of several templates that fit, the one counts that knows the most, with those of its values: "cannot set
    the MTU of {} to {}" is no "cannot set {}". Where that is the same, one whose values are no several
    sentences, then the one that has more letters itself.
    """
    texts = _texts()
    if sentence in texts:
        return _letters(sentence), texts[sentence]
    best, rank = (0, sentence), (0, True, 0)
    for template, values in _fitting(sentence):
        understood = [_value(value) for value in values]
        own = _letters(template)
        known = own + sum(letters for letters, _ in understood)
        plain = not own or not any("; " in value for value in values)
        if (known, plain, own) > rank:
            words = texts.get(template, template).format(*(text for _, text in understood))
            best, rank = (known, words), (known, plain, own)
    return best


def _fitting(sentence: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each template that fits a message, with the values; what only joins parts counts as one, too."""
    for part, template in _templates():
        if part in sentence and (found := _pattern(template).fullmatch(sentence)):
            yield template, found.groups()
    for joint in _JOINTS:
        if 0 < sentence.count(joint) <= _JOINED:
            yield f"{{}}{joint}{{}}", sentence.split(joint, 1)


def _value(text: str) -> tuple[int, str]:
    """Understand a part of a message; a word alone is a name, and stays as it is."""
    return _understood(text) if " " in text else (0, text)


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
def _templates() -> list[tuple[str, str]]:
    """Return each template and its longest part: where a message has not that, no pattern is compiled."""
    return [(max(text.split("{}"), key=len), text) for text in _texts() if "{}" in text]


def _letters(template: str) -> int:
    """Return how many letters of its own a template has; none if it only joins."""
    return sum(map(str.isalnum, template))


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(re.escape(part) for part in template.split("{}")), re.DOTALL)
