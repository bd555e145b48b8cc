"""The screens in the documentation show what the program prints."""

from __future__ import annotations

import pytest

from tests.kernel import screens
from tests.terminal import COLOURS


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    return screens.screens()


def test_every_screen_is_in_the_documentation(shown):
    assert {path.stem for path in screens.PLACE.glob("*.svg")} == set(shown)


# `status` shows how long ago and how soon.
@pytest.mark.parametrize("name", ["plan", "invalid", "history"])
def test_a_screen_shows_what_the_program_prints(shown, name):
    kept = screens.words((screens.PLACE / f"{name}.svg").read_text(encoding="utf-8"))
    lines = [line.rstrip() for line in COLOURS.sub("", shown[name]).splitlines()]
    # A line that is longer than the screen goes on in the next one.
    assert "".join(" ".join(kept).split()) == "".join(" ".join(lines).split()), "run `make pages`"
    assert all(len(line) <= screens.COLUMNS for line in kept)
