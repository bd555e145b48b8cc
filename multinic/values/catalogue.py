"""gettext's catalogues, read as translators write them (.po): English text → text of one language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_WORD = re.compile(r'(msgid|msgid_plural|msgstr(?:\[\d\])?)?\s*(".*")')


def parsed(text: str) -> dict[str, str]:
    """Return what a catalogue says, for one and for several.

    Languages with more than one plural form are not needed yet: the form of the plural is the last one.
    """
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
        entry[name] = entry.get(name, "") + str(json.loads(found[2]))
    if entry:
        yield entry
