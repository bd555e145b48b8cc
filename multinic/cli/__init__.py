"""The command line: parse, call one function, print, exit.

It decides nothing, and no other room imports it.
"""

from multinic.cli import (  # noqa: F401 - they add their commands to `main`
    agent,
    dashboard,
    history,
    inspection,
    installation,
    passes,
    unattended,
)
from multinic.cli.base import main

__all__ = ["main"]
