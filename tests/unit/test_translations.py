"""The pages in Korean have what their English originals have, and no section of those has changed since."""

from __future__ import annotations

from tests import translations


def test_a_korean_page_has_the_headings_code_and_links_of_its_original() -> None:
    assert len(translations.pages()) >= 3
    assert list(translations.differences()) == []


def test_no_section_has_changed_since_it_was_translated() -> None:
    assert list(translations.changed()) == []
