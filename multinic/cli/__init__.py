"""The command line: parse, call one function, print, exit.

It decides nothing, and no other room imports it. `main` has all commands; installations start `start.main`.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Return `main`, imported when it is asked for: a timer does without it."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from multinic.cli.commands import main

    return main
