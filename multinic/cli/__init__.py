"""The command line: parse, call one function, print, exit. Nothing is decided here."""

from multinic.cli import inspection, installation, passes  # noqa: F401 - they add their commands to `main`
from multinic.cli.base import main

__all__ = ["main"]
