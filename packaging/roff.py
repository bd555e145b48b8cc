"""Man pages from text and from the Markdown of our documentation, in the language of groff."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator


def document(name: str, section: int, version: str, body: str) -> str:
    """Return a page. Its date is that of SOURCE_DATE_EPOCH."""
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    title = f'.TH {name.upper()} {section} "{day}" "multinic {version}" "System administration"\n'
    # A heading begins a paragraph by itself.
    return title + re.sub(r"(?m)^(\.S[HS] .*\n)\.PP\n", r"\1", body)


def escape(text: str) -> str:
    """Return text that groff prints as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def example(text: str) -> str:
    """Return an example: indented, with its lines kept."""
    return f".RS 4\n.EX\n{escape(text)}\n.EE\n.RE"


def inline(markdown: str) -> str:
    """Return a paragraph: code and emphasis in bold, links as their text."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", " ".join(markdown.split()))
    return re.sub(r"`([^`]+)`|\*\*(.+?)\*\*", lambda found: rf"\fB{found[1] or found[2]}\fR", escape(text))


def sentence(markdown: str) -> str:
    """Return the text of a table cell, with a full stop at its end."""
    return inline(re.sub(r"(?<![.:])$", ".", markdown.strip()))


def section(markdown: str, heading: str) -> str:
    """Return the text below a heading of the second level."""
    _, found, rest = markdown.partition(f"\n## {heading}\n")
    if not found:
        raise ValueError(f"no section {heading!r}")
    return rest.partition("\n## ")[0]


def blocks(markdown: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a section without headings: "code", "table" or "text", each with its text."""
    for part in re.findall(r"^```.*?^```$|(?:^\S[^\n]*\n?)+", markdown, re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            yield "code", part.partition("\n")[2].rpartition("\n")[0]
        else:
            yield "table" if part.startswith("|") else "text", part


def rows(table: str) -> Iterator[list[str]]:
    """Yield the cells of the rows of a table, without its heading."""
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def definitions(table: str) -> str:
    """Return a table of two columns as a list."""
    return "\n".join(f".TP\n{_bold(name)}\n{sentence(meaning)}" for name, meaning in rows(table))


def _bold(markdown: str) -> str:
    return inline(markdown if "`" in markdown else f"**{markdown}**")
