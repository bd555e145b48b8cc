"""One line per decision, as text or JSON. Not `logging`: an idle pass must not pay for it."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

from multinic.text import printable

LEVELS = ("debug", "info", "warning", "error")
_JOURNAL = {"warning": "<4>", "error": "<3>"}  # what else we say has the level that the unit sets


@dataclass
class Log:
    """Where decisions are told. Fields that are None are left out."""

    format: str = "text"
    level: str = "info"
    node: str = ""
    stream: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def watched(self) -> bool:
        """Whether somebody reads along, at a terminal or in search of a fault."""
        return self.level == "debug" or self.stream.isatty()

    def debug(self, msg: str, **fields: object) -> None:
        """Tell what only someone who looks for a fault wants to know."""
        self._write("debug", msg, fields)

    def info(self, msg: str, **fields: object) -> None:
        """Tell a decision."""
        self._write("info", msg, fields)

    def warning(self, msg: str, **fields: object) -> None:
        """Tell what an operator should look at some time."""
        self._write("warning", msg, fields)

    def error(self, msg: str, **fields: object) -> None:
        """Tell what an operator must look at."""
        self._write("error", msg, fields)

    def _write(self, level: str, msg: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        kept = {key: value for key, value in fields.items() if value not in (None, "")}
        if self.format == "json":
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = json.dumps({"time": now, "level": level, "msg": msg, "node": self.node, **kept})
        else:
            name = kept.pop("interface_name", "")
            start = f"{name}: " if name and not msg.startswith(f"{name}:") else ""
            mark = "" if level == "info" else f"{level}: "
            line = printable(f"{mark}{start}{msg}")
            if "hint" in kept:
                line += f"\n{mark_for(self.stream, level)}  {printable(str(kept['hint']))}"
        try:
            print(mark_for(self.stream, level) + line, file=self.stream, flush=True)
        except OSError:
            pass  # who read it went away, or the disk is full; the pass goes on, and tells the database


def mark_for(stream: TextIO, level: str) -> str:
    """Return what tells systemd's journal the level of a line; "" where somebody else reads."""
    journal = os.environ.get("JOURNAL_STREAM")
    if not journal or level not in _JOURNAL:
        return ""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return ""
    return _JOURNAL[level] if journal == f"{found.st_dev}:{found.st_ino}" else ""
