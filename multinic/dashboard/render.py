"""From data to HTML: everything is escaped, and text of the database is shown as text, whatever it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from multinic import __version__
from multinic.dashboard import catalogue
from multinic.values.text import printable

SHOWN_MAX = 300
"""Characters of a text in a list; the page of the node has it whole."""


@cache
def environment(language: str) -> Environment:
    """Return the templates for one language."""
    made = Environment(
        loader=PackageLoader("multinic.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: catalogue.translated(language, text),
        lambda one, several, number: catalogue.counted(language, one, several, number),
        newstyle=True,
    )
    made.filters.update(foreign=foreign, short=short, plain=plain, moment=moment, number=number)
    # For text that is not written in a template: `_` takes what it gets for HTML of ours.
    made.filters.update(translated=lambda text: catalogue.translated(language, text))
    made.globals.update(version=__version__, languages=catalogue.LANGUAGES)
    return made


def page(template: str, language: str, data: Mapping[str, Any]) -> str:
    """Return a page, or what is in it."""
    return environment(language).get_template(template).render(data)


def foreign(value: Any) -> Markup:
    """Return a text that is not ours: it cannot turn what is around it, nor has it control characters."""
    return Markup("<bdi>{}</bdi>").format(printable(str("" if value is None else value)))


def plain(value: Any) -> str:
    """Return such a text for an attribute, and for what is copied."""
    return printable(str("" if value is None else value))


def short(value: Any) -> Markup:
    """Return the begin of such a text, for a list."""
    text = printable(str("" if value is None else value))
    return Markup("<bdi>{}</bdi>").format(text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…")


def moment(value: str | None) -> Markup:
    """Return a time, which the script writes in the reader's zone."""
    if not value:
        return Markup("")
    return Markup('<time datetime="{}">{} UTC</time>').format(value, escape(value[:19].replace("T", " ")))


def number(value: int | None) -> str:
    """Return a number that is read easily."""
    return f"{value or 0:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
