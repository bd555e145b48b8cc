"""All commands."""

from multinic.cli import (  # noqa: F401 - they add their commands to `main`
    agent,
    dashboard,
    history,
    holds,
    inspection,
    installation,
    passes,
    reconcile,
    undo,
)
from multinic.cli.base import main

__all__ = ["main"]
