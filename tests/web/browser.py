"""A real Chromium without a window, as Debian has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
# Without these it looks for its maker, in vain where there is no way out.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def missing() -> str | None:
    """Say what the browser needs and this machine lacks."""
    if program() is None:
        return f"none of {', '.join(PROGRAMS)} found (Debian: chromium-headless-shell)"
    return None


def program() -> str | None:
    """Return the browser's program."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """Run the browser."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program(), args=list(ARGUMENTS))
        try:
            yield found
        finally:
            found.close()
