"""Pages in Korean beside their English originals: python -m tests.translations [--translated].

Prints what a Korean page has otherwise than its original, and the sections of the original that have changed
since they were translated. With --translated it takes down that all sections are translated as they are now.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TRANSLATED = Path(__file__).with_name("translated.json")
"""The digest of each section of an original, as it was when it was translated."""
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Section(NamedTuple):
    """A heading and what is below it, up to the next heading."""

    level: int
    title: str
    blocks: tuple[tuple[str, ...], ...]
    """Of each block its kind and what a translation keeps: code, and where links lead."""
    digest: str


def pages() -> dict[str, str]:
    """Return original → Korean page."""
    found = {f"docs/{page.name}": f"docs/ko/{page.name}" for page in sorted((ROOT / "docs/ko").glob("*.md"))}
    return {"README.md": "README.ko.md"} | found


def sections(page: str) -> list[Section]:
    """Return the sections of a page, given by its path in the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fences: list[tuple[str, str]] = []

    def kept(found: re.Match[str]) -> str:
        fences.append((found[1], found[2]))
        return f"\n\0{len(fences) - 1}\n"

    parts = re.split(r"^(#+) (.*)$", FENCE.sub(kept, text), flags=re.MULTILINE)[1:]
    return [
        Section(len(level), title, tuple(_blocks(body, page, fences)), _digest(title, body, fences))
        for level, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


def _blocks(body: str, page: str, fences: list[tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """Yield the blocks of a section; the paragraph that leads to the other language is none."""
    for line in body.splitlines():
        links = [_original(target, page) for target in re.findall(r"\]\(([^)#\s]*)", line)]
        links = [link for link in links if link != _original("", page)]
        code = sorted(re.findall(r"`[^`]+`", line))
        if line.startswith("\0"):
            yield ("code", *fences[int(line[1:])])
        elif line.startswith("|"):
            yield (f"row of {line.count('|') - 1}", *code, *sorted(links))
        elif re.match(r"\s*(?:[-*]|\d+\.) ", line):
            yield ("item", *code, *sorted(links))
        elif line.strip() and not re.fullmatch(r"\[(?:English|한국어)\]\([^)]*\)", line.strip()):
            yield ("paragraph", *code, *sorted(links))


def _original(target: str, page: str) -> str:
    """Return where a link leads, as the original would."""
    if "://" in target:
        return target
    path = os.path.normpath(os.path.join(os.path.dirname(page), target) if target else page)
    originals = {korean: english for english, korean in pages().items()}
    return originals.get(path, path)


def _digest(title: str, body: str, fences: list[tuple[str, str]]) -> str:
    whole = re.sub(r"\0(\d+)", lambda found: "".join(fences[int(found[1])]), f"{title}\n{body}")
    return hashlib.sha256(" ".join(whole.split()).encode()).hexdigest()[:12]


def differences() -> Iterator[str]:
    """Yield what each Korean page has otherwise than its original."""
    for page, korean in pages().items():
        originals, translations = sections(page), sections(korean)
        for original, translation in zip(originals, translations, strict=False):
            where = f"{korean}, {translation.title!r} ({original.title!r})"
            if original.level != translation.level:
                yield f"{where}: heading of level {translation.level}, not {original.level}"
            count, wanted = len(translation.blocks), len(original.blocks)
            if count != wanted:
                yield f"{where}: {count} paragraphs, items, rows and blocks of code, not {wanted}"
                continue
            for number, (one, other) in enumerate(zip(original.blocks, translation.blocks, strict=True), 1):
                if one != other:
                    yield f"{where}, part {number}: {other}, not {one}"
        if len(originals) != len(translations):
            yield f"{korean}: {len(translations)} headings, not {len(originals)}"


def changed() -> Iterator[str]:
    """Yield the sections that have changed since they were translated."""
    known = json.loads(TRANSLATED.read_text(encoding="utf-8"))
    for page, korean in pages().items():
        for section in sections(page):
            if known.get(page, {}).get(section.title) != section.digest:
                then = "then: python -m tests.translations --translated"
                yield f"{page}, {section.title!r}: bring {korean} up to date, {then}"


def take_down() -> None:
    """Write that all sections are translated as they are now."""
    found = {page: {section.title: section.digest for section in sections(page)} for page in pages()}
    TRANSLATED.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if "--translated" in sys.argv:
        take_down()
    print(*differences(), *changed(), sep="\n")
